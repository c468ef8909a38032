package drillfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/failoverdrill/drill/internal/schema"
)

// sentenceOf ends an error's words as a sentence does.
func sentenceOf(err error) string {
	text := err.Error()
	if strings.HasSuffix(text, "?") || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// strayAttribute finds an attribute that its object's type does not have. cty would leave it out in silence, and an optional
// one that is misspelt would have no effect.
func strayAttribute(value cty.Value, typ cty.Type) error {
	value, _ = value.Unmark()
	if !value.IsKnown() || value.IsNull() || !value.CanIterateElements() {
		return nil
	}
	known := []string(nil)
	if typ.IsObjectType() {
		known = keys(typ.AttributeTypes())
	}
	for it := value.ElementIterator(); it.Next(); {
		k, e := it.Element()
		inner := cty.DynamicPseudoType
		switch {
		case typ.IsObjectType():
			name, _ := k.Unmark()
			if name.Type() != cty.String {
				return nil
			}
			if !typ.HasAttribute(name.AsString()) {
				return fmt.Errorf("there is no attribute %q in this type.%s", name.AsString(), schema.DidYouMean(name.AsString(), known))
			}
			inner = typ.AttributeType(name.AsString())
		case typ.IsCollectionType():
			inner = typ.ElementType()
		case typ.IsTupleType() && k.Type() == cty.Number:
			if i, _ := k.AsBigFloat().Int64(); int(i) < typ.Length() {
				inner = typ.TupleElementType(int(i))
			}
		}
		if err := strayAttribute(e, inner); err != nil {
			return err
		}
	}
	return nil
}

// read reads a value that was given.
func (l *loader) read(v *variable, g *Value) (cty.Value, bool) {
	at := v.at
	if g.Expr != nil && !v.Sensitive { // the line of a problem is shown
		at = g.Expr.Range()
		v.valueAt = &at
	}
	value, err := g.value(v)
	if err == nil {
		if wrong := checkTexts(value); wrong != nil {
			err = fmt.Errorf("it %w", wrong)
		}
	}
	if err == nil {
		value, err = v.convert(value)
	}
	if err != nil && v.Sensitive {
		err = errors.New("and this one is not. It is sensitive, so what is wrong with it is not shown")
	}
	if err != nil {
		l.report(at, "Unsuitable value for variable", fmt.Sprintf("The value of %q from %s must be of type %s: %s", v.name, g.Origin, v.typeText, sentenceOf(err)))
		return cty.NilVal, false
	}
	return value, true
}

// value is what was given, before it has the variable's type.
func (g *Value) value(v *variable) (cty.Value, error) {
	switch {
	case g.JSON != nil:
		typ, err := ctyjson.ImpliedType(g.JSON) // and then it is converted, as what is written in a file
		if err != nil {
			return cty.NilVal, fmt.Errorf("it is no JSON")
		}
		value, err := ctyjson.Unmarshal(g.JSON, typ)
		if err != nil {
			return cty.NilVal, fmt.Errorf("it is no JSON")
		}
		return value, nil
	case g.Expr != nil:
		value, diags := g.Expr.Value(nil)
		if diags.HasErrors() {
			return cty.NilVal, fmt.Errorf("%s", firstDetail(diags))
		}
		return value, nil
	case v.typ.IsPrimitiveType() || v.Type == nil:
		return cty.StringVal(g.Text), nil
	}
	return textValue(g.Text)
}

// textValue reads a value as it would be written in a drill file.
func textValue(text string) (cty.Value, error) {
	src := []byte(text)
	if diags := append(checkBytes("", src), checkTokens("", src)...); diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("%s", firstDetail(diags))
	}
	expr, diags := hclsyntax.ParseExpression(src, "", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("it is written as in a drill file, such as [\"a\", \"b\"] or { a = 1 }. %s", firstDetail(diags))
	}
	diags = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ScopeTraversalExpr, *hclsyntax.FunctionCallExpr, *hclsyntax.ForExpr, *hclsyntax.SplatExpr:
			return hcl.Diagnostics{problem(n.Range(), "", fmt.Sprintf("%q is not written out. Texts stand in quotes", n.Range().SliceBytes(src)))}
		case *hclsyntax.LiteralValueExpr:
			return checkLiteral(n.Val, n.Range())
		}
		return nil
	})
	if diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("%s", firstDetail(diags))
	}
	value, diags := expr.Value(nil)
	if diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("%s", firstDetail(diags))
	}
	return value, nil
}

func firstDetail(diags hcl.Diagnostics) string {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			return d.Detail
		}
	}
	return ""
}
