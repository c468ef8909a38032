package drillfile

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/failoverdrill/drill/internal/schema"
)

// What evaluating a file, or a condition once, may take. One step is some hundreds of nanoseconds, so that whatever is
// written ends within a second. An honest file takes some hundred steps.
const (
	fileSteps      = 1 << 18
	conditionSteps = 1 << 14
	checkSteps     = 1 << 19 // of checking all conditions of a file
	problemSteps   = 32      // what a problem costs, which try() may go on from
	maxValue       = 1 << 20 // bytes of one value, as weigh counts them
	bytesPerStep   = 32
	elementBytes   = 32   // what an element costs beside its content
	maxComputed    = 4096 // the exponent of a number, base 2: of what may be made of reasonable ones
	maxMixed       = 64   // elements of different types that cost nothing more; unifying types is quadratic
)

// budget is what is left for an evaluation. It counts steps and not time, so that a file reads alike on every machine.
type budget struct {
	steps int
	over  *hcl.Range // where it ran out; nil while there is some left
	whole *budget    // of the file, of which this is a part; nil when it stands alone

	// sensitive counts the sensitive values that were met. Where one was, an error's words might tell it. In a for over a
	// sensitive collection the elements have no marks, so everything in it is veiled.
	sensitive, veils int
	// failed counts the problems that a sensitive value took part in: to go on from one is to know something of the value.
	failed int
}

func (b *budget) spend(steps int, at *hcl.Range) bool {
	if b.steps -= steps; b.over == nil && (b.steps < 0 || b.whole != nil && !b.whole.spend(steps, at)) {
		b.over = at
	}
	return b.over == nil
}

// problem says where the budget ran out, if it did.
func (b *budget) problem() *hcl.Diagnostic {
	if b.over == nil {
		return nil
	}
	return problem(*b.over, "Too much to evaluate",
		"What is written here makes more values than drill evaluates in a file, of which there are enough for any drill. Check the for expressions and the functions that multiply, such as setproduct and range.")
}

// budgetName is no identifier, so that no expression can refer to it.
const budgetName = "\x00budget"

var budgetType = cty.Capsule("budget", reflect.TypeFor[budget]())

// withBudget is a context whose evaluations share a budget.
func withBudget(parent *hcl.EvalContext, b *budget) *hcl.EvalContext {
	ctx := parent.NewChild()
	ctx.Variables = map[string]cty.Value{budgetName: cty.CapsuleVal(budgetType, b)}
	return ctx
}

func budgetOf(ctx *hcl.EvalContext) *budget {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[budgetName]; ok {
			b, _ := v.EncapsulatedValue().(*budget)
			return b
		}
	}
	return nil
}

// metered is an expression that is evaluated on a budget, which it finds in the context. It embeds parentheses, because
// those show themselves and what is in them to whoever walks through expressions.
type metered struct {
	*hclsyntax.ParenthesesExpr

	combined   bool // with other values, or looked at: a secret whose value is not known yet cannot be
	collection bool // that a for or a splat goes through
}

// UnwrapExpression lets HCL's static analysis see what is metered.
func (m *metered) UnwrapExpression() hcl.Expression { return m.Expression }

// unwrapped is what is in parentheses and meters.
func unwrapped(expr hclsyntax.Expression) hclsyntax.Expression {
	for {
		switch e := expr.(type) {
		case *metered:
			expr = e.Expression
		case *hclsyntax.ParenthesesExpr:
			expr = e.Expression
		default:
			return expr
		}
	}
}

// Value implements hcl.Expression.
func (m *metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	b := budgetOf(ctx)
	if b == nil {
		return m.Expression.Value(ctx)
	}
	if b.over != nil || !b.spend(1, &m.SrcRange) {
		return cty.DynamicVal, nil // said once, by whoever made the budget
	}
	sensitive, veils := b.sensitive, b.veils
	v, diags := m.evaluate(ctx, b)
	switch m.Expression.(type) {
	case *hclsyntax.ForExpr, *hclsyntax.SplatExpr:
		b.veils = veils
	}
	if b.over != nil {
		return cty.DynamicVal, nil
	}
	b.spend(problemSteps*veil(diags, b.sensitive > sensitive || veils > 0), &m.SrcRange)
	if len(diags) > maxProblems {
		diags = diags[:maxProblems]
	}
	v, wrong := m.check(v, b)
	diags = append(diags, wrong...)
	if diags.HasErrors() && (b.sensitive > sensitive || veils > 0 || crossesSecret(m.Expression, ctx)) {
		b.failed++
	}
	return v, diags
}

