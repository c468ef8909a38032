package drillfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/failoverdrill/drill/internal/schema"
)

// variableSpec is a variable block as it is written.
type variableSpec struct {
	Description         string
	Sensitive, Nullable bool
	Type, Default       *hcl.Attribute
}

func variableBody() schema.Body[variableSpec] {
	return schema.Body[variableSpec]{
		Defaults: variableSpec{Nullable: true},
		Arguments: func(s *variableSpec) []schema.Argument {
			return []schema.Argument{
				schema.Expression("type", &s.Type, "What the value must be: string, number, bool, any, list(…), set(…), map(…), tuple([…]) or object({ name = type }), in which optional(type, default) marks what may be missing.", schema.Default("any")),
				schema.Expression("default", &s.Default, "The value when none is given. Without it, one must be given. It cannot refer to anything.", schema.Default("none: a value must be given")),
				schema.String("description", &s.Description, "What the value is for."),
				schema.Bool("sensitive", &s.Sensitive, "Whether the value must not be shown. It can then only go where a secret can."),
				schema.Bool("nullable", &s.Nullable, "Whether the value may be null. If not, null means the default."),
			}
		},
		Blocks: []schema.Nested{{Type: "validation", Many: true, Body: validationBody().Table(),
			Doc: "What the value must be like, beyond its type. There may be several."}},
	}
}

type validationSpec struct{ Condition, ErrorMessage *hcl.Attribute }

func validationBody() schema.Body[validationSpec] {
	return schema.Body[validationSpec]{
		Arguments: func(s *validationSpec) []schema.Argument {
			return []schema.Argument{
				schema.Expression("condition", &s.Condition, "True when the value is right. It can refer to variables.", schema.Required()),
				schema.Expression("error_message", &s.ErrorMessage, "What to say when it is not: a sentence that says what to write instead.", schema.Required()),
			}
		},
	}
}

// variable is one that the file declares.
type variable struct {
	variableSpec
	name        string
	at          hcl.Range // of its name
	declared    hcl.Range // of the block's head
	typ         cty.Type
	typeText    string // as it is written
	defaults    *typeexpr.Defaults
	validations []validationSpec
	value       cty.Value // DynamicVal when something was wrong, which has been reported
	valueAt     *hcl.Range
	origin      string // of the value; "" for the default
}

// variables reads the variable blocks and gives each its value.
func (l *loader) variables(blocks []*hclsyntax.Block) {
	var all []*variable
	seen := names{}
	for _, b := range blocks {
		v := l.variable(b, seen)
		if v == nil {
			continue
		}
		if _, taken := l.declared[v.name]; taken {
			continue
		}
		l.declared[v.name] = v
		all = append(all, v)
	}
	given := l.given()
	for _, v := range all {
		l.assign(v, given[v.name])
		l.named["var"][v.name] = v.value
	}
	l.settle("var")
	for _, v := range all {
		for _, rule := range v.validations {
			if !l.validate(v, rule) {
				l.named["var"][v.name] = cty.DynamicVal // what uses it would only be wrong, too
			}
		}
	}
	l.settle("var")
}

func (l *loader) variable(b *hclsyntax.Block, seen names) *variable {
	if len(b.Labels) != 1 {
		l.report(b.DefRange(), "Variable without a name", `A variable has one name: variable "namespace" { … }.`)
		return nil
	}
	v := &variable{name: b.Labels[0], at: b.LabelRanges[0], declared: b.DefRange(), typ: cty.DynamicPseudoType, typeText: "any", value: cty.DynamicVal}
	if !hclsyntax.ValidIdentifier(v.name) {
		l.report(v.at, "Invalid name", fmt.Sprintf("%q cannot be the name of a variable, because var.%s could not be written. Write a letter, and then letters, digits, hyphens and underscores.", v.name, v.name))
		return nil
	}
	l.checkName("variable", v.name, v.at, seen)
	for _, a := range []string{"description", "sensitive", "nullable"} {
		if a := b.Body.Attributes[a]; a != nil {
			for _, t := range a.Expr.Variables() {
				l.report(t.SourceRange(), "Reference in a variable", "What a variable block says cannot refer to anything. Write it out.")
			}
		}
	}
	var decoded *schema.Decoded
	v.variableSpec, decoded = variableBody().Decode(b.Body, l.static)
	l.diags = append(l.diags, decoded.Diagnostics...)
	if v.Type != nil && l.clean(func() { l.checkType(v.Type.Expr) }) {
		typ, defaults, diags := typeexpr.TypeConstraintWithDefaults(v.Type.Expr)
		for _, d := range diags {
			ofType := d.Summary == "Invalid type specification" // else of a default in optional(…), which is a value
			d.Summary = "Invalid type"
			if d.Subject != nil && ofType {
				word := string(d.Subject.SliceBytes(l.src))
				if strings.HasPrefix(word, `"`) {
					d.Detail = fmt.Sprintf("Write the type without quotes, as in type = %s.", strings.Trim(word, `"`))
				}
				if hclsyntax.ValidIdentifier(word) {
					d.Detail += schema.DidYouMean(word, []string{"string", "number", "bool", "any", "list(string)", "set(string)", "map(string)"})
				}
			}
		}
		l.diags = append(l.diags, diags...)
		if !diags.HasErrors() {
			v.typ, v.defaults = typ, defaults
			v.typeText = strings.Join(strings.Fields(string(v.Type.Expr.Range().SliceBytes(l.src))), " ")
		}
	}
	for _, nested := range decoded.Blocks {
		rule, decoded := validationBody().Decode(nested.Body, l.static)
		l.diags = append(l.diags, decoded.Diagnostics...)
		if rule.Condition != nil && rule.ErrorMessage != nil {
			v.validations = append(v.validations, rule)
		}
	}
	return v
}

