package drillfile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/schema"
)

// reference is a live value that an expression reads: root.name.attribute.
type reference struct {
	root, name, attribute string
	at                    hcl.Range
	typ                   cty.Type // cty.NilType when the kind is not known
}

// scope is what conditions may refer to: root, then name. A kind is nil when it is not known.
type scope map[string]map[string]*Kind

// checkStatics reports what the arguments other than conditions refer to, because there is nothing yet that they may,
// and the calls of secret() outside the bodies of kinds.
func (l *loader) checkStatics(body *hclsyntax.Body, block string) {
	inKind := block == "target" || block == "probe" || block == "fault"
	for name, a := range body.Attributes {
		if isLive(block, name) {
			continue // the rule's compilation checks it
		}
		if !mayCallSecret(block) {
			l.checkSecrets(a.Expr)
		}
		for _, t := range a.Expr.Variables() {
			l.checkStatic(t)
		}
	}
	for _, b := range body.Blocks {
		if inKind {
			l.checkStatics(b.Body, block)
		} else {
			l.checkStatics(b.Body, b.Type)
		}
	}
}

// mayCallSecret tells the blocks whose kinds know which namespace a secret is in, and keep its value to themselves.
func mayCallSecret(block string) bool { return block == "target" || block == "fault" }

// isLive tells the arguments that stay expressions.
func isLive(block, argument string) bool {
	return (block == "assert" || block == "abort") && (argument == "condition" || argument == "error_message")
}

func (l *loader) checkStatic(t hcl.Traversal) {
	switch root := t.RootName(); root {
	case "var", "local":
		l.checkNamed(t)
	case "target", "probe", "run":
		l.report(t.SourceRange(), "Live value outside a condition",
			"This argument is read before the run, when nothing has been measured. Only condition and error_message may refer to live values.")
	default:
		detail := fmt.Sprintf("There is nothing named %q to refer to here.", root)
		if len(t) == 1 {
			detail += fmt.Sprintf(" If it is meant as text, put it in quotes: \"%s\".", root)
		}
		l.report(t.SourceRange(), "Unknown reference", detail)
	}
}

// checkSecrets reports calls of secret() where the value would not stay secret.
func (l *loader) checkSecrets(expr hclsyntax.Expression) {
	l.diags = append(l.diags, hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		if call, ok := node.(*hclsyntax.FunctionCallExpr); ok && slices.Contains(schema.SecretFunctions, call.Name) {
			return hcl.Diagnostics{problem(call.Range(), "Misplaced secret", fmt.Sprintf(
				"What stands here is printed in plans, logs and reports. Only a target's or a fault's own arguments may call %s(), such as dsn.", call.Name))}
		}
		return nil
	})...)
}

// live reads the references of a condition or a message, and reports those that lead nowhere. It returns false when
// there is a bad one.
func (l *loader) live(expr hclsyntax.Expression, scope scope) ([]reference, bool) {
	var refs []reference
	ok := true
	for _, t := range expr.Variables() {
		r, good := l.liveReference(t, scope)
		if ok = ok && good; r.root != "var" && r.root != "local" {
			refs = append(refs, r)
		}
	}
	return refs, ok
}

func (l *loader) liveReference(t hcl.Traversal, scope scope) (reference, bool) {
	r := reference{root: t.RootName(), at: t.SourceRange()}
	switch r.root {
	case "target", "probe":
	case "var", "local":
		return r, l.checkNamed(t)
	case "run":
		l.diags = append(l.diags, notYet(r.at, r.root+".…", "Conditions can refer to target.<name>.<attribute> and probe.<name>.<attribute>."))
		return r, false
	default:
		l.report(t[0].SourceRange(), "Unknown reference",
			fmt.Sprintf("There is nothing named %q to refer to here. Live values are written target.<name>.<attribute> or probe.<name>.<attribute>.", r.root))
		return r, false
	}
	name, hasName := step(t, 1)
	attribute, hasAttribute := step(t, 2)
	if !hasName || !hasAttribute {
		example := "target.orders.lag_seconds"
		if r.root == "probe" {
			example = "probe.checkout.success_ratio"
		}
		l.report(r.at, "Incomplete reference", fmt.Sprintf("Write the name of a %s and one of its attributes, as in %s.", r.root, example))
		return r, false
	}
	r.name, r.attribute = name, attribute
	kind, known := scope[r.root][name]
	if !known {
		l.report(t[1].SourceRange(), "Unknown "+r.root, fmt.Sprintf("This drill has no %s named %q.%s", r.root, name, schema.DidYouMean(name, keys(scope[r.root]))))
		return r, false
	}
	if kind == nil {
		return r, true // the kind is unknown, which has been reported
	}
	live, known := schema.Find(kind.Attributes, attribute)
	if r.typ = live.Type; !known {
		l.report(t[2].SourceRange(), "Unknown attribute",
			fmt.Sprintf("A %s of kind %s has no attribute named %q.%s", r.root, kind.Name, attribute, schema.DidYouMean(attribute, schema.Names(kind.Attributes))))
		return r, false
	}
	l.checkMeasured(r)
	return r, true
}

// step is the name at a place of a traversal, however it is written: .name or ["name"].
func step(t hcl.Traversal, i int) (string, bool) {
	if i >= len(t) {
		return "", false
	}
	switch s := t[i].(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if s.Key.IsKnown() && !s.Key.IsNull() && s.Key.Type() == cty.String {
			return s.Key.AsString(), true
		}
	}
	return "", false
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
