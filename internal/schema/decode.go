package schema

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/failoverdrill/drill/internal/drill"
)

// Sensitive marks a value that must not be shown. Functions and operators carry it on to whatever they make of it.
const Sensitive = mark("sensitive")

type mark string

// Body is how the bodies of one kind of block are read.
type Body[Spec any] struct {
	Defaults  Spec
	Arguments func(*Spec) []Argument
	Blocks    []Nested // whose bodies the caller reads, from Decoded
	// Check looks at the arguments together. It is called when the value of each is known; those that were refused, which
	// has been reported, have their defaults. It may be nil.
	Check func(*Spec, *Decoded)
}

// Table is what a body may hold.
func (b Body[Spec]) Table() Table {
	spec := b.Defaults
	return b.table(&spec)
}

// Decode reads a body. Values that are not known yet (a variable without a value while a file is only validated, or one
// whose own problem has been reported) are left at their defaults, and the body is not complete.
func (b Body[Spec]) Decode(body hcl.Body, ctx *hcl.EvalContext) (Spec, *Decoded) {
	spec := b.Defaults
	table := b.table(&spec)
	want := table.wanted()
	content, diags := body.Content(&want)
	d := read(body, content, diags, ctx, table)
	b.finish(&spec, d)
	return spec, d
}

// DecodePart reads what belongs to it, and returns the rest of the body for somebody else to read.
func (b Body[Spec]) DecodePart(body hcl.Body, ctx *hcl.EvalContext) (Spec, *Decoded, hcl.Body) {
	spec := b.Defaults
	table := b.table(&spec)
	want := table.wanted()
	content, rest, diags := body.PartialContent(&want)
	d := read(body, content, diags, ctx, table)
	b.finish(&spec, d)
	return spec, d, rest
}

func (b Body[Spec]) finish(spec *Spec, d *Decoded) {
	if b.Check != nil && !d.unknown {
		b.Check(spec, d)
	}
}

// table is what the body may hold, with the arguments' values going to the spec.
func (b Body[Spec]) table(spec *Spec) Table {
	t := Table{Blocks: b.Blocks}
	if b.Arguments != nil {
		t.Arguments = b.Arguments(spec)
	}
	return t
}

// Decoded is a body that was read, with where its parts are.
type Decoded struct {
	Diagnostics hcl.Diagnostics
	Blocks      hcl.Blocks // the nested ones, in the order of the file; without those that have wrong labels
	Strays      []Stray    // what the body holds and may not

	attributes map[string]*hcl.Attribute // as given, also those that were null or unknown
	unsound    map[string]bool           // whose values are not known, or were refused
	missing    hcl.Range
	unknown    bool
}

// Sound reports whether an argument's value is what the body says, or its default: it is known and was not refused.
func (d *Decoded) Sound(name string) bool { return !d.unsound[name] }

// Given reports whether the body has the argument.
func (d *Decoded) Given(name string) bool { return d.attributes[name] != nil }

// At is the place of an argument's value, or that of the block when it is not given.
func (d *Decoded) At(name string) hcl.Range {
	if a := d.attributes[name]; a != nil {
		return a.Expr.Range()
	}
	return d.missing
}

// Whole is the place of the object whose fields these are, or where a block's missing arguments would be.
func (d *Decoded) Whole() hcl.Range { return d.missing }

// Expr is an argument's expression, for problems in a part of it; nil when it is not given.
func (d *Decoded) Expr(name string) hcl.Expression {
	if a := d.attributes[name]; a != nil {
		return a.Expr
	}
	return nil
}

// Complete reports whether every value was known and nothing was wrong so far.
func (d *Decoded) Complete() bool { return !d.unknown && !d.Diagnostics.HasErrors() }

// Report adds a problem.
func (d *Decoded) Report(at hcl.Range, summary, detail string, args ...any) {
	d.Diagnostics = append(d.Diagnostics, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(detail, args...), Subject: &at,
	})
}

// Warn adds a warning, beside which the file stays valid.
func (d *Decoded) Warn(at hcl.Range, summary, detail string) {
	d.Diagnostics = append(d.Diagnostics, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: detail, Subject: &at})
}

// NotYet is the summary of a warning: the file is right, and this version of drill cannot do what it asks for.
const NotYet = "Not available yet"

// NotYet adds a warning that makes a run of the drill refused.
func (d *Decoded) NotYet(at hcl.Range, detail string, args ...any) {
	d.Diagnostics = append(d.Diagnostics, &hcl.Diagnostic{
		Severity: hcl.DiagWarning, Summary: NotYet, Detail: fmt.Sprintf(detail, args...), Subject: &at,
	})
}

