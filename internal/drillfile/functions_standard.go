package drillfile

import (
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

var numberFunctions = []Function{
	{Name: "abs", Signature: "abs(number)", Doc: "A number without its sign.", impl: stdlib.AbsoluteFunc},
	{Name: "ceil", Signature: "ceil(number)", Doc: "The next whole number that is not smaller.", impl: stdlib.CeilFunc},
	{Name: "floor", Signature: "floor(number)", Doc: "The next whole number that is not larger.", impl: stdlib.FloorFunc},
	{Name: "log", Signature: "log(number, base)", Doc: "The logarithm of a number in a base.", impl: stdlib.LogFunc},
	{Name: "max", Signature: "max(number, …)", Doc: "The largest of some numbers.", impl: stdlib.MaxFunc},
	{Name: "min", Signature: "min(number, …)", Doc: "The smallest of some numbers.", impl: stdlib.MinFunc},
	{Name: "parseint", Signature: "parseint(text, base)", Doc: "The whole number that a text stands for in a base from 2 to 62.", impl: stdlib.ParseIntFunc, cost: parseIntCost},
	{Name: "pow", Signature: "pow(number, power)", Doc: "A number to a power.", impl: stdlib.PowFunc},
	{Name: "signum", Signature: "signum(number)", Doc: "-1, 0 or 1: the sign of a number.", impl: stdlib.SignumFunc},
	{Name: "sum", Signature: "sum(list)", Doc: "The sum of a list of numbers.", impl: sumFunction()},
}

var textFunctions = []Function{
	{Name: "basename", Signature: "basename(path)", Doc: "The last part of a path.", impl: pathFunction("The last part of a path.", afterSlash)},
	{Name: "chomp", Signature: "chomp(text)", Doc: "A text without the newlines at its end.", impl: stdlib.ChompFunc},
	{Name: "dirname", Signature: "dirname(path)", Doc: "A path without its last part.", impl: pathFunction("A path without its last part.", beforeSlash)},
	{Name: "endswith", Signature: "endswith(text, suffix)", Doc: "Whether a text ends with another.", impl: textsFunction("suffix", strings.HasSuffix)},
	{Name: "format", Signature: "format(format, value, …)", Doc: "A text with values put into it, as in format(\"%s-%02d\", \"shop\", 7).", impl: formatFunction(), cost: formatCost, moves: true},
	{Name: "formatlist", Signature: "formatlist(format, list, …)", Doc: "A list of texts, each with the values of one place of some lists put into it.", impl: stdlib.FormatListFunc, cost: formatCost},
	{Name: "indent", Signature: "indent(spaces, text)", Doc: "A text with spaces before every line but the first.", impl: stdlib.IndentFunc, cost: indentCost},
	{Name: "join", Signature: "join(separator, list, …)", Doc: "The texts of a list in one, with a separator between them.", impl: stdlib.JoinFunc, cost: joinCost, moves: true},
	{Name: "lower", Signature: "lower(text)", Doc: "A text in small letters.", impl: stdlib.LowerFunc},
	{Name: "regex", Signature: "regex(pattern, text)", Doc: "What a regular expression (RE2) matches first in a text: the text, a list of its groups, or an object of its named groups.", impl: stdlib.RegexFunc, cost: regexCost},
	{Name: "regexall", Signature: "regexall(pattern, text)", Doc: "A list of all that a regular expression matches in a text.", impl: stdlib.RegexAllFunc, cost: regexCost},
	{Name: "replace", Signature: "replace(text, old, new)", Doc: "A text with another text replaced in it; one between slashes is a regular expression.", impl: replaceFunction(), cost: replaceCost},
	{Name: "split", Signature: "split(separator, text)", Doc: "The parts of a text between separators, as a list.", impl: stdlib.SplitFunc, cost: splitCost},
	{Name: "startswith", Signature: "startswith(text, prefix)", Doc: "Whether a text begins with another.", impl: textsFunction("prefix", strings.HasPrefix)},
	{Name: "strcontains", Signature: "strcontains(text, part)", Doc: "Whether a text has another in it.", impl: textsFunction("part", strings.Contains)},
	{Name: "strrev", Signature: "strrev(text)", Doc: "A text backwards.", impl: stdlib.ReverseFunc},
	{Name: "substr", Signature: "substr(text, offset, length)", Doc: "A part of a text.", impl: stdlib.SubstrFunc},
	{Name: "title", Signature: "title(text)", Doc: "A text with every word's first letter in capitals.", impl: stdlib.TitleFunc},
	{Name: "trim", Signature: "trim(text, characters)", Doc: "A text without some characters at its ends.", impl: stdlib.TrimFunc},
	{Name: "trimprefix", Signature: "trimprefix(text, prefix)", Doc: "A text without its beginning, if that is the prefix.", impl: stdlib.TrimPrefixFunc},
	{Name: "trimspace", Signature: "trimspace(text)", Doc: "A text without spaces and newlines at its ends.", impl: stdlib.TrimSpaceFunc},
	{Name: "trimsuffix", Signature: "trimsuffix(text, suffix)", Doc: "A text without its end, if that is the suffix.", impl: stdlib.TrimSuffixFunc},
	{Name: "upper", Signature: "upper(text)", Doc: "A text in capitals.", impl: stdlib.UpperFunc},
}

var collectionFunctions = []Function{
	{Name: "alltrue", Signature: "alltrue(list)", Doc: "Whether every element is true; true of an empty list.", impl: boolsFunction("Whether every element is true.", true)},
	{Name: "anytrue", Signature: "anytrue(list)", Doc: "Whether one element is true; false of an empty list.", impl: boolsFunction("Whether one element is true.", false)},
	{Name: "chunklist", Signature: "chunklist(list, size)", Doc: "A list in pieces of a size.", impl: stdlib.ChunklistFunc, moves: true},
	{Name: "coalesce", Signature: "coalesce(value, …)", Doc: "The first value that is neither null nor an empty text.", impl: coalesceFunction()},
	{Name: "coalescelist", Signature: "coalescelist(list, …)", Doc: "The first list that is not empty.", impl: stdlib.CoalesceListFunc},
	{Name: "compact", Signature: "compact(list)", Doc: "A list of texts without those that are null or empty.", impl: stdlib.CompactFunc},
	{Name: "concat", Signature: "concat(list, …)", Doc: "Some lists in one.", impl: stdlib.ConcatFunc, moves: true},
	{Name: "contains", Signature: "contains(list, value)", Doc: "Whether a value is in a list.", impl: stdlib.ContainsFunc},
	{Name: "distinct", Signature: "distinct(list)", Doc: "A list with each element once.", impl: stdlib.DistinctFunc, cost: squareCost},
	{Name: "element", Signature: "element(list, index)", Doc: "An element of a list; behind its end the list begins anew.", impl: stdlib.ElementFunc, moves: true},
	{Name: "flatten", Signature: "flatten(list)", Doc: "A list with the elements of the lists in it.", impl: stdlib.FlattenFunc, moves: true},
	{Name: "index", Signature: "index(list, value)", Doc: "The place of a value in a list, from 0.", impl: indexFunction()},
	{Name: "keys", Signature: "keys(map)", Doc: "The keys of a map, sorted.", impl: stdlib.KeysFunc},
	{Name: "length", Signature: "length(value)", Doc: "The number of elements of a collection, or of characters of a text.", impl: lengthFunction()},
	{Name: "lookup", Signature: "lookup(map, key, default)", Doc: "The value of a key in a map, or the default.", impl: stdlib.LookupFunc, moves: true},
	{Name: "merge", Signature: "merge(map, …)", Doc: "Some maps in one; of two with the same key the later counts.", impl: stdlib.MergeFunc, moves: true},
	{Name: "one", Signature: "one(list)", Doc: "The only element of a list, or null of an empty one.", impl: oneFunction(), moves: true},
	{Name: "range", Signature: "range(start, limit, step)", Doc: "The numbers from a start to below a limit, at most 1024.", impl: stdlib.RangeFunc},
	{Name: "reverse", Signature: "reverse(list)", Doc: "A list backwards.", impl: stdlib.ReverseListFunc, moves: true},
	{Name: "setintersection", Signature: "setintersection(set, …)", Doc: "What is in all of some sets.", impl: stdlib.SetIntersectionFunc},
	{Name: "setproduct", Signature: "setproduct(set, …)", Doc: "Every combination of one element of each of some sets.", impl: stdlib.SetProductFunc, cost: productCost},
	{Name: "setsubtract", Signature: "setsubtract(set, set)", Doc: "What is in the first set and not in the second.", impl: stdlib.SetSubtractFunc},
	{Name: "setunion", Signature: "setunion(set, …)", Doc: "What is in one of some sets.", impl: stdlib.SetUnionFunc},
	{Name: "slice", Signature: "slice(list, from, to)", Doc: "The elements of a list from one index to before another.", impl: stdlib.SliceFunc, moves: true},
	{Name: "sort", Signature: "sort(list)", Doc: "A list of texts in order.", impl: stdlib.SortFunc},
	{Name: "values", Signature: "values(map)", Doc: "The values of a map, in the order of its keys.", impl: stdlib.ValuesFunc, moves: true},
	{Name: "zipmap", Signature: "zipmap(keys, values)", Doc: "A map of a list of keys and a list of values.", impl: stdlib.ZipmapFunc},
}

// formatFunction is format, with which a secret that is not known yet may be put into a text as it is.
func formatFunction() function.Function {
	f := stdlib.FormatFunc
	any1 := *f.VarParam()
	any1.AllowMarked = true
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		VarParam:    &any1,
		Type:        f.ReturnTypeForValues,
		Impl: func(args []cty.Value, result cty.Type) (cty.Value, error) {
			if weigh(cty.TupleVal(args)).deferred {
				for _, m := range verb.FindAllStringSubmatch(args[0].AsString(), -1) {
					if kind := m[5]; m[1] != "" || m[2] != "" || m[3] != "" || !strings.Contains("sdt%", kind) || kind == "" {
						return cty.UnknownVal(result), function.NewArgErrorf(0, "the secret's value is not known before the run, so that it can only be put in as it is: beside it %%s and %%d may be used, and not %s", m[0])
					}
				}
			}
			return f.Call(args)
		},
	})
}

