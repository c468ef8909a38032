package drillfile

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A condition is evaluated on every sample, so what is in it beside live values is computed once. What is left of most
// conditions are comparisons: their cost is bounded by their text, and they need no budget.

// isPlain reports whether nothing is left of an expression, once it is folded, whose cost depends on its values.
func isPlain(expr hclsyntax.Expression) bool {
	if !isLiveExpr(expr) {
		return true
	}
	switch e := unwrapped(expr).(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return true
	case *hclsyntax.BinaryOpExpr:
		return isPlain(e.LHS) && isPlain(e.RHS)
	case *hclsyntax.UnaryOpExpr:
		return isPlain(e.Val)
	case *hclsyntax.TemplateWrapExpr:
		return isPlain(e.Wrapped)
	case *hclsyntax.TemplateExpr:
		return !slices.ContainsFunc(e.Parts, func(part hclsyntax.Expression) bool { return !isPlain(part) })
	}
	return false
}

// fold is a plain expression with its constant parts computed, and without meters.
func fold(expr hclsyntax.Expression, static *hcl.EvalContext) (folded hclsyntax.Expression, ok bool) {
	if !isLiveExpr(expr) {
		v, diags := expr.Value(static)
		return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: expr.Range()}, !diags.HasErrors() && v.IsWhollyKnown()
	}
	switch e := unwrapped(expr).(type) {
	case *hclsyntax.BinaryOpExpr:
		copied := *e
		lhs, left := fold(e.LHS, static)
		rhs, right := fold(e.RHS, static)
		copied.LHS, copied.RHS = lhs, rhs
		return &copied, left && right
	case *hclsyntax.UnaryOpExpr:
		copied := *e
		copied.Val, ok = fold(e.Val, static)
		return &copied, ok
	case *hclsyntax.TemplateWrapExpr:
		copied := *e
		copied.Wrapped, ok = fold(e.Wrapped, static)
		return &copied, ok
	case *hclsyntax.TemplateExpr:
		copied := *e
		copied.Parts, ok = make([]hclsyntax.Expression, len(e.Parts)), true
		for i, part := range e.Parts {
			var whole bool
			copied.Parts[i], whole = fold(part, static)
			ok = ok && whole
		}
		return &copied, ok
	case *hclsyntax.ScopeTraversalExpr:
		return &liveValue{ScopeTraversalExpr: e, key: traversalText(e.Traversal)}, true
	default:
		return e, false
	}
}

// liveValue is a reference to a live value that is found by its whole name.
type liveValue struct {
	*hclsyntax.ScopeTraversalExpr

	key string
}

// Value implements hcl.Expression.
func (v *liveValue) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	return ctx.Variables[v.key], nil
}

// namedReference is a live value by its whole name.
type namedReference struct {
	reference

	key string
}

// isLiveExpr reports whether an expression reads a live value.
func isLiveExpr(expr hclsyntax.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return !isStatic(t.RootName()) })
}
