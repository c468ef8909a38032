package schema

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Object is a value with fields, each of which is declared as an argument is. The check looks at them together, once each
// is known; what it is given knows the fields' places. It may be nil.
func Object(name string, fields []Argument, check func(*Decoded), doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeObject, Doc: doc, Fields: fields, check: check}
	return a.with(options)
}

// object reads an argument that has fields.
func (d *Decoded) object(a *Argument, ctx *hcl.EvalContext) {
	expr := d.attributes[a.Name].Expr
	part := &Decoded{missing: expr.Range(), attributes: map[string]*hcl.Attribute{}}
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		part.fields(a, pairs, ctx)
	} else if !d.wholeObject(a, part, ctx) {
		return
	}
	for i := range a.Fields {
		f := &a.Fields[i]
		switch {
		case part.attributes[f.Name] != nil:
			part.read(f, ctx)
		case f.Required && !part.unknown:
			part.Report(part.missing, "Missing required field", "%q needs a field %q: %s", a.Name, f.Name, f.Doc)
		}
	}
	if a.check != nil && !part.unknown {
		a.check(part)
	}
	d.Diagnostics = append(d.Diagnostics, part.Diagnostics...)
	d.unknown = d.unknown || part.unknown
}

// fields takes the fields from an object that is written out, where each has a place of its own.
func (d *Decoded) fields(a *Argument, pairs []hcl.KeyValuePair, ctx *hcl.EvalContext) {
	for _, pair := range pairs {
		key, diags := pair.Key.Value(ctx)
		d.Diagnostics = append(d.Diagnostics, diags...)
		key, marks := key.Unmark()
		if _, secret := marks[Sensitive]; secret {
			d.misplaced(a, pair.Key)
			d.unknown = true
			continue
		}
		if diags.HasErrors() || !key.IsKnown() || key.IsNull() || key.Type() != cty.String {
			d.unknown = true
			continue
		}
		name := key.AsString()
		if first := d.attributes[name]; first != nil {
			d.Report(pair.Key.Range(), "Duplicate field", "The field %q was set on line %d already. Remove one of them.", name, first.NameRange.Start.Line)
			continue
		}
		d.field(a, name, pair.Key.Range(), pair.Value)
	}
}

// wholeObject takes the fields from a value that comes from somewhere else, such as a variable.
func (d *Decoded) wholeObject(a *Argument, part *Decoded, ctx *hcl.EvalContext) bool {
	expr := d.attributes[a.Name].Expr
	v, diags := expr.Value(ctx)
	d.Diagnostics = append(d.Diagnostics, diags...)
	if diags.HasErrors() {
		d.unknown = true
		return false
	}
	v, marks := v.Unmark()
	switch _, secret := marks[Sensitive]; {
	case secret:
		d.misplaced(a, expr)
		return false
	case !v.IsKnown():
		d.unknown = true
		return false
	case v.IsNull():
		d.null(a)
		return false
	case !v.Type().IsObjectType() && !v.Type().IsMapType():
		d.unsuitable(a, v, expr.Range(), "")
		return false
	}
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		part.field(a, key.AsString(), expr.Range(), hcl.StaticExpr(value, expr.Range()))
	}
	return true
}

// field keeps a field's expression, if there is such a field.
func (d *Decoded) field(a *Argument, name string, at hcl.Range, expr hcl.Expression) {
	known := make([]string, 0, len(a.Fields))
	for _, f := range a.Fields {
		known = append(known, f.Name)
	}
	if !slices.Contains(known, name) {
		d.Report(at, "Unsupported argument", "%q has no field %q.%s", a.Name, name, DidYouMean(name, known))
		return
	}
	d.attributes[name] = &hcl.Attribute{Name: name, Expr: expr, Range: hcl.RangeBetween(at, expr.Range()), NameRange: at}
}

// AtElement is the place of an element of a list, or that of the list when it is not written out.
func (d *Decoded) AtElement(name string, i int) hcl.Range {
	if expr := d.Expr(name); expr != nil {
		if list, diags := hcl.ExprList(expr); !diags.HasErrors() && i < len(list) {
			return list[i].Range()
		}
	}
	return d.At(name)
}

// AtKey is the place of a map's key, or that of the map when it is not written out.
func (d *Decoded) AtKey(name, key string) hcl.Range {
	if expr := d.Expr(name); expr != nil {
		pairs, _ := hcl.ExprMap(expr)
		for _, pair := range pairs {
			if k, diags := pair.Key.Value(nil); !diags.HasErrors() && k.RawEquals(cty.StringVal(key)) {
				return pair.Key.Range()
			}
		}
	}
	return d.At(name)
}
