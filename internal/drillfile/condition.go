package drillfile

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/failoverdrill/drill/internal/drill"
)

// Condition is a drill.Condition: an expression over live values and its message. It keeps no state, so any number of
// goroutines may evaluate it.
type Condition struct {
	condition hclsyntax.Expression
	message   hclsyntax.Expression
	text      string           // of the condition, as in the file
	whole     *budget          // of checking all conditions of a file; nil in a run
	static    *hcl.EvalContext // variables, locals and functions
	plain     bool             // neither expression needs them any more, nor a budget
	names     []namedReference // the live values of a plain condition
	roots     []liveRoot       // the live values that the expressions read, and nothing else
	read      []mention        // what the condition reads, in its order
	silent    []mention        // what of that the message does not mention
	bad       drill.Truth      // the truth about which people are told
}

type liveRoot struct {
	name    string
	objects []liveObject
}

type liveObject struct {
	name       string // "" of a root that has attributes itself
	attributes []reference
}

func newCondition(condition, message hclsyntax.Expression, changing, mentioned []reference, src []byte, static *hcl.EvalContext, when moment) *Condition {
	c := &Condition{
		condition: condition, message: message, static: static,
		text: string(condition.Range().SliceBytes(src)),
		bad:  drill.False,
	}
	if when == inRun {
		c.bad = drill.True
	}
	for _, r := range slices.Concat(changing, mentioned) {
		c.add(r)
	}
	said := map[string]bool{}
	for _, t := range message.Variables() {
		said[traversalText(t)] = true
	}
	for _, t := range condition.Variables() {
		m := mention{name: traversalText(t), traversal: t}
		if slices.ContainsFunc(c.read, func(x mention) bool { return x.name == m.name }) {
			continue
		}
		if isStatic(t.RootName()) {
			v, _ := t.TraverseAbs(static)
			m.constant = shown(v)
		}
		if c.read = append(c.read, m); !said[m.name] {
			c.silent = append(c.silent, m)
		}
	}
	return c
}

func (c *Condition) add(r reference) {
	i := slices.IndexFunc(c.roots, func(x liveRoot) bool { return x.name == r.root })
	if i < 0 {
		i, c.roots = len(c.roots), append(c.roots, liveRoot{name: r.root})
	}
	root := &c.roots[i]
	j := slices.IndexFunc(root.objects, func(x liveObject) bool { return x.name == r.name })
	if j < 0 {
		j, root.objects = len(root.objects), append(root.objects, liveObject{name: r.name})
	}
	object := &root.objects[j]
	if !slices.ContainsFunc(object.attributes, func(x reference) bool { return x.attribute == r.attribute }) {
		object.attributes = append(object.attributes, r)
	}
}

// String is the condition as the file has it.
func (c *Condition) String() string { return c.text }

// Evaluate implements drill.Condition. A value without a reading makes the outcome Unknown, unless the condition is
// decided without it.
func (c *Condition) Evaluate(live drill.Live) (drill.Truth, string) {
	ctx := c.context(live)
	v, diags := c.condition.Value(ctx)
	if diags.HasErrors() {
		return drill.Unknown, fmt.Sprintf("The condition %s cannot be evaluated: %s", c.text, diags[0].Detail)
	}
	if over := c.overspent(ctx); over != nil {
		return drill.Unknown, fmt.Sprintf("The condition %s cannot be evaluated: %s", c.text, over.Detail)
	}
	v, _ = v.Unmark()
	truth := drill.False
	switch {
	case !v.IsKnown() || v.IsNull() || v.Type() != cty.Bool:
		truth = drill.Unknown
	case v.True():
		truth = drill.True
	}
	return truth, c.say(ctx, live, truth)
}

// fold computes once what no live value is in, if that is worth it.
func (c *Condition) fold() *Condition {
	if !isPlain(c.condition) || !isPlain(c.message) {
		return c
	}
	condition, ok := fold(c.condition, c.static)
	message, also := fold(c.message, c.static)
	if !ok || !also {
		return c
	}
	c.condition, c.message, c.plain = condition, message, true
	for _, root := range c.roots {
		for _, object := range root.objects {
			for _, r := range object.attributes {
				c.names = append(c.names, namedReference{r, r.String()})
			}
		}
	}
	return c
}

// overspent says that the budget of an evaluation ran out.
func (c *Condition) overspent(ctx *hcl.EvalContext) *hcl.Diagnostic {
	if c.plain {
		return nil
	}
	return budgetOf(ctx).problem()
}

// say is the message with the values in it; what has no reading is called so. When the condition is not as it should be,
// the values that decide it are added if the message does not mention them.
func (c *Condition) say(ctx *hcl.EvalContext, live drill.Live, truth drill.Truth) string {
	s, ok := text(c.message, ctx)
	if !ok {
		s, ok = text(c.message, c.contextWith(live, cty.StringVal("(no reading yet)")))
	}
	if !ok {
		return strings.TrimSpace("The condition is " + c.text + ", and " + c.tell(c.read, ctx) + ".")
	}
	if len(c.silent) > 0 && (truth == c.bad || truth == drill.Unknown) {
		s += " (" + c.tell(c.silent, ctx) + ")"
	}
	return s
}

