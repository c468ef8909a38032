package drillfile

import (
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/failoverdrill/drill/internal/drill"
)

// checkSensitive reports secrets in arguments that a kind keeps as plain strings: those are printed, and nothing would
// put the secret's value in them. A field belongs to the argument that its tag names, or that has its name.
func checkSensitive(spec any, body *hclsyntax.Body) hcl.Diagnostics {
	v := reflect.ValueOf(spec)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	var diags hcl.Diagnostics
	seen := map[uintptr]bool{}
	for i := range v.NumField() {
		if !printsSecret(v.Field(i), seen, 0) {
			continue
		}
		field := v.Type().Field(i)
		tag, _, _ := strings.Cut(field.Tag.Get("hcl"), ",")
		belongs := func(name string) bool {
			return name == tag || strings.EqualFold(strings.ReplaceAll(name, "_", ""), field.Name)
		}
		var found hcl.Diagnostics
		for name, a := range body.Attributes {
			if belongs(name) {
				found = append(found, plainSecrets(a)...)
			}
		}
		for _, b := range body.Blocks {
			if belongs(b.Type) {
				found = append(found, plainSecrets(b)...)
			}
		}
		if len(found) == 0 { // the kind has moved it to a field of another name
			found = plainSecrets(body)
		}
		diags = append(diags, found...)
	}
	return diags
}

func plainSecrets(node hclsyntax.Node) hcl.Diagnostics {
	return hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && call.Name == "secret" {
			return hcl.Diagnostics{problem(call.Range(), "Misplaced secret",
				"This argument is printed in plans, logs and reports, so it cannot hold a secret. Write its value in the open.")}
		}
		return nil
	})
}

var sensitive = reflect.TypeFor[drill.Sensitive]()

// printsSecret looks for a reference to a secret in strings that are not drill.Sensitive.
func printsSecret(v reflect.Value, seen map[uintptr]bool, depth int) bool {
	if depth > maxNesting || !v.IsValid() || v.Type() == sensitive {
		return false
	}
	depth++
	switch v.Kind() {
	case reflect.String:
		return len(drill.Sensitive(v.String()).Refs()) > 0
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return false
		}
		seen[v.Pointer()] = true
		return printsSecret(v.Elem(), seen, depth)
	case reflect.Interface:
		return !v.IsNil() && printsSecret(v.Elem(), seen, depth)
	case reflect.Struct:
		for _, field := range v.Fields() {
			if printsSecret(field, seen, depth) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if printsSecret(v.Index(i), seen, depth) {
				return true
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if printsSecret(k, seen, depth) || printsSecret(v.MapIndex(k), seen, depth) {
				return true
			}
		}
	default: // holds no text
	}
	return false
}
