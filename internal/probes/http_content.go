package probes

import (
	"bytes"
	"fmt"
	"math/big"
	"regexp"
	"regexp/syntax"

	"github.com/tidwall/gjson"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/schema"
)

// content is what the body of a good answer holds: all of what is given. A right status over wrong content is not up.
type content struct {
	text  string
	regex *regexp.Regexp // nil: any
	json  []field
}

// field is what a good answer has at a path of its JSON.
type field struct {
	path string
	want cty.Value // a text, a number, a bool, or null
}

func (a *content) arguments() []schema.Argument {
	return []schema.Argument{
		schema.String("expect_body", &a.text, "A text that the answer must hold."),
		schema.Parsed("expect_body_regex", &a.regex, parseRegex,
			"A regular expression (RE2) that must match somewhere in the first 64 KiB of the answer; `(?i)` ignores case, `^…$` with `(?s)` holds all of it."),
		schema.Value("expect_json", "map", "What the answer's JSON must have at each path, exactly: a text, a number, `true`, `false` or `null`. "+
			"Paths are gjson's (github.com/tidwall/gjson), as in k6: `\"checks.0.up\"`, `\"items.#\"` (how many), `\"items.#(name==\\\"db\\\").up\"`.",
			func(v cty.Value, d *schema.Decoded) { a.json = fields(v, d) }),
	}
}

func parseRegex(text string) (of *regexp.Regexp, summary, detail string) {
	of, err := regexp.Compile(text)
	if err != nil {
		return nil, "Invalid expect_body_regex", fmt.Sprintf("%v. The syntax is RE2's, as in Prometheus.", err)
	}
	if n := instructions(text); n > maxInstructions {
		return nil, "Regular expression too large", fmt.Sprintf("It compiles to %d instructions, and %d are allowed: a match goes on when its slot is over, "+
			"and takes the runner's time. Write counts such as {1,200} smaller, or look for something shorter.", n, maxInstructions)
	}
	return of, "", ""
}

// Bounds of one match: it takes time by the product of both, 0.3 s at the worst, and cannot be cancelled.
const (
	maxInstructions = 250
	maxMatched      = 64 << 10
)

// instructions is how many the compiled expression has; all of them may be looked at for each byte.
func instructions(text string) int {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst)
}

// fields reads expect_json, a map from paths to values.
func fields(v cty.Value, d *schema.Decoded) []field {
	const name, summary = "expect_json", "Invalid expect_json"
	const shape = "expect_json is a map from paths in the answer to what must be there, such as { \"status\" = \"ok\", \"checks.0.up\" = true }."
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		d.Report(d.At(name), summary, shape)
		return nil
	}
	if v.LengthInt() == 0 {
		d.Report(d.At(name), summary, "An empty map expects nothing. Remove expect_json, or name what must be there.")
	}
	var all []field
	for it := v.ElementIterator(); it.Next(); { // in the order of the paths
		key, want := it.Element()
		path := key.AsString()
		switch t := want.Type(); {
		case path == "":
			d.Report(d.AtKey(name, path), summary, "A path is empty. "+shape)
		case !want.IsNull() && t != cty.String && t != cty.Number && t != cty.Bool:
			d.Report(d.AtKey(name, path), summary, "What is expected at %q must be a text, a number, true, false or null. Name what is in it by paths of their own, such as %q.",
				path, path+".name")
		default:
			all = append(all, field{path, want})
		}
	}
	return all
}

// holds reports whether a body is what a good answer holds.
func (a content) holds(body []byte) bool {
	if !bytes.Contains(body, []byte(a.text)) || a.regex != nil && !a.regex.Match(body[:min(len(body), maxMatched)]) {
		return false
	}
	if len(a.json) == 0 {
		return true
	}
	if !gjson.ValidBytes(body) { // an answer that was cut short is none
		return false
	}
	for _, f := range a.json {
		if !f.equals(gjson.GetBytes(body, f.path)) {
			return false
		}
	}
	return true
}

// equals compares without converting: the text "1" is not the number 1, and what is missing is not null.
func (f field) equals(got gjson.Result) bool {
	switch {
	case !got.Exists():
		return false
	case f.want.IsNull():
		return got.Type == gjson.Null
	case f.want.Type() == cty.String:
		return got.Type == gjson.String && got.Str == f.want.AsString()
	case f.want.Type() == cty.Bool:
		return got.IsBool() && got.Bool() == f.want.True()
	}
	number, _, err := big.ParseFloat(got.Raw, 10, 512, big.ToNearestEven)
	return got.Type == gjson.Number && err == nil && number.Cmp(f.want.AsBigFloat()) == 0
}