// replaceFunction is Terraform's: what is between slashes is a regular expression.
func replaceFunction() function.Function {
	f := stdlib.ReplaceFunc
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		Type:        function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if old := args[1].AsString(); len(old) > 1 && old[0] == '/' && old[len(old)-1] == '/' {
				return stdlib.RegexReplaceFunc.Call([]cty.Value{args[0], cty.StringVal(old[1 : len(old)-1]), args[2]})
			}
			return f.Call(args)
		},
	})
}

func afterSlash(path string) string { return path[strings.LastIndex(path, "/")+1:] }

func beforeSlash(path string) string {
	switch i := strings.LastIndex(path, "/"); {
	case i > 0:
		return path[:i]
	case i == 0:
		return "/"
	}
	return "."
}

func pathFunction(description string, part func(path string) string) function.Function {
	return textFunction(description, func(path string) (cty.Value, error) { return cty.StringVal(part(path)), nil }, cty.String)
}

func textsFunction(second string, holds func(text, other string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: second, Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(holds(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// boolsFunction looks for the element that decides: false for alltrue, true for anytrue.
func boolsFunction(description string, otherwise bool) function.Function {
	return function.New(&function.Spec{
		Description: description,
		Params:      []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:        function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			result := cty.BoolVal(otherwise)
			for _, e := range args[0].AsValueSlice() {
				switch {
				case e.IsKnown() && e.IsNull():
					return cty.BoolVal(false), nil
				case !e.IsKnown():
					result = cty.UnknownVal(cty.Bool)
				case e.True() != otherwise:
					return e, nil
				}
			}
			return result, nil
		},
	})
}

func sumFunction() function.Function {
	return function.New(&function.Spec{
		Description: "The sum of a list of numbers.",
		Params:      []function.Parameter{{Name: "list", Type: cty.List(cty.Number)}},
		Type:        function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			sum := cty.Zero
			for _, e := range args[0].AsValueSlice() {
				if e.IsKnown() && e.IsNull() {
					return cty.NilVal, function.NewArgErrorf(0, "an element is null")
				}
				var err error
				if sum, err = stdlib.Add(sum, e); err != nil {
					return cty.NilVal, fmt.Errorf("add up the elements: %w", err)
				}
			}
			return sum, nil
		},
	})
}

// coalesceFunction is Terraform's, which passes over empty texts as well.
func coalesceFunction() function.Function {
	anything := function.Parameter{Name: "values", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true}
	return function.New(&function.Spec{
		VarParam: &anything,
		Type:     stdlib.CoalesceFunc.ReturnTypeForValues,
		Impl: func(args []cty.Value, result cty.Type) (cty.Value, error) {
			for _, a := range args {
				v, err := convert.Convert(a, result)
				if err != nil {
					return cty.NilVal, fmt.Errorf("make one type of the arguments: %w", err)
				}
				switch {
				case !v.IsKnown():
					return cty.UnknownVal(result), nil
				case v.IsNull() || v.Type() == cty.String && v.AsString() == "":
					continue
				}
				return v, nil
			}
			return cty.NilVal, fmt.Errorf("every argument is null or an empty text")
		},
	})
}

// lengthFunction is Terraform's, which counts the characters of texts as well.
func lengthFunction() function.Function {
	return function.New(&function.Spec{
		Description: "The number of elements of a collection, or of characters of a text.",
		Params:      []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			t := args[0].Type()
			if t == cty.String || t == cty.DynamicPseudoType || t.IsCollectionType() || t.IsTupleType() || t.IsObjectType() {
				return cty.Number, nil
			}
			return cty.Number, function.NewArgErrorf(0, "this must be a text, a list, a map, a set or an object")
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v := args[0]
			switch t := v.Type(); {
			case t == cty.DynamicPseudoType:
				return cty.UnknownVal(cty.Number), nil
			case t == cty.String:
				return stdlib.StrlenFunc.Call(args)
			case t.IsObjectType() && v.IsKnown():
				return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
			case t.IsObjectType():
				return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
			}
			return v.Length(), nil
		},
	})
}

// indexFunction is Terraform's: it looks for a value, where cty's own looks up a key.
func indexFunction() function.Function {
	return function.New(&function.Spec{
		Description: "The place of a value in a list, from 0.",
		Params:      []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType, AllowNull: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			if t := args[0].Type(); !t.IsListType() && !t.IsTupleType() {
				return cty.NilType, function.NewArgErrorf(0, "this must be a list")
			}
			return cty.Number, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for i, e := range args[0].AsValueSlice() {
				switch same, err := stdlib.Equal(e, args[1]); {
				case err != nil:
					return cty.NilVal, fmt.Errorf("compare element %d: %w", i, err)
				case !same.IsKnown():
					return cty.UnknownVal(cty.Number), nil
				case same.True():
					return cty.NumberIntVal(int64(i)), nil
				}
			}
			return cty.NilVal, function.NewArgErrorf(1, "the list has no such element")
		},
	})
}

// oneFunction is Terraform's.
func oneFunction() function.Function {
	return function.New(&function.Spec{
		Description: "The only element of a list, or null of an empty one.",
		Params:      []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
		Type: func(args []cty.Value) (cty.Type, error) {
			switch t := args[0].Type(); {
			case t.IsListType() || t.IsSetType():
				return t.ElementType(), nil
			case t.IsTupleType() && t.Length() == 1:
				return t.TupleElementType(0), nil
			case t.IsTupleType() && t.Length() == 0:
				return cty.DynamicPseudoType, nil
			}
			return cty.NilType, function.NewArgErrorf(0, "this must be a list, a set or a tuple of one element or none")
		},
		Impl: func(args []cty.Value, result cty.Type) (cty.Value, error) {
			switch args[0].LengthInt() {
			case 0:
				return cty.NullVal(result), nil
			case 1:
				return args[0].AsValueSlice()[0], nil
			}
			return cty.NilVal, function.NewArgErrorf(0, "this has more than one element")
		},
	})
}
