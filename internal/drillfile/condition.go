package drillfile

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/failoverdrill/drill/internal/drill"
)

// Condition is a drill.Condition: an expression over live values and its message. It keeps no state, so any number of
// goroutines may evaluate it.
type Condition struct {
	condition hclsyntax.Expression
	message   hclsyntax.Expression
	text      string           // of the condition, as in the file
	static    *hcl.EvalContext // variables, locals and functions
	roots     []liveRoot       // what the expressions read, and nothing else
}

type liveRoot struct {
	name    string
	objects []liveObject
}

type liveObject struct {
	name       string
	attributes []reference
}

func newCondition(condition, message hclsyntax.Expression, refs []reference, src []byte, static *hcl.EvalContext) *Condition {
	c := &Condition{
		condition: condition, message: message,
		text:   string(condition.Range().SliceBytes(src)),
		static: static,
	}
	for _, r := range refs {
		c.add(r)
	}
	return c
}

func (c *Condition) add(r reference) {
	i := slices.IndexFunc(c.roots, func(x liveRoot) bool { return x.name == r.root })
	if i < 0 {
		i, c.roots = len(c.roots), append(c.roots, liveRoot{name: r.root})
	}
	root := &c.roots[i]
	j := slices.IndexFunc(root.objects, func(x liveObject) bool { return x.name == r.name })
	if j < 0 {
		j, root.objects = len(root.objects), append(root.objects, liveObject{name: r.name})
	}
	object := &root.objects[j]
	if !slices.ContainsFunc(object.attributes, func(x reference) bool { return x.attribute == r.attribute }) {
		object.attributes = append(object.attributes, r)
	}
}

// String is the condition as the file has it.
func (c *Condition) String() string { return c.text }

// Evaluate implements drill.Condition. A value without a reading makes the outcome Unknown, unless the condition is
// decided without it.
func (c *Condition) Evaluate(live drill.Live) (drill.Truth, string) {
	ctx := c.context(live)
	v, diags := c.condition.Value(ctx)
	if diags.HasErrors() {
		return drill.Unknown, fmt.Sprintf("The condition %s cannot be evaluated: %s", c.text, diags[0].Detail)
	}
	if over := budgetOf(ctx).problem(); over != nil {
		return drill.Unknown, fmt.Sprintf("The condition %s cannot be evaluated: %s", c.text, over.Detail)
	}
	v, _ = v.Unmark()
	switch {
	case !v.IsKnown() || v.IsNull() || v.Type() != cty.Bool:
		return drill.Unknown, c.say(ctx, live)
	case v.True():
		return drill.True, c.say(ctx, live)
	default:
		return drill.False, c.say(ctx, live)
	}
}

// Values says what the condition's live values are, as in "with target.orders.lag_seconds as 0.3".
func (c *Condition) Values(live drill.Live) string {
	diag := &hcl.Diagnostic{Expression: c.condition, EvalContext: c.context(live)}
	var parts []string
	for _, v := range values(diag) {
		parts = append(parts, v.traversal+" as "+v.value)
	}
	if len(parts) == 0 {
		return ""
	}
	return "with " + strings.Join(parts, ", ")
}

// Diagnostic says at the condition's place in the file that it does not hold, or does, with the values in it.
func (c *Condition) Diagnostic(summary string, live drill.Live) *hcl.Diagnostic {
	_, message := c.Evaluate(live)
	d := problem(c.condition.Range(), summary, message)
	d.Expression, d.EvalContext = c.condition, c.context(live)
	return d
}

// say is the message with the values in it; what has no reading is called so.
func (c *Condition) say(ctx *hcl.EvalContext, live drill.Live) string {
	if s, ok := text(c.message, ctx); ok {
		return s
	}
	if s, ok := text(c.message, c.contextWith(live, cty.StringVal("(no reading yet)"))); ok {
		return s
	}
	return strings.TrimSpace("The condition is " + c.text + " " + c.Values(live))
}

func text(expr hclsyntax.Expression, ctx *hcl.EvalContext) (string, bool) {
	v, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return "", false
	}
	v, _ = v.Unmark()
	s, err := convert.Convert(v, cty.String)
	if err != nil || !s.IsKnown() || s.IsNull() {
		return "", false
	}
	return strings.TrimSpace(s.AsString()), true
}

// context holds the values that the expressions read: unknown where there is no reading.
func (c *Condition) context(live drill.Live) *hcl.EvalContext { return c.contextWith(live, cty.NilVal) }

func (c *Condition) contextWith(live drill.Live, missing cty.Value) *hcl.EvalContext {
	ctx := withBudget(c.static, &budget{steps: conditionSteps})
	for _, root := range c.roots {
		objects := make(map[string]cty.Value, len(root.objects))
		for _, object := range root.objects {
			readings := live[root.name][object.name]
			attributes := make(map[string]cty.Value, len(object.attributes))
			for _, r := range object.attributes {
				reading, ok := readings[r.attribute]
				v := value(r.typ, reading, ok)
				if !v.IsKnown() && missing != cty.NilVal {
					v = missing
				}
				attributes[r.attribute] = v
			}
			objects[object.name] = cty.ObjectVal(attributes)
		}
		ctx.Variables[root.name] = cty.ObjectVal(objects)
	}
	return ctx
}

// value is a reading as an expression sees it. Microseconds are as exact as anything is measured, and more digits
// would only be noise in messages.
func value(typ cty.Type, reading float64, ok bool) cty.Value {
	switch {
	case !ok || math.IsNaN(reading):
		return cty.UnknownVal(typ)
	case typ == cty.Bool:
		return cty.BoolVal(reading != 0)
	case typ != cty.Number:
		return cty.UnknownVal(typ)
	case math.IsInf(reading, 1):
		return cty.PositiveInfinity
	case math.IsInf(reading, -1):
		return cty.NegativeInfinity
	}
	if math.Abs(reading) < 1e9 {
		reading = math.Round(reading*1e6) / 1e6
	}
	return cty.NumberFloatVal(reading)
}

// namedValue is a live value in an expression, for people.
type namedValue struct{ traversal, value string }

// values are those that a diagnostic's expression read, in the order of their names.
func values(d *hcl.Diagnostic) []namedValue {
	if d.Expression == nil || d.EvalContext == nil {
		return nil
	}
	seen := map[string]bool{}
	var found []namedValue
	for _, t := range d.Expression.Variables() {
		v, diags := t.TraverseAbs(d.EvalContext)
		name := traversalText(t)
		if diags.HasErrors() || seen[name] || v.IsMarked() || !v.IsKnown() || v.IsNull() {
			continue
		}
		seen[name] = true
		switch v.Type() {
		case cty.Number:
			found = append(found, namedValue{name, v.AsBigFloat().Text('g', 10)})
		case cty.Bool:
			found = append(found, namedValue{name, fmt.Sprint(v.True())})
		case cty.String:
			found = append(found, namedValue{name, fmt.Sprintf("%q", short(v.AsString(), maxWord))})
		default:
			found = append(found, namedValue{name, aType(v.Type())})
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].traversal < found[j].traversal })
	return found
}

func traversalText(t hcl.Traversal) string {
	var b strings.Builder
	b.WriteString(t.RootName())
	for i := 1; i < len(t); i++ {
		if name, ok := step(t, i); ok {
			b.WriteString("." + name)
		} else {
			b.WriteString("[…]")
		}
	}
	return b.String()
}