// wanted is the table as HCL knows it. That arguments are required is told here, and better.
func (t Table) wanted() hcl.BodySchema {
	var want hcl.BodySchema
	for _, a := range t.Arguments {
		want.Attributes = append(want.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	for _, b := range t.Blocks {
		want.Blocks = append(want.Blocks, hcl.BlockHeaderSchema{Type: b.Type, LabelNames: b.Labels})
	}
	return want
}

func read(body hcl.Body, content *hcl.BodyContent, diags hcl.Diagnostics, ctx *hcl.EvalContext, table Table) *Decoded {
	d := &Decoded{Diagnostics: diags, Blocks: content.Blocks, missing: body.MissingItemRange(), attributes: map[string]*hcl.Attribute{}, unsound: map[string]bool{}}
	maps.Copy(d.attributes, content.Attributes)
	d.explain(body, table)
	for i := range table.Arguments {
		switch a := &table.Arguments[i]; {
		case d.attributes[a.Name] != nil:
			d.unsound[a.Name] = !d.read(a, ctx)
		case a.Required && !d.meant(a.Name):
			d.Report(d.missing, "Missing required argument", "The argument %q is required, and is not here. %s", a.Name, a.Doc)
		}
	}
	for i := range table.Blocks {
		d.count(&table.Blocks[i], body)
	}
	return d
}

// read evaluates one argument and sets what it goes to. It returns false when there is no value to rely on.
func (d *Decoded) read(a *Argument, ctx *hcl.EvalContext) bool {
	before := len(d.Diagnostics)
	if a.Live {
		a.set(cty.NilVal, d)
		return true
	}
	if a.Fields != nil {
		d.object(a, ctx)
		return !d.Diagnostics[before:].HasErrors()
	}
	expr := d.attributes[a.Name].Expr
	v, diags := expr.Value(ctx)
	d.Diagnostics = append(d.Diagnostics, diags...)
	if diags.HasErrors() {
		d.unknown = true
		return false
	}
	v, marks := v.UnmarkDeep()
	if _, secret := marks[Sensitive]; (secret || refers(v)) && !a.Sensitive {
		d.misplaced(a, expr)
		return false
	}
	if v.IsKnown() && v.IsNull() {
		return d.null(a)
	}
	converted, err := convert.Convert(v, a.typ)
	if err != nil {
		d.unsuitable(a, v, expr.Range(), because(a, v, err))
		return false
	}
	if !converted.IsWhollyKnown() {
		d.unknown = true
		return false
	}
	if d.word(a, converted) {
		a.set(converted, d)
	}
	return !d.Diagnostics[before:].HasErrors()
}

func (d *Decoded) misplaced(a *Argument, expr hcl.Expression) {
	at, called := secretIn(expr)
	instead := "Write its value in the open"
	if !called {
		instead += ", or leave sensitive out of the variable that it comes from"
	}
	d.Report(at, "Misplaced secret",
		"The argument %q is printed in plans, logs and reports, so it cannot hold a secret. %s.", a.Name, instead)
}

// because is what is to say of a failed conversion beside the two types.
func because(a *Argument, v cty.Value, err error) string {
	switch why := err.Error(); {
	case a.Type == TypeStrings && v.Type() == cty.String && v.IsKnown():
		return fmt.Sprintf(". Put it in brackets: [%q]", v.AsString())
	case strings.HasSuffix(why, " required") || strings.Contains(why, " required, but have "):
		return ""
	default:
		return ": " + why
	}
}

func (d *Decoded) unsuitable(a *Argument, v cty.Value, at hcl.Range, why string) {
	d.Report(at, "Unsuitable value type", "%s", sentences(
		fmt.Sprintf("The argument %q is %s, and this is %s%s.", a.Name, article(a.Type), article(v.Type().FriendlyName()), why), a.Hint))
}

// refers reports whether a value holds a reference to a secret, marked or not.
func refers(v cty.Value) bool {
	found := false
	_ = cty.Walk(v, func(_ cty.Path, part cty.Value) (bool, error) {
		if part.IsKnown() && !part.IsNull() && part.Type() == cty.String && len(drill.Sensitive(part.AsString()).Refs()) > 0 {
			found = true
		}
		return !found, nil
	})
	return found
}

// null is as good as not given, as everywhere in HCL's family.
func (d *Decoded) null(a *Argument) bool {
	at := d.At(a.Name)
	delete(d.attributes, a.Name)
	if a.Required {
		d.Report(at, "Missing required argument", "The argument %q is required, but its value is null.", a.Name)
	}
	return !a.Required
}

// word holds an argument to the words that it may be.
func (d *Decoded) word(a *Argument, v cty.Value) bool {
	if len(a.Values) == 0 || v.Type() != cty.String || slices.Contains(a.Values, v.AsString()) {
		return true
	}
	given := v.AsString()
	if slices.Contains(a.Later, given) {
		d.NotYet(d.At(a.Name), "%s = %q belongs to the drill language, but this version of drill cannot do it. Available are: %s.", a.Name, given, strings.Join(a.Values, ", "))
		return true
	}
	summary, detail := "Unknown "+strings.ReplaceAll(a.Name, "_", " "), fmt.Sprintf("There is no %s %q.", a.Name, given)
	if a.unnamed {
		summary, detail = "Unknown value", fmt.Sprintf("The argument %q cannot be %q.", a.Name, given)
	}
	d.Report(d.At(a.Name), summary, "%s", sentences(detail+DidYouMean(given, slices.Concat(a.Values, a.Later)), a.Hint))
	return false
}

func (d *Decoded) whole(name string, v cty.Value) (int, bool) {
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || int64(int(n)) != n {
		d.Report(d.At(name), "Unsuitable value type", "The argument %q is a whole number, and this is %s.", name, v.AsBigFloat().Text('g', 10))
		return 0, false
	}
	return int(n), true
}

// number is an element that must be a whole number.
func (d *Decoded) number(a *Argument, v cty.Value, at hcl.Range) (int, bool) {
	n, err := convert.Convert(v, cty.Number)
	if err != nil || n.IsNull() {
		d.unsuitable(a, v, at, "")
		return 0, false
	}
	i, accuracy := n.AsBigFloat().Int64()
	if accuracy != big.Exact || int64(int(i)) != i {
		d.Report(at, "Unsuitable value type", "The numbers of %q are whole, and this is %s.", a.Name, n.AsBigFloat().Text('g', 10))
		return 0, false
	}
	return int(i), true
}

// count holds the body to blocks that must be there, or only once.
func (d *Decoded) count(b *Nested, body hcl.Body) {
	found := d.Blocks.OfType(b.Type)
	switch {
	case b.Required && len(found) == 0 && Written(body, b.Type) == 0 && !d.meant(b.Type):
		d.Report(d.missing, "Missing "+b.Type+" block", "A block %q is needed here. %s Write it as %s.", b.Type, b.Doc, b.Header())
	case !b.Many && len(found) > 1:
		for _, x := range found[1:] {
			d.Report(x.DefRange, "Duplicate "+b.Type+" block", "Only one %q block is allowed; the first is on line %d of %s.", b.Type, found[0].DefRange.Start.Line, found[0].DefRange.Filename)
		}
	}
}

// secretIn is the smallest part of an expression that brings the secret in: a call, or the whole when it comes by a name.
func secretIn(expr hcl.Expression) (at hcl.Range, called bool) {
	at = expr.Range()
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return at, false
	}
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && slices.Contains(SecretFunctions, call.Name) {
			at, called = call.Range(), true
		}
		return nil
	})
	return at, called
}

// SecretFunctions are those whose results are sensitive.
var SecretFunctions = []string{"secret", "env", "file"}

func goValue(a *Argument, v cty.Value) any {
	switch a.Type {
	case TypeNumber:
		n, _ := v.AsBigFloat().Int64()
		return int(n)
	case TypeBool:
		return v.True()
	case TypeDuration:
		d, _ := drill.ParseDuration(v.AsString())
		return d
	case TypeStrings:
		return texts(v)
	case TypeStringMap:
		return textMap(v)
	default:
		return v.AsString()
	}
}

func texts(v cty.Value) []string {
	list := []string{}
	for _, e := range v.AsValueSlice() {
		if !e.IsNull() {
			list = append(list, e.AsString())
		}
	}
	return list
}

func textMap(v cty.Value) map[string]string {
	all := map[string]string{}
	for k, e := range v.AsValueMap() {
		if !e.IsNull() {
			all[k] = e.AsString()
		}
	}
	return all
}

func article(what string) string {
	if what == "bool" {
		return "true or false"
	}
	if strings.ContainsRune("aeiou", rune(what[0])) {
		return "an " + what
	}
	return "a " + what
}