// checkType reports a for in a type: a default in it is evaluated by HCL, and without a budget.
func (l *loader) checkType(expr hcl.Expression) {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return
	}
	told := false
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if loop, ok := n.(*hclsyntax.ForExpr); ok && !told {
			told = true
			l.report(loop.Range(), "Invalid type", "A type cannot be computed, and neither can a default in it. Write it out.")
		}
		return nil
	})
}

// given picks the value that counts of each variable, and reports those that there is no variable for.
func (l *loader) given() map[string]*Value {
	last := map[string]*Value{}
	for i := range l.in.Given {
		g := &l.in.Given[i]
		if l.declared[g.Name] != nil {
			last[g.Name] = g
			continue
		}
		if g.Stray {
			continue
		}
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Undeclared variable", Detail: fmt.Sprintf(
			"The file %s declares no variable %q, which is given by %s.%s", l.path, g.Name, g.Origin, schema.DidYouMean(g.Name, l.known("var")))}
		if g.Expr != nil {
			d.Subject = g.Expr.Range().Ptr()
		}
		l.diags = append(l.diags, d)
	}
	return last
}

// assign gives a variable its value: what was given, or the default, in the variable's type.
func (l *loader) assign(v *variable, g *Value) {
	otherwise, ok := l.defaultOf(v)
	if !ok {
		return
	}
	value := otherwise
	if g != nil {
		if value, ok = l.read(v, g); !ok {
			return
		}
		if value.IsNull() && !v.Nullable && v.Default != nil {
			value = otherwise
		} else {
			v.origin = g.Origin
			l.record(v, value)
		}
	}
	switch {
	case value == cty.NilVal && l.in.Partial:
		value = cty.UnknownVal(v.typ)
		if !v.Nullable {
			value = value.RefineNotNull()
		}
	case value == cty.NilVal:
		l.report(v.declared, "No value for variable", fmt.Sprintf(
			"The variable %q has no default, so it needs a value. Give it one with --var %s=…, with the environment variable DRILL_VAR_%s, or in a file *.drillvars.hcl beside this one, as %s = ….",
			v.name, v.name, v.name, v.name))
		return
	case value.IsNull() && !v.Nullable:
		l.report(v.declared, "Unsuitable value for variable", fmt.Sprintf("The variable %q must not be null, and %s is.", v.name, l.where(v)))
		return
	}
	if v.Sensitive {
		value = marked(value, schema.Sensitive)
	}
	v.value = value
}

// where says where a variable's value comes from.
func (l *loader) where(v *variable) string {
	if v.origin == "" {
		return "its default"
	}
	return "the value from " + v.origin
}

