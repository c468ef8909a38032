package drillfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/failoverdrill/drill/internal/schema"
)

// declare reads the variables and locals, and returns the body without them. After it, every argument of the file can be
// evaluated with l.static.
func (l *loader) declare(body *hclsyntax.Body) *hclsyntax.Body {
	meterBody(body)
	l.declared, l.locals = map[string]*variable{}, map[string]*local{}
	l.budget, l.conditions = &budget{steps: fileSteps}, &budget{steps: checkSteps}
	functions := &hcl.EvalContext{Functions: functionMap}
	l.static = withBudget(functions, l.budget)
	l.static.Functions = l.checkCalls(body)
	maps.Copy(l.static.Functions, map[string]function.Function{"env": l.envFunction(), "file": l.fileFunction()})
	// Live values outside a condition are reported, and would only be reported again.
	for _, root := range []string{"target", "probe", "run"} {
		l.static.Variables[root] = cty.DynamicVal
	}

	l.named, l.whole = map[string]map[string]cty.Value{"var": {}, "local": {}}, map[string]bool{}
	l.standIns(body)
	l.settle("var")
	l.settle("local")
	kept := &hclsyntax.Body{Attributes: body.Attributes, SrcRange: body.SrcRange, EndRange: body.EndRange}
	var variables, locals []*hclsyntax.Block
	for _, b := range body.Blocks {
		switch b.Type {
		case "variable":
			variables = append(variables, b)
		case "locals":
			locals = append(locals, b)
		default:
			kept.Blocks = append(kept.Blocks, b)
		}
	}
	l.declareLocals(locals) // their names, so that references can be told from mistakes
	l.variables(variables)
	l.evaluateLocals()
	return kept
}

// local is one that the file declares.
type local struct {
	name string
	attr *hclsyntax.Attribute
	refs []hcl.Traversal // to other locals

	wrong bool // it refers to something that there is not, which has been reported
	// state tells those that are being evaluated, or have been.
	state localState
	value cty.Value // DynamicVal when something was wrong, which has been reported
}

type localState int

const (
	waiting localState = iota
	evaluating
	evaluated
)

func (l *loader) declareLocals(blocks []*hclsyntax.Block) {
	for _, b := range blocks {
		if len(b.Labels) > 0 {
			l.report(b.LabelRanges[0], "Unexpected label", "A locals block has no name. Write locals { … }, with as many values as there are in it.")
		}
		for _, inner := range b.Body.Blocks {
			l.report(inner.DefRange(), "Unsupported block type", fmt.Sprintf("A locals block holds values, as in %s = { … }, with an equals sign.", inner.Type))
		}
		for _, a := range slices.SortedFunc(maps.Values(b.Body.Attributes), func(a, b *hclsyntax.Attribute) int { return a.NameRange.Start.Byte - b.NameRange.Start.Byte }) {
			if first := l.locals[a.Name]; first != nil {
				at := first.attr.NameRange
				l.report(a.NameRange, "Duplicate name", fmt.Sprintf("Another local named %q is on line %d of %s; this one is on line %d. Give one of them a different name.",
					a.Name, at.Start.Line, at.Filename, a.NameRange.Start.Line))
				continue
			}
			x := &local{name: a.Name, attr: a, value: cty.DynamicVal}
			l.locals[a.Name] = x
			l.localOrder = append(l.localOrder, x)
		}
	}
}

// evaluateLocals evaluates each after those that it refers to.
func (l *loader) evaluateLocals() {
	for _, x := range l.localOrder {
		before := len(l.diags)
		for _, t := range x.attr.Expr.Variables() {
			l.checkStatic(t)
			if _, ok := step(t, 1); ok && t.RootName() == "local" {
				x.refs = append(x.refs, t)
			}
		}
		x.wrong = len(l.diags) > before
	}
	for _, x := range l.localOrder {
		if x.state == waiting {
			l.evaluateLocal(x, nil)
		}
		l.named["local"][x.name] = x.value
	}
	l.settle("local")
}

