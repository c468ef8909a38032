package drillfile

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// checkConstantCondition reports a condition whose result does not depend on what is measured, and says why.
func (l *loader) checkConstantCondition(expr hclsyntax.Expression, c *Condition) {
	truth, part := decider{c.context(nil)}.decide(expr)
	if truth == undecided || part != nil && isSwitch(part) {
		return
	}
	detail := fmt.Sprintf("The result of this condition is always %s, whatever is measured", truth)
	at := expr.Range()
	if part != nil {
		at = part.Range()
		reasons := c.bounds(part)
		if op, ok := unwrapped(part).(*hclsyntax.BinaryOpExpr); ok && withItself(op) != undecided {
			reasons = []string{fmt.Sprintf("%s is compared with itself", op.LHS.Range().SliceBytes(l.src))}
		}
		if len(reasons) == 0 {
			reasons = []string{fmt.Sprintf("%s alone decides it", at.SliceBytes(l.src))}
		}
		detail += ": " + list(reasons)
	}
	l.report(at, "Constant condition", detail+". Check its operators and its limits.")
}

// isSwitch tells a part that only a variable or a local value decides: with it a file turns a condition on and off.
func isSwitch(part hclsyntax.Expression) bool {
	read := part.Variables()
	return len(read) > 0 && !slices.ContainsFunc(read, func(t hcl.Traversal) bool { return !isStatic(t.RootName()) })
}

// bounds says of each live value in an expression between what it is.
func (c *Condition) bounds(expr hclsyntax.Expression) []string {
	var all []string
	for _, t := range expr.Variables() {
		for _, root := range c.roots {
			for _, object := range root.objects {
				for _, r := range object.attributes {
					if s := r.bounds(); s != "" && r.String() == traversalText(t) && !slices.Contains(all, s) {
						all = append(all, s)
					}
				}
			}
		}
	}
	return all
}

func (r reference) bounds() string {
	least, most := r.live.Least, r.live.Most
	switch {
	case least != nil && most != nil:
		return fmt.Sprintf("%s is from %v to %v", r, *least, *most)
	case least != nil:
		return fmt.Sprintf("%s is never less than %v", r, *least)
	case most != nil:
		return fmt.Sprintf("%s is never more than %v", r, *most)
	}
	return ""
}

// decision is what a condition comes to without any reading.
type decision int

const (
	undecided decision = iota
	always
	never
)

// decider tells what an expression comes to when only the bounds of its live values are known. cty decides most of that
// by itself, but takes no bound to be reached.
type decider struct{ ctx *hcl.EvalContext }

// decide also returns the comparison that is the reason, when it is a part of the expression.
func (d decider) decide(expr hclsyntax.Expression) (decision, hclsyntax.Expression) {
	expr = unwrapped(expr)
	switch op := expr.(type) {
	case *hclsyntax.UnaryOpExpr:
		if op.Op == hclsyntax.OpLogicalNot {
			truth, why := d.decide(op.Val)
			return not(truth), why
		}
	case *hclsyntax.BinaryOpExpr:
		switch op.Op {
		case hclsyntax.OpLogicalAnd:
			return d.both(op, never)
		case hclsyntax.OpLogicalOr:
			return d.both(op, always)
		}
		if truth := d.compare(op); truth != undecided {
			return truth, op
		}
	}
	v, diags := expr.Value(d.ctx)
	if v, _ = v.Unmark(); diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.Bool {
		return undecided, nil
	}
	if v.True() {
		return always, expr
	}
	return never, expr
}

// both is a conjunction or a disjunction, which one side decides alone when it is so.
func (d decider) both(op *hclsyntax.BinaryOpExpr, alone decision) (decision, hclsyntax.Expression) {
	left, why := d.decide(op.LHS)
	if left == alone {
		return left, why
	}
	right, why := d.decide(op.RHS)
	if right == alone {
		return right, why
	}
	if left == undecided || right == undecided {
		return undecided, nil
	}
	return not(alone), nil
}

func not(d decision) decision {
	switch d {
	case always:
		return never
	case never:
		return always
	}
	return undecided
}

func (d decision) String() string {
	switch d {
	case always:
		return "true"
	case never:
		return "false"
	default:
		return "undecided"
	}
}

// compare tells what the bounds of the two sides say.
func (d decider) compare(op *hclsyntax.BinaryOpExpr) decision {
	if truth := withItself(op); truth != undecided {
		return truth
	}
	left, ok := d.span(op.LHS)
	if !ok {
		return undecided
	}
	right, ok := d.span(op.RHS)
	if !ok {
		return undecided
	}
	switch op.Op {
	case hclsyntax.OpLessThan:
		return left.below(right)
	case hclsyntax.OpGreaterThan:
		return right.below(left)
	case hclsyntax.OpLessThanOrEqual:
		return not(right.below(left))
	case hclsyntax.OpGreaterThanOrEqual:
		return not(left.below(right))
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
		if left.below(right) != always && right.below(left) != always {
			return undecided
		}
		if op.Op == hclsyntax.OpEqual {
			return never
		}
		return always
	}
	return undecided
}

// withItself tells what the comparison of a value with itself comes to.
func withItself(op *hclsyntax.BinaryOpExpr) decision {
	left, ok := unwrapped(op.LHS).(*hclsyntax.ScopeTraversalExpr)
	right, also := unwrapped(op.RHS).(*hclsyntax.ScopeTraversalExpr)
	if !ok || !also || traversalText(left.Traversal) != traversalText(right.Traversal) {
		return undecided
	}
	switch op.Op {
	case hclsyntax.OpEqual, hclsyntax.OpLessThanOrEqual, hclsyntax.OpGreaterThanOrEqual:
		return always
	case hclsyntax.OpNotEqual, hclsyntax.OpLessThan, hclsyntax.OpGreaterThan:
		return never
	}
	return undecided
}

// span is the least and the most that a number can be, both of which it may reach.
type span struct{ least, most *big.Float }

// span is that of an expression; false when it is no number.
func (d decider) span(expr hclsyntax.Expression) (span, bool) {
	v, diags := expr.Value(d.ctx)
	v, _ = v.Unmark()
	if diags.HasErrors() || v.Type() != cty.Number {
		return span{}, false
	}
	if v.IsKnown() {
		if v.IsNull() {
			return span{}, false
		}
		return span{v.AsBigFloat(), v.AsBigFloat()}, true
	}
	s := span{new(big.Float).SetInf(true), new(big.Float).SetInf(false)}
	if least, _ := v.Range().NumberLowerBound(); least.IsKnown() {
		s.least = least.AsBigFloat()
	}
	if most, _ := v.Range().NumberUpperBound(); most.IsKnown() {
		s.most = most.AsBigFloat()
	}
	return s, true
}

// below reports whether every number in s is less than every one in t, or none is.
func (s span) below(t span) decision {
	switch {
	case s.most.Cmp(t.least) < 0:
		return always
	case s.least.Cmp(t.most) >= 0:
		return never
	}
	return undecided
}
