package drillfile

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// byteOrderMark begins a file that some editors save; it means nothing in UTF-8, and Load refuses it.
var byteOrderMark = []byte("\uFEFF")

// maxPasses is how often formatting may still find something to do in what it formatted itself.
const maxPasses = 4

// Format writes a drill file or a file of variables as hclwrite does, which is how terraform fmt does it. Line endings
// are kept and a byte order mark is dropped. What is no HCL is not formatted: then there are problems, and the file.
func Format(path string, src []byte) ([]byte, *hcl.File, hcl.Diagnostics) {
	src = bytes.TrimPrefix(src, byteOrderMark)
	if diags := checkBytes(path, src); diags.HasErrors() {
		return nil, nil, diags // and not the source, which may be no text
	}
	if diags := checkTokens(path, src); diags.HasErrors() {
		return nil, &hcl.File{Bytes: src}, diags
	}
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, file, causes(src, plainer(src, diags))
	}
	out := src
	for range maxPasses {
		next := hclwrite.Format(out)
		if bytes.Equal(next, out) {
			break
		}
		out = next
	}
	if !sameTokens(src, out) {
		at := file.Body.MissingItemRange()
		return nil, file, hcl.Diagnostics{problem(at, "Formatting failed",
			"Formatting this file would change more than its spaces, so that it is left as it is. This is a bug in drill; please report it with the file.")}
	}
	return out, file, nil
}

// sameTokens reports whether two texts differ in nothing but the spaces between their tokens.
func sameTokens(a, b []byte) bool {
	before, _ := hclsyntax.LexConfig(a, "", hcl.InitialPos)
	after, _ := hclsyntax.LexConfig(b, "", hcl.InitialPos)
	if len(before) != len(after) {
		return false
	}
	for i, t := range before {
		if t.Type != after[i].Type || !bytes.Equal(t.Bytes, after[i].Bytes) {
			return false
		}
	}
	return true
}