// evaluateLocal follows the references depth first. The way is the locals that led here.
func (l *loader) evaluateLocal(x *local, way []*local) {
	x.state = evaluating
	way = append(way, x)
	needed := map[string]cty.Value{}
	for _, t := range x.refs {
		name, _ := step(t, 1)
		needed[name] = cty.DynamicVal
		next := l.locals[name]
		if next == nil {
			continue // which has been reported
		}
		switch next.state {
		case waiting:
			l.evaluateLocal(next, way)
		case evaluating:
			x.wrong = true
			l.cycle(t, way[slices.Index(way, next):])
		case evaluated:
		}
		needed[name] = next.value
	}
	if !x.wrong {
		ctx := l.static.NewChild()
		ctx.Variables = map[string]cty.Value{"local": cty.ObjectVal(needed)}
		v, diags := x.attr.Expr.Value(ctx)
		if l.diags = append(l.diags, diags...); !diags.HasErrors() {
			x.value = v
		}
	}
	x.state = evaluated
}

// cycle reports locals that need each other's values, at the reference that closes the circle.
func (l *loader) cycle(t hcl.Traversal, way []*local) {
	var path []string
	for _, x := range way {
		path = append(path, x.name)
	}
	path = append(path, way[0].name)
	detail := fmt.Sprintf("These locals need each other's values: %s. Write one of them out.", strings.Join(path, " → "))
	if len(way) == 1 {
		detail = fmt.Sprintf("The local %q needs its own value. Refer to something else, or write the value out.", way[0].name)
	}
	l.report(t.SourceRange(), "Locals in a circle", detail)
}

// known lists the variables' or the locals' names. They are sorted once: a file may refer to thousands that there are not.
func (l *loader) known(root string) []string {
	sorted, count := &l.knownVariables, len(l.declared)
	if root == "local" {
		sorted, count = &l.knownLocals, len(l.locals)
	}
	if len(*sorted) != count {
		if *sorted = keys(l.declared); root == "local" {
			*sorted = keys(l.locals)
		}
	}
	return *sorted
}

// checkNamed reports a reference to a variable or a local that there is not. It returns true when all is well.
func (l *loader) checkNamed(t hcl.Traversal) bool {
	root := t.RootName()
	what := "variable"
	if root == "local" {
		what = "local"
	}
	name, ok := step(t, 1)
	if !ok {
		l.report(t.SourceRange(), "Incomplete reference", fmt.Sprintf("Write the name of a %s, as in %s.namespace.", what, root))
		return false
	}
	if root == "var" && l.declared[name] != nil || root == "local" && l.locals[name] != nil {
		return true
	}
	known := l.known(root)
	detail := fmt.Sprintf("This file has no %s named %q.%s", what, name, schema.DidYouMean(name, known))
	switch {
	case root == "var" && l.locals[name] != nil:
		detail = fmt.Sprintf("This file has no variable named %q, but there is a local of that name. Write local.%s.", name, name)
	case root == "local" && l.declared[name] != nil:
		detail = fmt.Sprintf("This file has no local named %q, but there is a variable of that name. Write var.%s.", name, name)
	case len(known) == 0 && root == "var":
		detail = fmt.Sprintf("This file declares no variable. Write a block variable %q { … }, or the value itself.", name)
	case len(known) == 0:
		detail = fmt.Sprintf("This file has no locals. Write a block locals { %s = … }, or the value itself.", name)
	}
	l.report(t[1].SourceRange(), "Unknown "+what, detail)
	return false
}

// standIns puts an unknown value for each variable and local that is referred to anywhere, so that one that there is not,
// which is reported elsewhere, is not complained of again.
func (l *loader) standIns(body *hclsyntax.Body) {
	for _, a := range body.Attributes {
		for _, t := range a.Expr.Variables() {
			root := t.RootName()
			if named := l.named[root]; named == nil {
				l.static.Variables[root] = cty.DynamicVal
			} else if name, ok := step(t, 1); ok {
				named[name] = cty.DynamicVal
			} else {
				l.whole[root] = true
			}
		}
	}
	for _, b := range body.Blocks {
		l.standIns(b.Body)
	}
}

// settle gives expressions the values of the variables or the locals. A reference to all of them is an error of its own.
func (l *loader) settle(root string) {
	l.static.Variables[root] = cty.ObjectVal(l.named[root])
	if l.whole[root] {
		l.static.Variables[root] = cty.DynamicVal
	}
}