// crossesSecret reports whether a reference leads through a sensitive value.
func crossesSecret(expr hclsyntax.Expression, ctx *hcl.EvalContext) bool {
	e, ok := expr.(*hclsyntax.ScopeTraversalExpr)
	for i := 1; ok && i <= len(e.Traversal); i++ {
		v, diags := e.Traversal[:i].TraverseAbs(ctx)
		if isSensitive(v) {
			return true
		}
		ok = !diags.HasErrors()
	}
	return false
}

func isSensitive(v cty.Value) bool {
	_, marks := v.Unmark()
	_, sensitive := marks[schema.Sensitive]
	return sensitive
}

// own is a problem that tells nothing of the values.
func own(at hcl.Range, summary, detail string) hcl.Diagnostics {
	d := problem(at, summary, detail)
	d.Extra = vetted{}
	return hcl.Diagnostics{d}
}

// check holds a value to what it may be where it stands.
func (m *metered) check(v cty.Value, b *budget) (cty.Value, hcl.Diagnostics) {
	if _, reference := m.Expression.(*hclsyntax.ScopeTraversalExpr); reference && !v.IsMarked() && (v.Type() == cty.Number || v.Type() == cty.Bool) {
		return v, nil // has been checked where it was made
	}
	w := weigh(v)
	if w.sensitive {
		b.sensitive++
		if m.collection {
			b.veils++
		}
	}
	switch {
	case w.bytes > maxValue:
		return cty.DynamicVal, own(m.SrcRange, "Value too large",
			fmt.Sprintf("A value in a drill file may have up to %d KiB, elements and texts together, and this one has more.", maxValue>>10))
	case w.wild:
		return cty.DynamicVal, own(m.SrcRange, "Number out of range", "Use numbers of ordinary size: this one would have hundreds of digits.")
	case w.deferred && m.combined:
		return cty.DynamicVal, own(m.SrcRange, "Secret not known yet",
			`The secret's value is not known before the run, so it can only be put into a longer text, as in "${secret("orders-app", "uri")}?sslmode=require", or with join or format's %s. Keep the value that you need in the Secret itself.`)
	}
	b.spend(w.bytes/bytesPerStep+w.unify, &m.SrcRange)
	return v, nil
}

// evaluate computes the value. The arguments of a function that multiplies are evaluated first, so that what it would make
// of them can be bounded before.
func (m *metered) evaluate(ctx *hcl.EvalContext, b *budget) (cty.Value, hcl.Diagnostics) {
	if e, ok := m.Expression.(*hclsyntax.IndexExpr); ok {
		return index(e, ctx)
	}
	call, ok := m.Expression.(*hclsyntax.FunctionCallExpr)
	if !ok {
		return m.Expression.Value(ctx)
	}
	f := functionNamed(call.Name)
	if f == nil || f.cost == nil {
		failed, sensitive := b.failed, b.sensitive
		v, diags := call.Value(ctx)
		if told := b.failed > failed || call.Name == "can" && b.sensitive > sensitive; told && !diags.HasErrors() {
			v = marked(v, schema.Sensitive) // can() and try() go on from a problem, and that there is one may tell of a secret
		}
		return v, withoutStack(diags, call)
	}
	with := *call
	with.Args = make([]hclsyntax.Expression, len(call.Args))
	values := make([]cty.Value, len(call.Args))
	var diags hcl.Diagnostics
	for i, a := range call.Args {
		v, wrong := a.Value(ctx)
		diags = append(diags, wrong...)
		values[i], with.Args[i] = v, &hclsyntax.LiteralValueExpr{Val: v, SrcRange: a.Range()}
	}
	if diags.HasErrors() || b.over != nil {
		return cty.DynamicVal, diags
	}
	if cost := costOf(f, values, call.ExpandFinal); cost > maxValue {
		return cty.DynamicVal, own(call.Range(), "Value too large",
			fmt.Sprintf("The result of this call of %s() would be too large: a value in a drill file may have up to %d KiB.", call.Name, maxValue>>10))
	} else if !b.spend(cost/bytesPerStep, &m.SrcRange) {
		return cty.DynamicVal, nil
	}
	v, diags := with.Value(ctx)
	for _, d := range diags {
		if d.Expression == hcl.Expression(&with) {
			d.Expression = call
		}
		for i := range with.Args {
			if d.Expression == with.Args[i] {
				d.Expression = call.Args[i]
			}
		}
	}
	return v, withoutStack(diags, call)
}

