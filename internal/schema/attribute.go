package schema

import (
	"github.com/zclconf/go-cty/cty"
)

// Attribute is a live value of a target, a probe or the run, which conditions may refer to.
type Attribute struct {
	Name string
	Doc  string
	Type cty.Type // cty.Number or cty.Bool
	// Least and Most bound a number; nil where there is no bound. A condition that they decide can never change.
	Least, Most *float64
}

// Seconds is a length of time; +Inf stands for never.
func Seconds(name, doc string) Attribute {
	return Attribute{Name: name, Doc: doc, Type: cty.Number, Least: new(0.0)}
}

// Count is a number of things.
func Count(name, doc string) Attribute {
	return Attribute{Name: name, Doc: doc, Type: cty.Number, Least: new(0.0)}
}

// Ratio is a share, from 0 to 1.
func Ratio(name, doc string) Attribute {
	return Attribute{Name: name, Doc: doc, Type: cty.Number, Least: new(0.0), Most: new(1.0)}
}

// Any is a number of which nothing is known.
func Any(name, doc string) Attribute { return Attribute{Name: name, Doc: doc, Type: cty.Number} }

// Unknown is the attribute before there is a reading: of its type, and within its bounds.
func (a Attribute) Unknown() cty.Value {
	v := cty.UnknownVal(a.Type).RefineNotNull()
	if a.Type != cty.Number || a.Least == nil && a.Most == nil {
		return v
	}
	r := v.Refine()
	if a.Least != nil {
		r = r.NumberRangeLowerBound(cty.NumberFloatVal(*a.Least), true)
	}
	if a.Most != nil {
		r = r.NumberRangeUpperBound(cty.NumberFloatVal(*a.Most), true)
	}
	return r.NewValue()
}

// Names lists the attributes' names.
func Names(all []Attribute) []string {
	names := make([]string, 0, len(all))
	for _, a := range all {
		names = append(names, a.Name)
	}
	return names
}

// Find returns the attribute of that name.
func Find(all []Attribute, name string) (Attribute, bool) {
	for _, a := range all {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}
