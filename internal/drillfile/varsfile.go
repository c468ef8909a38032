package drillfile

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// ParseVariables reads a file of variables (*.drillvars.hcl): arguments alone, whose values refer to nothing. Whether a
// drill file declares them, and of which type, is not known here.
func ParseVariables(path string, src []byte) (hcl.Attributes, *hcl.File, hcl.Diagnostics) {
	if diags := checkBytes(path, src); diags.HasErrors() {
		return nil, nil, diags // and not the source, which may be no text
	}
	file := &hcl.File{Bytes: src}
	if diags := checkTokens(path, src); diags.HasErrors() {
		return nil, file, diags
	}
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, file, tidy(diags)
	}
	if body, ok := file.Body.(*hclsyntax.Body); ok {
		if diags := checkLiterals(body); diags.HasErrors() {
			return nil, file, tidy(diags)
		}
	}
	attributes, diags := file.Body.JustAttributes()
	for _, a := range attributes {
		_, problems := a.Expr.Value(nil)
		diags = append(diags, problems...)
	}
	return attributes, file, tidy(diags)
}
