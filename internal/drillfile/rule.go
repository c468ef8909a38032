package drillfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/failoverdrill/drill/internal/drill"
)

// rule compiles a condition and its message.
func (l *loader) rule(name string, spec ruleSpec, scope scope) drill.Rule {
	r := drill.Rule{Name: name}
	if c := l.condition(spec, scope); c != nil {
		r.Condition = c
	}
	return r
}

// condition compiles over values of which only the types and the bounds are known. It returns nil when something is
// wrong, and also when something is missing that has been reported.
func (l *loader) condition(spec ruleSpec, scope scope) *Condition {
	if l.budget.over != nil || l.conditions.over != nil {
		return nil // said once, for the file
	}
	cond, okCondition := l.expression(spec.Condition)
	msg, okMessage := l.expression(spec.ErrorMessage)
	changing, mentioned := []reference(nil), []reference(nil)
	if okCondition {
		changing, okCondition = l.live(cond, scope)
	}
	if okMessage {
		mentioned, okMessage = l.live(msg, scope)
	}
	if okCondition && isQuoted(cond) {
		l.report(cond.Range(), "Condition in quotes", "In quotes this is a text, and not a condition. Write it without the quotes.")
		return nil
	}
	if okCondition && len(changing) == 0 {
		l.report(cond.Range(), "Condition without a live value",
			"This condition refers to nothing that changes, so its result would always be the same. Refer to a live value, as in target.orders.lag_seconds < 1.")
		return nil
	}
	// Each of the two is checked also when something is wrong with the other.
	if okCondition = okCondition && typed(changing); okCondition {
		c := newCondition(cond, cond, changing, nil, l.src, l.static, scope.when)
		c.whole = l.conditions
		okCondition = l.clean(func() { l.checkComparisons(cond, c.context(nil)) }) && l.clean(func() { l.checkCondition(cond, c) })
	}
	if okMessage = okMessage && typed(mentioned); okMessage {
		c := newCondition(msg, msg, mentioned, nil, l.src, l.static, scope.when)
		c.whole = l.conditions
		ctx := c.context(nil)
		okMessage = l.clean(func() { l.checkComparisons(msg, ctx) }) && l.clean(func() { l.checkMessage(msg, ctx) })
	}
	if !okCondition || !okMessage {
		return nil
	}
	return newCondition(cond, msg, changing, mentioned, l.src, l.static, scope.when).fold()
}

// affords reports whether a condition or a message was evaluated within its budget, which is that of a sample. The file
// has one for all of its conditions.
func (l *loader) affords(ctx *hcl.EvalContext) bool {
	over := budgetOf(ctx).problem()
	if over != nil && l.conditions.over == nil { // else it is said of the file
		over.Detail = "A condition and its message are evaluated on every sample, and this takes more steps than there is time for. Move what does not change into locals."
		l.diags = append(l.diags, over)
	}
	return over == nil
}

// liveText is a text that names a live value, as if it were none.
var liveText = regexp.MustCompile(`\b(target|probe|run)\.[A-Za-z]`)

// isQuoted reports whether an expression is a text that would be a condition but for its quotes.
func isQuoted(expr hclsyntax.Expression) bool {
	t, ok := unwrapped(expr).(*hclsyntax.TemplateExpr)
	if !ok || !t.IsStringLiteral() {
		return false
	}
	v, _ := t.Value(nil)
	return isText(v) && liveText.MatchString(v.AsString())
}

// clean reports whether nothing was found to be wrong.
func (l *loader) clean(check func()) bool {
	before := len(l.diags)
	check()
	return len(l.diags) == before
}

// typed reports whether the types of all values are known.
func typed(refs []reference) bool {
	return !slices.ContainsFunc(refs, func(r reference) bool { return r.live.Name == "" })
}

// expression is the native expression of an argument that holds no secret. That it is missing has been reported.
func (l *loader) expression(a *hcl.Attribute) (hclsyntax.Expression, bool) {
	if a == nil {
		return nil, false
	}
	expr, ok := a.Expr.(hclsyntax.Expression)
	if !ok {
		l.report(a.Range, "Unsupported syntax", "Write drill files in HCL's native syntax.")
		return nil, false
	}
	return expr, l.clean(func() { l.checkSecrets(expr) })
}

