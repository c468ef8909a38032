package drillfile

import (
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// size is a text's length or a collection's number of elements; 0 of anything else.
func size(v cty.Value) int {
	switch {
	case v == cty.NilVal || !v.IsKnown() || v.IsNull():
		return 0
	case v.Type() == cty.String:
		return len(v.AsString())
	case v.CanIterateElements():
		return v.LengthInt()
	}
	return 0
}

func argument(args []cty.Value, i int) cty.Value {
	if i < len(args) {
		return args[i]
	}
	return cty.NullVal(cty.DynamicPseudoType)
}

func text1(v cty.Value) string {
	if v == cty.NilVal || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

// number is a whole number, however it is written; beyond what counts it is just large.
func number(v cty.Value) int {
	n, err := convert.Convert(v, cty.Number)
	if err != nil || !n.IsKnown() || n.IsNull() {
		return 0
	}
	f, _ := n.AsBigFloat().Float64()
	return int(min(max(f, -2*maxValue), 2*maxValue))
}

// times is a product that does not overflow.
func times(a, b int) int {
	if a > 0 && b > 2*maxValue/a {
		return 2 * maxValue
	}
	return a * b
}

func parseIntCost(args []cty.Value) int {
	if size(argument(args, 0)) > 2*maxDigits {
		return 2 * maxValue
	}
	return 0
}

func indentCost(args []cty.Value) int {
	return times(number(argument(args, 0)), 1+strings.Count(text1(argument(args, 1)), "\n"))
}

func joinCost(args []cty.Value) int {
	n := 0
	for _, list := range args[min(1, len(args)):] {
		n += size(list)
	}
	return times(size(argument(args, 0)), n)
}

func splitCost(args []cty.Value) int {
	return times(elementBytes, strings.Count(text1(argument(args, 1)), text1(argument(args, 0))))
}

func jsonCost(args []cty.Value) int {
	text := text1(argument(args, 0))
	return times(elementBytes, strings.Count(text, ",")+strings.Count(text, "[")+strings.Count(text, "{"))
}

// squareCost is that of comparing each element with each.
func squareCost(args []cty.Value) int {
	n := size(argument(args, 0))
	return times(n, 4*n)
}

func productCost(args []cty.Value) int {
	n, width := 1, 0
	for _, a := range args {
		n, width = times(n, size(a)), width+1
	}
	return times(n, elementBytes*(1+width))
}

func replaceCost(args []cty.Value) int {
	in, old, by := text1(argument(args, 0)), text1(argument(args, 1)), text1(argument(args, 2))
	if len(old) > 1 && strings.HasPrefix(old, "/") && strings.HasSuffix(old, "/") {
		// Each match may put the whole text in, as often as the replacement names a group.
		grown := times(len(in)+1, len(by)+times(strings.Count(by, "$"), len(in)))
		return max(grown, matchCost(old[1:len(old)-1], in))
	}
	return times(strings.Count(in, old), len(by))
}

func regexCost(args []cty.Value) int {
	return matchCost(text1(argument(args, 0)), text1(argument(args, 1)))
}

// matchCost is that of a regular expression's program on every character of a text.
func matchCost(pattern, text string) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0
	}
	return times(len(program.Inst), 1+len(text)) + times(elementBytes, len(text))
}

var verb = regexp.MustCompile(`%([-+# 0]*)([0-9]*)(?:\.([0-9]*))?(?:\[([0-9]+)\])?([a-zA-Z%#*]?)`)

// formatCost is what widths and precisions may add, for each of the elements that formatlist goes through, and what
// arguments that are named by number may be repeated.
func formatCost(args []cty.Value) int {
	format := text1(argument(args, 0))
	largest, elements := 0, 1
	for _, a := range args[min(1, len(args)):] {
		largest = max(largest, weigh(a).bytes)
		if a.CanIterateElements() {
			elements = max(elements, size(a))
		}
	}
	total := len(format)
	for _, m := range verb.FindAllStringSubmatch(format, -1) {
		for _, digits := range m[2:4] {
			if n, err := strconv.Atoi(digits); err == nil {
				total += min(n, 2*maxValue)
			} else if digits != "" {
				total = 2 * maxValue
			}
		}
		total += 2 * largest
		total = min(total, 2*maxValue)
	}
	return times(total, elements)
}
