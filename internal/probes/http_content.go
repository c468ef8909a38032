package probes

import (
	"bytes"
	"math/big"
	"net/http"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/tidwall/gjson"
	"github.com/zclconf/go-cty/cty"
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

// content reads expect_body, expect_body_regex and expect_json.
func (p *problems) content(b *httpBlock, method string, ctx *hcl.EvalContext) content {
	var a content
	var at hcl.Range
	if b.Body != nil {
		a.text, at = *b.Body, b.BodyRange
	}
	if b.Regex != nil {
		var err error
		if a.regex, err = regexp.Compile(*b.Regex); err != nil {
			p.wrong(b.RegexRange, "Invalid expect_body_regex", "%v. The syntax is RE2's, as in Prometheus.", err)
		}
		at = b.RegexRange
	}
	if a.json = p.fields(b.JSON, ctx); len(a.json) > 0 {
		at = b.JSON.Range()
	}
	if method == http.MethodHead && (a.text != "" || a.regex != nil || len(a.json) > 0) {
		p.wrong(at, "Body of a HEAD request", "The answer to HEAD has no body. Remove what is expected of it, or use method \"GET\".")
	}
	return a
}

// fields reads expect_json, a map from paths to values.
func (p *problems) fields(expr hcl.Expression, ctx *hcl.EvalContext) []field {
	v, diags := expr.Value(ctx)
	p.Diagnostics = append(p.Diagnostics, diags...)
	if diags.HasErrors() || v.IsKnown() && v.IsNull() {
		return nil
	}
	const shape = "expect_json is a map from paths in the answer to what must be there, such as { \"status\" = \"ok\", \"checks.0.up\" = true }."
	if !v.IsWhollyKnown() || !v.Type().IsObjectType() && !v.Type().IsMapType() {
		p.wrong(expr.Range(), "Invalid expect_json", shape)
		return nil
	}
	if v.LengthInt() == 0 {
		p.wrong(expr.Range(), "Invalid expect_json", "An empty map expects nothing. Remove expect_json, or name what must be there.")
	}
	var all []field
	for it := v.ElementIterator(); it.Next(); { // in the order of the paths
		path, want := it.Element()
		switch t := want.Type(); {
		case path.AsString() == "":
			p.wrong(expr.Range(), "Invalid expect_json", "A path is empty. "+shape)
		case !want.IsNull() && t != cty.String && t != cty.Number && t != cty.Bool:
			p.wrong(expr.Range(), "Invalid expect_json", "What is expected at %q must be a text, a number, true, false or null. Name what is in it by paths of their own, such as %q.",
				path.AsString(), path.AsString()+".name")
		default:
			all = append(all, field{path.AsString(), want})
		}
	}
	return all
}

// holds reports whether a body is what a good answer holds.
func (a content) holds(body []byte) bool {
	if !bytes.Contains(body, []byte(a.text)) || a.regex != nil && !a.regex.Match(body) {
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