// mention is a value that a condition reads.
type mention struct {
	name      string
	traversal hcl.Traversal
	constant  string // of a variable or a local value: what it is
}

// tell says what values are.
func (c *Condition) tell(all []mention, ctx *hcl.EvalContext) string {
	var b strings.Builder
	for i, m := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(m.name)
		value := m.constant
		if value == "" {
			value = shown(c.valueOf(m, ctx))
		}
		if value == "" {
			b.WriteString(" has no reading yet")
		} else {
			b.WriteString(" is ")
			b.WriteString(value)
		}
	}
	return b.String()
}

func (c *Condition) valueOf(m mention, ctx *hcl.EvalContext) cty.Value {
	if c.plain {
		return ctx.Variables[m.name]
	}
	v, _ := m.traversal.TraverseAbs(ctx)
	return v
}

func text(expr hclsyntax.Expression, ctx *hcl.EvalContext) (string, bool) {
	v, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return "", false
	}
	v, _ = v.Unmark()
	s, err := convert.Convert(v, cty.String)
	if err != nil || !s.IsKnown() || s.IsNull() {
		return "", false
	}
	return strings.TrimSpace(s.AsString()), true
}

// context holds the values that the expressions read: unknown where there is no reading.
func (c *Condition) context(live drill.Live) *hcl.EvalContext { return c.contextWith(live, cty.NilVal) }

func (c *Condition) contextWith(live drill.Live, missing cty.Value) *hcl.EvalContext {
	if c.plain {
		return c.flat(live, missing)
	}
	ctx := withBudget(c.static, &budget{steps: conditionSteps, whole: c.whole})
	for _, root := range c.roots {
		objects := make(map[string]cty.Value, len(root.objects))
		for _, object := range root.objects {
			readings := live[root.name][object.name]
			attributes := make(map[string]cty.Value, len(object.attributes))
			for _, r := range object.attributes {
				reading, ok := readings[r.attribute]
				v := value(r, reading, ok)
				if !v.IsKnown() && missing != cty.NilVal {
					v = missing
				}
				attributes[r.attribute] = v
			}
			if object.name == "" {
				objects = attributes
			} else {
				objects[object.name] = cty.ObjectVal(attributes)
			}
		}
		ctx.Variables[root.name] = cty.ObjectVal(objects)
	}
	return ctx
}

// flat is the context of a folded condition: every value by its whole name, where liveValue looks.
func (c *Condition) flat(live drill.Live, missing cty.Value) *hcl.EvalContext {
	values := make(map[string]cty.Value, len(c.names))
	for i := range c.names {
		n := &c.names[i]
		reading, ok := live[n.root][n.name][n.attribute]
		v := value(n.reference, reading, ok)
		if missing != cty.NilVal && !v.IsKnown() {
			v = missing
		}
		values[n.key] = v
	}
	return &hcl.EvalContext{Variables: values}
}

// value is a reading as an expression sees it. Microseconds are as exact as anything is measured, and more digits
// would only be noise in messages.
func value(r reference, reading float64, ok bool) cty.Value {
	switch {
	case !ok || math.IsNaN(reading):
		return r.unknown
	case r.live.Type == cty.Bool:
		return cty.BoolVal(reading != 0)
	case r.live.Type != cty.Number:
		return r.unknown
	case math.IsInf(reading, 1):
		return cty.PositiveInfinity
	case math.IsInf(reading, -1):
		return cty.NegativeInfinity
	}
	if math.Abs(reading) < 1e9 {
		reading = math.Round(reading*1e6) / 1e6
	}
	return cty.NumberFloatVal(reading)
}

// namedValue is a value that an expression reads, for people; "" when there is no reading.
type namedValue struct{ traversal, value string }

// values are what an expression reads, in its order, each once.
func values(read []hcl.Traversal, ctx *hcl.EvalContext) []namedValue {
	var found []namedValue
	for _, t := range read {
		name := traversalText(t)
		v, diags := t.TraverseAbs(ctx)
		if diags.HasErrors() || v.IsMarked() || slices.ContainsFunc(found, func(x namedValue) bool { return x.traversal == name }) {
			continue
		}
		found = append(found, namedValue{name, shown(v)})
	}
	return found
}

// shown is a value for people.
func shown(v cty.Value) string {
	switch {
	case !v.IsKnown():
		return ""
	case v.IsNull():
		return "null"
	case v.Type() == cty.Number:
		return v.AsBigFloat().Text('g', 10)
	case v.Type() == cty.Bool:
		return strconv.FormatBool(v.True())
	case v.Type() == cty.String:
		return strconv.Quote(short(v.AsString(), maxWord))
	}
	return aType(v.Type())
}

func traversalText(t hcl.Traversal) string {
	var b strings.Builder
	b.WriteString(t.RootName())
	for i := 1; i < len(t); i++ {
		if name, ok := step(t, i); ok {
			b.WriteString("." + name)
		} else {
			b.WriteString("[…]")
		}
	}
	return b.String()
}
