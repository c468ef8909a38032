package drillfile

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// meterBody puts every expression of a body, and every part of one, on a budget.
func meterBody(body *hclsyntax.Body) {
	for _, a := range body.Attributes {
		a.Expr = meter(a.Expr)
	}
	for _, b := range body.Blocks {
		meterBody(b.Body)
	}
}

// meter puts an expression on a budget. What is written out costs nothing beside its own text.
func meter(expr hclsyntax.Expression) hclsyntax.Expression { return metering(expr, metered{}) }

// combine is meter for what an operator or a function looks at.
func combine(expr hclsyntax.Expression) hclsyntax.Expression {
	return metering(expr, metered{combined: true})
}

func metering(expr hclsyntax.Expression, m metered) hclsyntax.Expression {
	switch e := expr.(type) {
	case nil:
		return nil
	case *hclsyntax.LiteralValueExpr, *metered:
		return expr
	case *hclsyntax.TemplateExpr:
		if e.IsStringLiteral() {
			return expr
		}
	}
	meterParts(expr)
	m.ParenthesesExpr = &hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}
	return &m
}

func meterParts(expr hclsyntax.Expression) {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		e.Expression = meter(e.Expression)
	case *hclsyntax.RelativeTraversalExpr:
		e.Source = meter(e.Source)
	case *hclsyntax.FunctionCallExpr:
		f := functionNamed(e.Name)
		for i := range e.Args {
			e.Args[i] = metering(e.Args[i], metered{combined: f != nil && !f.moves})
		}
	case *hclsyntax.ConditionalExpr:
		e.Condition, e.TrueResult, e.FalseResult = combine(e.Condition), meter(e.TrueResult), meter(e.FalseResult)
	case *hclsyntax.BinaryOpExpr:
		e.LHS, e.RHS = combine(e.LHS), combine(e.RHS)
	case *hclsyntax.UnaryOpExpr:
		e.Val = combine(e.Val)
	case *hclsyntax.IndexExpr:
		e.Collection, e.Key = meter(e.Collection), combine(e.Key)
	case *hclsyntax.TupleConsExpr:
		meterAll(e.Exprs)
	case *hclsyntax.TemplateExpr:
		meterAll(e.Parts)
	case *hclsyntax.TemplateJoinExpr:
		e.Tuple = meter(e.Tuple)
	case *hclsyntax.TemplateWrapExpr:
		e.Wrapped = meter(e.Wrapped)
	case *hclsyntax.ObjectConsExpr:
		for i := range e.Items {
			meterKey(e.Items[i].KeyExpr)
			e.Items[i].ValueExpr = meter(e.Items[i].ValueExpr)
		}
	case *hclsyntax.ForExpr:
		e.CollExpr = metering(e.CollExpr, metered{collection: true})
		e.KeyExpr, e.ValExpr, e.CondExpr = combine(e.KeyExpr), each(e.ValExpr), combine(e.CondExpr)
	case *hclsyntax.SplatExpr:
		e.Source, e.Each = metering(e.Source, metered{collection: true}), each(e.Each)
	}
}

func meterAll(all []hclsyntax.Expression) {
	for i := range all {
		all[i] = meter(all[i])
	}
}

// each meters what is evaluated for every element, also when it is written out.
func each(expr hclsyntax.Expression) hclsyntax.Expression {
	m := meter(expr)
	if _, ok := m.(*metered); ok {
		return m
	}
	return &metered{ParenthesesExpr: &hclsyntax.ParenthesesExpr{Expression: m, SrcRange: m.Range()}}
}

// meterKey leaves a key alone that is a name: HCL reads those as texts.
func meterKey(expr hclsyntax.Expression) {
	key, ok := expr.(*hclsyntax.ObjectConsKeyExpr)
	if !ok {
		return
	}
	if _, name := key.Wrapped.(*hclsyntax.ScopeTraversalExpr); name && !key.ForceNonLiteral || hcl.ExprAsKeyword(key.Wrapped) != "" {
		return
	}
	key.Wrapped = combine(key.Wrapped)
}
