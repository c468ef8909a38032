package drillfile

import (
	"bytes"
	"fmt"
	"math/big"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// The limits of a drill file. HCL's parser and evaluator recurse, and Go ends the process when a stack grows too
// large, so what they are given must be bounded before. No drill comes near any of these.
const (
	maxBytes    = 1 << 20
	maxSigns    = 1 << 19 // of whatever could be a token: a token takes a hundred times the memory of its text
	maxNesting  = 32      // of brackets, braces, quotes and templates
	maxUnary    = 32      // operators in a row
	maxTokens   = 2000    // of an expression, from one equals sign to the next
	maxBlocks   = 4096    // also within others
	maxDigits   = 64      // of a number
	maxExponent = 1023    // of a number, base 2: what a float64 holds
)

// checkBytes refuses what is no text.
func checkBytes(path string, src []byte) hcl.Diagnostics {
	_, diags := measureBytes(path, src)
	return diags
}

// measured is what is known of a text before it is parsed.
type measured struct {
	signs int // words, signs and lines: never fewer than tokens
	run   int // the longest word or number
}

// measureBytes is checkBytes for whom it matters how large the text is.
func measureBytes(path string, src []byte) (m measured, diags hcl.Diagnostics) {
	at := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	if len(src) > maxBytes {
		return m, hcl.Diagnostics{problem(at, "File too large",
			fmt.Sprintf("A drill file may have up to 1 MiB, but this one has %d bytes. Check that it is a drill file, or split it.", len(src)))}
	}
	word, run := false, 0
	for i, n := 0, 0; i < len(src); i += n {
		var r rune
		r, n = utf8.DecodeRune(src[i:])
		before := word
		word = n > 1 || r >= '0' && (r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_')
		if word && !before || !word && r != ' ' && r != '\t' {
			m.signs++
		}
		if run++; !word && r != '.' {
			run = 0
		}
		m.run = max(m.run, run)
		switch {
		case r == utf8.RuneError && n == 1:
			return m, hcl.Diagnostics{problem(position(path, src, i), "Invalid character encoding",
				"Drill files are UTF-8, and these bytes are not. Save the file as UTF-8.")}
		case isControl(r):
			return m, hcl.Diagnostics{problem(position(path, src, i), "Control character",
				fmt.Sprintf("The character %U is not allowed in a drill file. Remove it; if the file looks right in an editor, save it as UTF-8 without a byte order mark.", r))}
		}
	}
	if m.signs > maxSigns {
		return m, hcl.Diagnostics{problem(at, "File too large",
			fmt.Sprintf("A drill file may have up to %d words, signs and lines, but this one has %d. Check that it is a drill file, or split it.", maxSigns, m.signs))}
	}
	return m, nil
}

// isControl tells the characters that steer a terminal, make a text look like another one, or could pass for drill's own
// marks from those of a text.
func isControl(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' || r == '\uFEFF' ||
		r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069' // change the direction of what follows
}

func position(path string, src []byte, offset int) hcl.Range {
	start := bytes.LastIndexByte(src[:offset], '\n') + 1
	pos := hcl.Pos{Line: 1 + bytes.Count(src[:offset], []byte("\n")), Column: 1 + utf8.RuneCount(src[start:offset]), Byte: offset}
	end := pos
	end.Column++
	end.Byte++
	return hcl.Range{Filename: path, Start: pos, End: end}
}

// maxShallow is how deep the expressions of a file may be of which the tokens need no check, however they are made: no
// level of them has more than two tokens that nest.
const maxShallow = maxNesting/2 - 3

// small tells the files whose tokens are too few for any of the limits but that of nesting. Most are, and looking at the
// tokens of a file costs half as much as parsing it.
func (m measured) small() bool { return m.signs < maxTokens && m.run <= maxDigits }

// parse reads a file within the limits. The file is for Render. When there are errors, the body is only good for its names.
func parse(path string, src []byte) (*hclsyntax.Body, *hcl.File, hcl.Diagnostics) {
	size, diags := measureBytes(path, src)
	if diags.HasErrors() {
		return nil, nil, diags // and not the source, which may be no text
	}
	if !size.small() {
		if diags := checkTokens(path, src); diags.HasErrors() {
			return nil, &hcl.File{Bytes: src}, diags
		}
	}
	parsed, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	body, ok := parsed.Body.(*hclsyntax.Body)
	if size.small() && (diags.HasErrors() || !ok || !shallow(body)) {
		if diags := checkTokens(path, src); diags.HasErrors() {
			return nil, &hcl.File{Bytes: src}, diags
		}
	}
	if !ok && !diags.HasErrors() {
		diags = hcl.Diagnostics{problem(parsed.Body.MissingItemRange(), "Unsupported syntax", "Write drill files in HCL's native syntax.")}
	}
	if diags.HasErrors() {
		return nil, parsed, causes(src, plainer(src, diags))
	}
	return body, parsed, tidy(append(checkBlocks(body), checkLiterals(body)...)) // evaluating those might never end
}

// shallow reports whether nothing in a body is nested deeply.
func shallow(body *hclsyntax.Body) bool {
	d := depth{}
	_ = hclsyntax.Walk(body, &d)
	return d.most <= maxShallow
}

// depth walks through a body and keeps the most expressions and blocks that were in each other.
type depth struct{ now, most int }

func counts(n hclsyntax.Node) bool {
	switch n.(type) {
	case *hclsyntax.Body, hclsyntax.Attributes, *hclsyntax.Attribute, hclsyntax.Blocks:
		return false
	}
	return true
}

// Enter implements hclsyntax.Walker.
func (d *depth) Enter(n hclsyntax.Node) hcl.Diagnostics {
	if counts(n) {
		d.now++
		d.most = max(d.most, d.now)
	}
	return nil
}

// Exit implements hclsyntax.Walker.
func (d *depth) Exit(n hclsyntax.Node) hcl.Diagnostics {
	if counts(n) {
		d.now--
	}
	return nil
}

// checkTokens bounds how deep the parser will have to go.
func checkTokens(path string, src []byte) hcl.Diagnostics {
	tokens, _ := hclsyntax.LexConfig(src, path, hcl.InitialPos) // the parser will repeat what is wrong
	depth, unary, run := 0, 0, 0
	expression, outside := false, 0 // whether an argument's value is being read, and the depth that its block is at
	for _, t := range tokens {
		if run++; !expression || t.Type == hclsyntax.TokenComment || t.Type == hclsyntax.TokenNewline {
			run--
		}
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			depth--
		case hclsyntax.TokenEqual:
			if run = 0; !expression {
				expression, outside = true, depth
			}
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
			expression = expression && (depth > outside || !bytes.HasSuffix(t.Bytes, []byte("\n")))
		case hclsyntax.TokenNumberLit:
			if len(t.Bytes) > maxDigits {
				return hcl.Diagnostics{problem(t.Range, "Number too long", fmt.Sprintf("A number may have up to %d digits.", maxDigits))}
			}
		default: // neither opens nor closes anything
		}
		if t.Type == hclsyntax.TokenBang || t.Type == hclsyntax.TokenMinus {
			unary++
		} else {
			unary = 0
		}
		switch {
		case depth > maxNesting || unary > maxUnary:
			return hcl.Diagnostics{problem(t.Range, "Expression nested too deeply",
				fmt.Sprintf("Blocks, brackets and operators may be nested up to %d deep. Check for a quote or a bracket that is not closed.", maxNesting))}
		case run > maxTokens:
			return hcl.Diagnostics{problem(t.Range, "Expression too long", "Shorten this expression, or check for a quote or a bracket that is not closed.")}
		}
	}
	return nil
}

// checkBlocks bounds the work that blocks without much in them make.
func checkBlocks(body *hclsyntax.Body) hcl.Diagnostics {
	n := 0
	var count func(body *hclsyntax.Body) *hclsyntax.Block
	count = func(body *hclsyntax.Body) *hclsyntax.Block {
		for _, b := range body.Blocks {
			if n++; n > maxBlocks {
				return b
			}
			if last := count(b.Body); last != nil {
				return last
			}
		}
		return nil
	}
	if last := count(body); last != nil {
		return hcl.Diagnostics{problem(last.DefRange(), "Too many blocks", fmt.Sprintf("A drill file may have up to %d blocks. Split it.", maxBlocks))}
	}
	return nil
}

// checkLiterals refuses what would take for ever to evaluate, or could pass for drill's own marks in a string.
func checkLiterals(body *hclsyntax.Body) hcl.Diagnostics {
	return hclsyntax.VisitAll(body, func(node hclsyntax.Node) hcl.Diagnostics {
		switch n := node.(type) {
		case *hclsyntax.LiteralValueExpr:
			return checkLiteral(n.Val, n.Range())
		case *hclsyntax.Block:
			var diags hcl.Diagnostics
			for i, label := range n.Labels {
				diags = append(diags, checkLiteral(cty.StringVal(label), n.LabelRanges[i])...)
			}
			return diags
		}
		return nil
	})
}

func checkLiteral(v cty.Value, at hcl.Range) hcl.Diagnostics {
	if v.IsNull() || !v.IsKnown() {
		return nil
	}
	switch v.Type() {
	case cty.Number:
		if !reasonable(v.AsBigFloat()) {
			return hcl.Diagnostics{problem(at, "Number out of range", "Write a number of ordinary size: this one would have hundreds of digits.")}
		}
	case cty.String:
		for _, r := range v.AsString() {
			if isControl(r) {
				return hcl.Diagnostics{problem(at, "Control character", fmt.Sprintf("The character %U is not allowed in a drill file, not even as an escape sequence. Remove it.", r))}
			}
		}
	}
	return nil
}

func reasonable(f *big.Float) bool {
	exp := f.MantExp(nil)
	return !f.IsInf() && exp <= maxExponent && exp >= -maxExponent
}
