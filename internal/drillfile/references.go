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

// reference is a live value that an expression reads: root.name.attribute, or run.attribute.
type reference struct {
	root, name, attribute string
	at                    hcl.Range
	live                  schema.Attribute // without a type when the kind is not known
	unknown               cty.Value        // while there is no reading
}

// String is the reference as people write it.
func (r reference) String() string {
	if r.name == "" {
		return r.root + "." + r.attribute
	}
	return r.root + "." + r.name + "." + r.attribute
}

// moment is when a condition is evaluated.
type moment int

const (
	atStart moment = iota // before the first fault
	inRun
	atEnd
)

// scope is what the conditions of a drill may refer to.
type scope struct {
	kinds map[string]map[string]*Kind // by root, then name; nil: the kind is not known
	vague map[string]bool             // roots of which blocks were left out, so that any name may have been meant
	asked map[string]hcl.Range        // the objectives that the drill has
	when  moment
}

func (s scope) at(when moment) scope {
	s.when = when
	return s
}

// Since the first injection; nothing has this reading before.
const sinceFault = "fault_seconds"

// RunAttributes are what conditions may ask of the run itself.
func RunAttributes() []schema.Attribute {
	return []schema.Attribute{
		schema.Seconds("elapsed_seconds", "How long the run has been going on."),
		schema.Seconds(sinceFault, "How long ago the first fault was injected; no reading before."),
	}
}

// checkStatics reports what the arguments other than conditions refer to and may not.
func (l *loader) checkStatics(body *hclsyntax.Body, block string) {
	inKind := block == "target" || block == "probe" || block == "fault"
	for name, a := range body.Attributes {
		if isLive(block, name) {
			continue // the rule's compilation checks it
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

// isLive tells the arguments that stay expressions.
func isLive(block, argument string) bool {
	return (block == "assert" || block == "abort" || block == "precondition") && (argument == "condition" || argument == "error_message")
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
		if isStatic(t.RootName()) {
			ok = l.checkConstant(t) && ok
			continue
		}
		r, good := l.liveReference(t, scope)
		refs, ok = append(refs, r), ok && good
	}
	return refs, ok
}

// isStatic tells what is known before the run from live values.
func isStatic(root string) bool { return root == "var" || root == "local" }

// checkConstant reports a variable or a local value that does not exist, or that a condition would give away.
func (l *loader) checkConstant(t hcl.Traversal) bool {
	if !l.checkNamed(t) {
		return false
	}
	v, diags := t.TraverseAbs(l.static)
	if diags.HasErrors() {
		l.diags = append(l.diags, diags...)
		return false
	}
	_, marks := v.UnmarkDeep()
	if _, secret := marks[schema.Sensitive]; secret {
		l.report(t.SourceRange(), "Misplaced secret", "What a condition compares is printed when it does not hold, and so is its message. Compare something that may be known.")
		return false
	}
	return true
}

func (l *loader) liveReference(t hcl.Traversal, scope scope) (reference, bool) {
	r := reference{root: t.RootName(), at: t.SourceRange()}
	switch r.root {
	case "target", "probe":
		return l.partReference(t, r, scope)
	case "run":
		return l.runReference(t, r, scope)
	}
	l.report(t[0].SourceRange(), "Unknown reference",
		fmt.Sprintf("There is nothing named %q to refer to here.%s", r.root, schema.DidYouMean(r.root, []string{"target", "probe", "run", "var", "local"})))
	return r, false
}

func (l *loader) runReference(t hcl.Traversal, r reference, scope scope) (reference, bool) {
	attribute, ok := step(t, 1)
	if !ok {
		l.report(r.at, "Incomplete reference", "Write one of the run's attributes, as in run.elapsed_seconds.")
		return r, false
	}
	all := RunAttributes()
	if r.live, ok = schema.Find(all, attribute); !ok {
		l.report(t[1].SourceRange(), "Unknown attribute", fmt.Sprintf("A run has no attribute named %q.%s", attribute, schema.DidYouMean(attribute, schema.Names(all))))
		return r, false
	}
	r.attribute, r.unknown = attribute, r.live.Unknown()
	if attribute == sinceFault && scope.when == atStart {
		l.report(r.at, "Value without a reading",
			"This condition is evaluated before the first fault, and until then run.fault_seconds has no reading, so the run would always be refused. Refer to it in an abort condition or an objective.")
		return r, false
	}
	return r, true
}

func (l *loader) partReference(t hcl.Traversal, r reference, scope scope) (reference, bool) {
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
	kind, known := scope.kinds[r.root][name]
	switch {
	case !known && scope.vague[r.root]:
		return r, true // it may be the name of a block that was left out, which has been reported
	case !known:
		l.report(t[1].SourceRange(), "Unknown "+r.root, fmt.Sprintf("This drill has no %s named %q.%s", r.root, name, schema.DidYouMean(name, keys(scope.kinds[r.root]))))
		return r, false
	case kind == nil:
		return r, true // the kind is unknown, which has been reported
	}
	if r.live, known = schema.Find(kind.Attributes, attribute); !known {
		l.report(t[2].SourceRange(), "Unknown attribute",
			fmt.Sprintf("A %s of kind %s has no attribute named %q.%s", r.root, kind.Name, attribute, schema.DidYouMean(attribute, schema.Names(kind.Attributes))))
		return r, false
	}
	r.unknown = r.live.Unknown()
	if r.root == "target" {
		l.checkMeasured(r, scope.asked)
	}
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