// index is an element of a collection: as sensitive as its key, which HCL forgets where the collection is an object.
func index(e *hclsyntax.IndexExpr, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	key, diags := e.Key.Value(ctx)
	with := *e
	with.Key = &hclsyntax.LiteralValueExpr{Val: key, SrcRange: e.Key.Range()}
	v, wrong := with.Value(ctx)
	for _, d := range wrong {
		if d.Expression == hcl.Expression(&with) {
			d.Expression = e
		}
	}
	if isSensitive(key) {
		v = marked(v, schema.Sensitive)
	}
	return v, append(diags, wrong...)
}

// withoutStack says in words that a function cannot cope with its arguments.
func withoutStack(diags hcl.Diagnostics, call *hclsyntax.FunctionCallExpr) hcl.Diagnostics {
	for _, d := range diags {
		if extra, ok := d.Extra.(hclsyntax.FunctionCallDiagExtra); ok {
			if _, panicked := errors.AsType[function.PanicError](extra.FunctionCallError()); panicked {
				d.Detail = fmt.Sprintf("%s() cannot do anything with these arguments.", call.Name)
			}
		}
	}
	return diags
}

// costOf is how large a function's work or result can be, in bytes as weigh counts them, for those that multiply.
func costOf(f *Function, args []cty.Value, expand bool) int {
	for i := range args {
		args[i], _ = args[i].UnmarkDeep()
	}
	if expand && len(args) > 0 {
		if last := args[len(args)-1]; last.CanIterateElements() {
			args = append(args[:len(args)-1], last.AsValueSlice()...)
		}
	}
	return f.cost(args)
}

// vetted is in the Extra of a problem that has been looked at.
type vetted struct{}

// veil takes what could tell a sensitive value out of new problems, and returns their number.
func veil(diags hcl.Diagnostics, sensitive bool) int {
	found := 0
	for _, d := range diags {
		if d.Extra == (vetted{}) {
			continue
		}
		found++
		d.Extra = vetted{}
		if sensitive {
			d.Detail = "What is wrong is not shown in full, because a sensitive value takes part in it."
			d.Expression, d.EvalContext = nil, nil
		}
	}
	return found
}

// weight is what a value costs, and what is to know of what is in it.
type weight struct {
	bytes     int
	unify     int // steps that making one type of its elements' may take
	sensitive bool
	deferred  bool // a secret that is not known before the run is in it
	wild      bool // a number is in it that is out of all proportion
}

func weigh(v cty.Value) weight {
	var w weight
	w.add(v)
	return w
}

func (w *weight) add(v cty.Value) {
	if v.IsMarked() {
		var marks cty.ValueMarks
		v, marks = v.Unmark()
		_, sensitive := marks[schema.Sensitive]
		_, deferred := marks[deferredSecret]
		w.sensitive, w.deferred = w.sensitive || sensitive, w.deferred || deferred
	}
	if v == cty.NilVal || !v.IsKnown() || v.IsNull() {
		return
	}
	switch t := v.Type(); {
	case t == cty.String:
		w.bytes += len(v.AsString())
	case t == cty.Number:
		f := v.AsBigFloat()
		exp := f.MantExp(nil)
		w.wild = w.wild || !f.IsInf() && (exp > maxComputed || exp < -maxComputed)
	case v.CanIterateElements():
		w.addElements(v, t)
	}
}

func (w *weight) addElements(v cty.Value, t cty.Type) {
	for it := v.ElementIterator(); it.Next() && w.bytes <= maxValue; {
		k, e := it.Element()
		w.bytes += elementBytes
		if k.Type() == cty.String && k.IsKnown() && !k.IsNull() { // a set's elements are their own keys
			w.bytes += len(k.AsString())
		}
		w.add(e)
	}
	if t.IsTupleType() && t.Length() > maxMixed && w.bytes <= maxValue {
		for _, e := range t.TupleElementTypes() {
			if !e.Equals(t.TupleElementType(0)) {
				w.unify += t.Length() * t.Length()
				return
			}
		}
	}
}
