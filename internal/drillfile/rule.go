package drillfile

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// rule compiles a condition and its message, over values of which only the types are known. It returns nil when
// something is wrong with them.
func (l *loader) rule(condition, message *hcl.Attribute, block hcl.Range, scope scope) *Condition {
	cond, okCondition := l.expression(condition, "condition", block)
	msg, okMessage := l.expression(message, "error_message", block)
	if !okCondition || !okMessage {
		return nil
	}
	changing, okCondition := l.live(cond, scope)
	mentioned, okMessage := l.live(msg, scope)
	if !okCondition || !okMessage {
		return nil
	}
	if len(changing) == 0 {
		l.report(cond.Range(), "Condition without a live value",
			"This condition refers to nothing that changes, so its result would always be the same. Refer to a live value, as in target.orders.lag_seconds < 1.")
		return nil
	}
	refs := slices.Concat(changing, mentioned)
	for _, r := range refs {
		if r.typ == cty.NilType {
			return nil
		}
	}
	c := newCondition(cond, msg, refs, l.src, l.static)
	unknown := c.context(nil)
	before := len(l.diags)
	l.checkComparisons(cond, unknown)
	l.checkComparisons(msg, unknown)
	if len(l.diags) == before {
		l.checkCondition(cond, unknown)
		l.checkMessage(msg, unknown)
	}
	if len(l.diags) > before {
		return nil
	}
	return c
}

// expression is the native expression of a required argument that holds no secret.
func (l *loader) expression(a *hcl.Attribute, name string, block hcl.Range) (hclsyntax.Expression, bool) {
	if a == nil {
		l.report(block, "Missing required argument", fmt.Sprintf("The argument %q is required, but no definition was found.", name))
		return nil, false
	}
	expr, ok := a.Expr.(hclsyntax.Expression)
	if !ok {
		l.report(a.Range, "Unsupported syntax", "Write drill files in HCL's native syntax.")
		return nil, false
	}
	before := len(l.diags)
	l.checkSecrets(expr)
	return expr, len(l.diags) == before
}

func (l *loader) checkCondition(expr hclsyntax.Expression, ctx *hcl.EvalContext) {
	v, diags := expr.Value(ctx)
	if l.diags = append(l.diags, diags...); diags.HasErrors() {
		return
	}
	switch {
	case v.Type() != cty.Bool:
		l.report(expr.Range(), "Unsuitable condition",
			fmt.Sprintf("A condition must be true or false, but this is %s. Compare it with something, as in target.orders.lag_seconds < 1.", aType(v.Type())))
	case v.IsKnown():
		l.report(expr.Range(), "Constant condition", "The result of this condition is always the same, whatever is measured. Check its operators.")
	}
}

func (l *loader) checkMessage(expr hclsyntax.Expression, ctx *hcl.EvalContext) {
	v, diags := expr.Value(ctx)
	if l.diags = append(l.diags, diags...); diags.HasErrors() {
		return
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil || v.IsNull() || s.IsKnown() && s.IsNull() {
		l.report(expr.Range(), "Unsuitable error message", "An error message must be a text. Put it in quotes.")
	}
}

// checkComparisons reports what HCL would let pass or explain badly: durations as text, and the equality of things
// that can never be equal.
func (l *loader) checkComparisons(expr hclsyntax.Expression, ctx *hcl.EvalContext) {
	l.diags = append(l.diags, hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		op, ok := node.(*hclsyntax.BinaryOpExpr)
		if !ok || op.Op == hclsyntax.OpLogicalAnd || op.Op == hclsyntax.OpLogicalOr {
			return nil
		}
		var diags hcl.Diagnostics
		for _, side := range []hclsyntax.Expression{op.LHS, op.RHS} {
			if text, ok := durationText(side); ok {
				diags = append(diags, problem(side.Range(), "Duration as text",
					fmt.Sprintf("Live values are numbers, and this is a text. Write duration(%q), which is its number of seconds.", text)))
			}
		}
		if len(diags) > 0 || op.Op != hclsyntax.OpEqual && op.Op != hclsyntax.OpNotEqual {
			return diags
		}
		left, _ := op.LHS.Value(ctx)
		right, _ := op.RHS.Value(ctx)
		switch {
		case isNull(left) || isNull(right):
			return hcl.Diagnostics{problem(op.Range(), "Comparison with null", "No live value is ever null. While a value has no reading, the condition waits for one.")}
		case left.Type() != cty.DynamicPseudoType && right.Type() != cty.DynamicPseudoType && !left.Type().Equals(right.Type()):
			return hcl.Diagnostics{problem(op.Range(), "Comparison of different types",
				fmt.Sprintf("This compares %s with %s, which are never equal. Write both as the same type.", aType(left.Type()), aType(right.Type())))}
		}
		return nil
	})...)
}

func isNull(v cty.Value) bool { return v.IsKnown() && v.IsNull() }

func aType(t cty.Type) string {
	name := t.FriendlyName()
	switch name {
	case "bool":
		return "true or false"
	case "dynamic":
		return "a value of no certain type"
	case "object":
		return "an object"
	}
	return "a " + name
}

// durationText is the text of a string literal that reads as a duration.
func durationText(expr hclsyntax.Expression) (string, bool) {
	t, ok := unwrapped(expr).(*hclsyntax.TemplateExpr)
	if !ok || !t.IsStringLiteral() {
		return "", false
	}
	v, diags := t.Value(nil)
	if diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return "", false
	}
	text := v.AsString()
	_, err := time.ParseDuration(text)
	_, isNumber := strconv.ParseFloat(text, 64)
	return text, err == nil && isNumber != nil
}