func (l *loader) checkCondition(expr hclsyntax.Expression, c *Condition) {
	ctx := c.context(nil)
	v, diags := expr.Value(ctx)
	if l.diags = append(l.diags, diags...); diags.HasErrors() || !l.affords(ctx) {
		return
	}
	switch t := v.Type(); {
	case t != cty.Bool && t != cty.DynamicPseudoType:
		l.report(expr.Range(), "Unsuitable condition",
			fmt.Sprintf("A condition must be true or false, but this is %s. Compare it with something, as in target.orders.lag_seconds < 1.", aType(t)))
	case v.IsKnown() && v.IsNull():
		l.report(expr.Range(), "Unsuitable condition", "A condition must be true or false, but this is null.")
	default:
		l.checkConstantCondition(expr, c)
	}
}

func (l *loader) checkMessage(expr hclsyntax.Expression, ctx *hcl.EvalContext) {
	v, diags := expr.Value(ctx)
	if l.diags = append(l.diags, diags...); diags.HasErrors() || !l.affords(ctx) {
		return
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil || v.IsNull() || s.IsKnown() && s.IsNull() {
		l.report(expr.Range(), "Unsuitable error message", "An error message must be a text. Put it in quotes.")
		return
	}
	if s, _ = s.Unmark(); s.IsKnown() && strings.TrimSpace(s.AsString()) == "" {
		l.report(expr.Range(), "Unsuitable error message", "An error message says to people what is wrong, and this one is empty. Write a sentence.")
	}
}

// checkComparisons reports what HCL would let pass or explain badly: durations as text, null, and the equality of things
// that can never be equal.
func (l *loader) checkComparisons(expr hclsyntax.Expression, ctx *hcl.EvalContext) {
	l.diags = append(l.diags, hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		op, ok := node.(*hclsyntax.BinaryOpExpr)
		if !ok || op.Op == hclsyntax.OpLogicalAnd || op.Op == hclsyntax.OpLogicalOr {
			return nil
		}
		left, _ := op.LHS.Value(ctx)
		right, _ := op.RHS.Value(ctx)
		if by, _ := right.Unmark(); (op.Op == hclsyntax.OpDivide || op.Op == hclsyntax.OpModulo) && !left.IsKnown() && isZero(by) {
			return hcl.Diagnostics{problem(op.RHS.Range(), "Division by zero", "Divided by 0, a live value is infinite or nothing at all, whatever is measured. Divide by another number.")}
		}
		equality := op.Op == hclsyntax.OpEqual || op.Op == hclsyntax.OpNotEqual
		constant := equality && !isLiveExpr(op) // such as with a variable that may be null, which turns the condition on and off
		var diags hcl.Diagnostics
		for _, side := range []struct {
			hclsyntax.Expression
			v cty.Value
		}{{op.LHS, left}, {op.RHS, right}} {
			if constant {
				continue
			}
			if isNull(side.v) {
				detail := "No live value is ever null. While a value has no reading, the condition waits for one."
				if len(side.Variables()) > 0 {
					detail = "This is null, with which nothing can be compared or computed. Give it a value."
				}
				diags = append(diags, problem(side.Range(), "Comparison with null", detail))
			} else if isDuration(side.v) {
				diags = append(diags, problem(side.Range(), "Duration as text",
					fmt.Sprintf("Live values are numbers, and this is a text. Write duration(%s), which is its number of seconds.", unwrapped(side.Expression).Range().SliceBytes(l.src))))
			}
		}
		if len(diags) > 0 || !equality {
			return diags
		}
		if left.Type() != cty.DynamicPseudoType && right.Type() != cty.DynamicPseudoType && !left.Type().Equals(right.Type()) {
			return hcl.Diagnostics{problem(op.Range(), "Comparison of different types",
				fmt.Sprintf("This compares %s with %s, which are never equal. Write both as the same type.", aType(left.Type()), aType(right.Type())))}
		}
		return nil
	})...)
}

func isZero(v cty.Value) bool {
	n, err := convert.Convert(v, cty.Number)
	return err == nil && n.IsKnown() && !n.IsNull() && n.AsBigFloat().Sign() == 0
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

// isDuration reports whether a text reads as a duration, and not as a number.
func isDuration(v cty.Value) bool {
	if !isText(v) {
		return false
	}
	_, err := time.ParseDuration(v.AsString())
	_, isNumber := strconv.ParseFloat(v.AsString(), 64)
	return err == nil && isNumber != nil
}

func isText(v cty.Value) bool {
	return !v.IsMarked() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String
}
