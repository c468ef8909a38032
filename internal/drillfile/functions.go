package drillfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/failoverdrill/drill/internal/schema"
)

// Function is one of the language.
type Function struct {
	Name      string
	Signature string // how it is called
	Doc       string // one sentence
	Group     string // what it is about

	impl  function.Function
	cost  func(args []cty.Value) int // for one that multiplies: how large its work or its result can be
	moves bool                       // only moves its arguments, or joins texts: they may be secrets that are not known yet
}

// Functions lists those of the language, by group and name.
func Functions() []Function { return slices.Clone(functionTable) }

// The groups of functions.
const (
	groupDrill      = "Drills"
	groupNumber     = "Numbers"
	groupText       = "Texts"
	groupCollection = "Collections"
	groupEncoding   = "Encodings"
	groupType       = "Types and errors"
)

// functionTable has the functions under Terraform's names. Nothing that gives another result tomorrow is in it.
var functionTable = slices.Concat(
	[]Function{
		{Name: "duration", Signature: "duration(text)", Doc: `The number of seconds in a duration such as "90s".`, Group: groupDrill, impl: durationFunction()},
		{Name: "env", Signature: "env(name)", Doc: "The value of an environment variable of whoever starts the run. It is sensitive, and must be set.", Group: groupDrill, impl: unknownFunction()},
		{Name: "file", Signature: "file(path)", Doc: "The text of a file, by its path from the drill file's directory. It is sensitive.", Group: groupDrill, impl: unknownFunction()},
		{Name: "secret", Signature: "secret(name, key)", Doc: "The value of a key of a Kubernetes Secret in the target's namespace. It is sensitive, and known only while the drill runs, so it can be put into a longer text and nothing else.", Group: groupDrill, impl: secretFunction()},
	},
	grouped(groupNumber, numberFunctions),
	grouped(groupText, textFunctions),
	grouped(groupCollection, collectionFunctions),
	grouped(groupEncoding, []Function{
		{Name: "base64decode", Signature: "base64decode(text)", Doc: "The text that a Base64 text stands for.", impl: base64DecodeFunction()},
		{Name: "base64encode", Signature: "base64encode(text)", Doc: "A text in Base64.", impl: base64EncodeFunction()},
		{Name: "jsondecode", Signature: "jsondecode(text)", Doc: "The value that a JSON text stands for.", impl: ordinary(stdlib.JSONDecodeFunc), cost: jsonCost},
		{Name: "jsonencode", Signature: "jsonencode(value)", Doc: "A value as JSON.", impl: stdlib.JSONEncodeFunc},
		{Name: "urlencode", Signature: "urlencode(text)", Doc: "A text as a part of a URL's query.", impl: urlEncodeFunction()},
	}),
	grouped(groupType, []Function{
		{Name: "can", Signature: "can(expression)", Doc: "Whether an expression can be evaluated without an error.", impl: tryfunc.CanFunc, moves: true},
		{Name: "sensitive", Signature: "sensitive(value)", Doc: "The value, never to be shown.", impl: sensitiveFunction(), moves: true},
		{Name: "tobool", Signature: "tobool(value)", Doc: "A value as true or false.", impl: stdlib.MakeToFunc(cty.Bool)},
		{Name: "tolist", Signature: "tolist(value)", Doc: "A value as a list.", impl: stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType))},
		{Name: "tomap", Signature: "tomap(value)", Doc: "A value as a map.", impl: stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType))},
		{Name: "tonumber", Signature: "tonumber(value)", Doc: "A value as a number.", impl: stdlib.MakeToFunc(cty.Number)},
		{Name: "toset", Signature: "toset(value)", Doc: "A value as a set: each element once, without order.", impl: stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType))},
		{Name: "tostring", Signature: "tostring(value)", Doc: "A value as a text.", impl: stdlib.MakeToFunc(cty.String)},
		{Name: "try", Signature: "try(expression, …)", Doc: "The first of several expressions that can be evaluated without an error.", impl: tryfunc.TryFunc, moves: true},
	}),
)

func grouped(group string, all []Function) []Function {
	for i := range all {
		all[i].Group = group
	}
	return all
}

var (
	functionIndex = indexFunctions()
	functionMap   = mapFunctions()
)

func indexFunctions() map[string]*Function {
	index := make(map[string]*Function, len(functionTable))
	for i := range functionTable {
		index[functionTable[i].Name] = &functionTable[i]
	}
	return index
}

func mapFunctions() map[string]function.Function {
	all := make(map[string]function.Function, len(functionTable))
	for _, f := range functionTable {
		all[f.Name] = f.impl
	}
	return all
}

func functionNamed(name string) *Function { return functionIndex[name] }

// refusedFunctions are those of Terraform that drill has not, for a reason.
func refusedFunctions() map[string]string {
	const changes = "would give another result each time, and a drill must read alike wherever and whenever it is read. Write the value out, or give it to a variable."
	return map[string]string{
		"timestamp": changes, "plantimestamp": changes, "uuid": changes, "uuidv5": changes, "bcrypt": changes,
		"random": changes, "nonsensitive": "would show what env(), file() or secret() gave, which are never shown. Give the value to a variable that is not sensitive.",
		"templatefile": "is not in the drill language: a drill stands alone, in one file. Write the template where it is used.",
		"pathexpand":   "is not in the drill language: file() takes paths from the drill file's directory.",
		"abspath":      "is not in the drill language: file() takes paths from the drill file's directory.",
		"fileexists":   "would depend on the machine that reads the drill. Write what is to be used into a variable.",
		"yamldecode":   "is not in the drill language. Write the value in HCL, or use jsondecode().",
		"yamlencode":   "is not in the drill language. Use jsonencode(), which is valid YAML.",
	}
}

// checkCalls reports calls of functions that there are not, also where try() would hide them, and returns stand-ins for them.
func (l *loader) checkCalls(body *hclsyntax.Body) map[string]function.Function {
	missing := map[string]function.Function{}
	l.checkCallsIn(body, "", missing)
	return missing
}

func (l *loader) checkCallsIn(body *hclsyntax.Body, block string, missing map[string]function.Function) {
	for name, a := range body.Attributes {
		if block != "variable" || name != "type" { // list(string) is no call
			l.diags = append(l.diags, unknownCalls(a.Expr, missing)...)
		}
	}
	for _, b := range body.Blocks {
		l.checkCallsIn(b.Body, b.Type, missing)
	}
}

func unknownCalls(expr hclsyntax.Expression, missing map[string]function.Function) hcl.Diagnostics {
	return hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		call, ok := node.(*hclsyntax.FunctionCallExpr)
		if !ok || functionNamed(call.Name) != nil {
			return nil
		}
		missing[call.Name] = unknownFunction()
		if why, refused := refusedFunctions()[call.Name]; refused {
			return hcl.Diagnostics{problem(call.NameRange, "Function not available", fmt.Sprintf("%s() %s", call.Name, why))}
		}
		detail := fmt.Sprintf("There is no function named %q.", call.Name)
		if best := schema.DidYouMean(call.Name, slices.Collect(maps.Keys(functionIndex))); strings.HasPrefix(best, " Did") {
			detail += best
		}
		return hcl.Diagnostics{problem(call.NameRange, "Call to unknown function", detail)}
	})
}

// unknownFunction stands in for a function whose call has been reported, or that a file has its own of.
func unknownFunction() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "argument", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
		Type:     function.StaticReturnType(cty.DynamicPseudoType),
		Impl:     func([]cty.Value, cty.Type) (cty.Value, error) { return cty.DynamicVal, nil },
	})
}