// defaultOf is the variable's default in its type; NilVal when it has none.
func (l *loader) defaultOf(v *variable) (cty.Value, bool) {
	if v.Default == nil {
		return cty.NilVal, true
	}
	if refs := v.Default.Expr.Variables(); len(refs) > 0 {
		detail := "A default cannot refer to anything, because it may be replaced by a value from outside. Write the value out, or make it one of the locals."
		if len(refs[0]) == 1 {
			detail = fmt.Sprintf("A default cannot refer to anything. If it is meant as text, put it in quotes: %q.", refs[0].RootName())
		}
		l.report(refs[0].SourceRange(), "Reference in a default", detail)
		return cty.NilVal, false
	}
	value, diags := v.Default.Expr.Value(l.static)
	if l.diags = append(l.diags, diags...); diags.HasErrors() {
		return cty.NilVal, false
	}
	at := v.Default.Expr.Range()
	if _, marks := value.UnmarkDeep(); len(marks) > 0 {
		l.report(at, "Misplaced secret", "A default cannot be a secret. Leave it out, and call the function where the value is used.")
		return cty.NilVal, false
	}
	converted, err := v.convert(value)
	if err != nil {
		l.report(at, "Unsuitable value type", fmt.Sprintf("The default of the variable %q must be of type %s: %s", v.name, v.typeText, sentenceOf(err)))
		return cty.NilVal, false
	}
	if converted.IsNull() && !v.Nullable {
		l.report(at, "Unsuitable value type", fmt.Sprintf("The variable %q says nullable = false, so its default cannot be null. Leave the default out.", v.name))
		return cty.NilVal, false
	}
	return converted, true
}

// convert makes a value one of the variable's type, with the defaults of optional attributes.
func (v *variable) convert(value cty.Value) (cty.Value, error) {
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	if err := strayAttribute(value, v.typ); err != nil {
		return cty.NilVal, err
	}
	converted, err := convert.Convert(value, v.typ)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%w", err)
	}
	if w := weigh(converted); w.bytes > maxValue || w.wild {
		return cty.NilVal, fmt.Errorf("it is too large")
	}
	return converted, nil
}

// record remembers a value that was given, so that another process reads the file alike.
func (l *loader) record(v *variable, value cty.Value) {
	out, err := ctyjson.Marshal(value, value.Type()) // without the type, which is for the drill file to say
	if err != nil {
		l.report(v.at, "Unsuitable value for variable", fmt.Sprintf("The value of %q cannot be recorded: %s.", v.name, err))
		return
	}
	to := &l.open.Variables
	if v.Sensitive {
		to = &l.secret.Variables
	}
	record(to, v.name, out)
}

// validate holds a variable's value to a rule.
func (l *loader) validate(v *variable, rule validationSpec) bool {
	for _, expr := range []hcl.Expression{rule.Condition.Expr, rule.ErrorMessage.Expr} {
		for _, t := range expr.Variables() {
			if t.RootName() != "var" {
				l.report(t.SourceRange(), "Unknown reference", fmt.Sprintf("A validation looks at variables alone, such as var.%s.", v.name))
				return true
			}
			if !l.checkNamed(t) {
				return true
			}
		}
	}
	refersToItself := slices.ContainsFunc(rule.Condition.Expr.Variables(), func(t hcl.Traversal) bool {
		name, _ := step(t, 1)
		return name == v.name
	})
	if !refersToItself {
		l.report(rule.Condition.Expr.Range(), "Validation of nothing", fmt.Sprintf("This condition does not look at the value that it belongs to. Refer to it as var.%s.", v.name))
		return true
	}
	result, diags := rule.Condition.Expr.Value(l.static)
	if l.diags = append(l.diags, diags...); diags.HasErrors() {
		return true
	}
	result, _ = result.Unmark()
	ok, err := convert.Convert(result, cty.Bool)
	if err != nil || result.IsNull() {
		l.report(rule.Condition.Expr.Range(), "Unsuitable condition", "A condition must be true or false. Compare the value with something.")
		return true
	}
	if !ok.IsKnown() || ok.True() {
		return true
	}
	message := "The value is not what its validation allows."
	if said, diags := rule.ErrorMessage.Expr.Value(l.static); diags.HasErrors() {
		l.diags = append(l.diags, diags...)
	} else if text, err := convert.Convert(said, cty.String); err == nil && !text.IsMarked() && text.IsKnown() && !text.IsNull() {
		message = text.AsString()
	}
	l.violated(v, rule, message)
	return false
}

// violated says at the value, or else at the rule, that the value is not what it must be.
func (l *loader) violated(v *variable, rule validationSpec, message string) {
	at := rule.Condition.Expr.Range()
	detail := fmt.Sprintf("%s\n\nThis is what the rule on line %d of %s says of %s.", message, at.Start.Line, at.Filename, l.where(v))
	switch {
	case v.valueAt != nil:
		at = *v.valueAt
	case v.origin == "" && v.Default != nil:
		at = v.Default.Expr.Range()
	}
	d := problem(at, "Invalid value for variable", detail)
	d.Expression, d.EvalContext = rule.Condition.Expr, l.static
	l.diags = append(l.diags, d)
}
