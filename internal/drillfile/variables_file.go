package drillfile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// VariablesExt is how the names of files of variables' values end that count without being named. They are no drill files.
const VariablesExt = ".drillvars.hcl"

// ReadVariables reads a file of variables' values: arguments alone, each of which gives the variable of its name a value.
// Stray says that they may belong to another drill file. The file is for Render, without its texts: which of them are
// secret only the drill file says, and not of one whose name is misspelt.
func ReadVariables(path string, src []byte, stray bool) ([]Value, *hcl.File, hcl.Diagnostics) {
	body, file, diags := parse(path, src)
	file = withoutTexts(file)
	if diags.HasErrors() {
		for _, d := range diags {
			d.Detail, _, _ = strings.Cut(d.Detail, hintEquals) // which repeats the value
		}
		return nil, file, diags
	}
	for _, b := range body.Blocks {
		diags = append(diags, blockAmongValues(b))
	}
	var values []Value
	for name, a := range body.Attributes {
		if wrong := notAValue(a); wrong != nil {
			diags = append(diags, wrong)
			continue
		}
		if _, wrong := a.Expr.Value(nil); wrong.HasErrors() {
			diags = append(diags, wrong...)
			continue
		}
		values = append(values, Value{Name: name, Origin: fmt.Sprintf("%s, line %d", path, a.SrcRange.Start.Line), Expr: a.Expr, Stray: stray})
	}
	slices.SortFunc(values, func(a, b Value) int { return a.Expr.Range().Start.Byte - b.Expr.Range().Start.Byte })
	return values, file, tidy(diags)
}

// withoutTexts is a file with asterisks in place of its values, also of those that lack their quotes. All places stay what they are.
func withoutTexts(file *hcl.File) *hcl.File {
	if file == nil {
		return nil
	}
	shown := &hcl.File{Bytes: bytes.Clone(file.Bytes)} // and not what it knows of blocks, whose labels may be values
	tokens, _ := hclsyntax.LexConfig(file.Bytes, "", hcl.InitialPos)
	for i, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit:
		case hclsyntax.TokenIdent:
			if i+1 < len(tokens) && tokens[i+1].Type == hclsyntax.TokenEqual {
				continue // a name
			}
		default:
			continue
		}
		for i := t.Range.Start.Byte; i < t.Range.End.Byte; i++ {
			if b := &shown.Bytes[i]; *b != '\n' && *b != '\r' {
				*b = '*'
			}
		}
	}
	return shown
}

// blockAmongValues says what to write in place of a block.
func blockAmongValues(b *hclsyntax.Block) *hcl.Diagnostic {
	detail := "A variables file holds values alone, such as namespace = \"shop\". Put blocks into the drill file."
	if b.Type == "variable" && len(b.Labels) == 1 && hclsyntax.ValidIdentifier(b.Labels[0]) {
		detail = fmt.Sprintf("A variable is declared in the drill file. Here it is given its value: %s = …", b.Labels[0])
	}
	return problem(b.DefRange(), "Block in a variables file", detail)
}

// notAValue finds what cannot be known without a drill file.
func notAValue(a *hclsyntax.Attribute) *hcl.Diagnostic {
	if refs := a.Expr.Variables(); len(refs) > 0 {
		detail := "A variables file holds values alone, so that nothing in it can be referred to. Write the value out."
		if root, ok := a.Expr.(*hclsyntax.ScopeTraversalExpr); ok && len(root.Traversal) == 1 {
			detail = fmt.Sprintf("A text stands in quotes: %s = \"…\"", a.Name)
		}
		return problem(refs[0].SourceRange(), "Reference in a variables file", detail)
	}
	var wrong *hcl.Diagnostic
	_ = hclsyntax.VisitAll(a.Expr, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.FunctionCallExpr:
			wrong = problem(n.Range(), "Function in a variables file",
				fmt.Sprintf("A variables file holds values alone. Write the value out, or call %s() in the drill file.", n.Name))
		case *hclsyntax.ForExpr:
			wrong = problem(n.Range(), "For expression in a variables file", "A variables file holds values alone. Write the elements out.")
		}
		return nil
	})
	return wrong
}

// DeclaredVariables are the names of the variables that a drill file declares, as far as it can be read, and its own words
// about them: for a shell that completes them, and to tell a misspelt name among several files.
func DeclaredVariables(path string, src []byte) (names []string, descriptions map[string]string) {
	descriptions = map[string]string{}
	if checkBytes(path, src).HasErrors() || checkTokens(path, src).HasErrors() {
		return nil, descriptions
	}
	parsed, _ := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	body, ok := parsed.Body.(*hclsyntax.Body)
	if !ok {
		return nil, descriptions
	}
	for _, b := range body.Blocks {
		if b.Type != "variable" || len(b.Labels) != 1 {
			continue
		}
		names = append(names, b.Labels[0])
		if a := b.Body.Attributes["description"]; a != nil && isWrittenOut(a.Expr) && !checkLiterals(b.Body).HasErrors() {
			if v, diags := a.Expr.Value(nil); !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
				descriptions[b.Labels[0]] = strings.Join(strings.Fields(v.AsString()), " ")
			}
		}
	}
	return names, descriptions
}

// isWrittenOut reports whether a text needs no evaluating, which could take for ever: there is no budget here.
func isWrittenOut(expr hclsyntax.Expression) bool {
	text, ok := expr.(*hclsyntax.TemplateExpr)
	return ok && !slices.ContainsFunc(text.Parts, func(part hclsyntax.Expression) bool {
		_, literal := part.(*hclsyntax.LiteralValueExpr)
		return !literal
	})
}
