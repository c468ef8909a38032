// Package schema declares what a block of a drill file may hold. The decoder, the reference pages and `drill kinds` read
// the same table, so that none of them can say what another does not know.
package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/drill"
)

// Argument is one argument of a block, and where its value goes.
type Argument struct {
	Name      string
	Type      string // for people: string, number, bool, duration, list of string, …
	Doc       string // one sentence or more, in Markdown's plain text
	Default   string // as it would be written, or in words; "" when there is none
	Required  bool
	Sensitive bool     // its value is never shown, so it may hold a secret
	Live      bool     // stays an expression, which is evaluated on every sample
	Values    []string // the words that it may be, if only some
	Later     []string // words of the language that this version cannot do yet
	Least     string   // what a number or a duration may be, as it would be written; "" where there is no bound
	Most      string
	Hint      string     // a sentence for who has written something that does not fit
	Fields    []Argument // of an object

	unnamed bool                          // no word for what it may be: its name is not one
	typ     cty.Type                      // what the value is converted to; cty.DynamicPseudoType leaves it
	set     func(v cty.Value, d *Decoded) // of a known value of that type
	check   func(d *Decoded)              // of an object's fields together
}

// Nested is a block within a block.
type Nested struct {
	Type     string
	Labels   []string // their names
	Doc      string
	Required bool
	Many     bool
	Body     Table
}

// Table is what a body may hold.
type Table struct {
	Arguments []Argument
	Blocks    []Nested
}

// Option changes an argument that a constructor made.
type Option func(*Argument)

// Required says that the argument must be given.
func Required() Option { return func(a *Argument) { a.Required, a.Default = true, "" } }

// Default tells in words what happens without the argument, where no value stands for it.
func Default(words string) Option { return func(a *Argument) { a.Default = words } }

// OneOf lists the words that the argument may be.
func OneOf(words ...string) Option { return func(a *Argument) { a.Values = words } }

// Answer is OneOf for an argument whose name does not say what its words are: a missed run is no kind of "missed".
func Answer(words ...string) Option {
	return func(a *Argument) { a.Values, a.unnamed = words, true }
}

// Later lists words that belong to the language and that this version cannot do: the file is valid, and a run refused.
func Later(words ...string) Option { return func(a *Argument) { a.Later = words } }

// Check holds a value to a rule. It returns the problem's summary and detail, or "" when all is well.
func Check[T any](rule func(T) (summary, detail string)) Option {
	return func(a *Argument) {
		set := a.set
		a.set = func(v cty.Value, d *Decoded) {
			before := len(d.Diagnostics)
			if set(v, d); len(d.Diagnostics) > before {
				return
			}
			got, ok := goValue(a, v).(T)
			if !ok {
				panic(fmt.Sprintf("argument %q is a %s, and its check takes a %T", a.Name, a.Type, got))
			}
			if summary, detail := rule(got); summary != "" {
				d.Report(d.At(a.Name), summary, "%s", detail)
			}
		}
	}
}

// Hint is a sentence that helps who has written what the argument cannot be.
func Hint(sentence string) Option { return func(a *Argument) { a.Hint = sentence } }

// Between bounds a number or a duration, both ends included.
func Between[T int | time.Duration](least, most T) Option {
	return func(a *Argument) {
		a.Least, a.Most = written(least), written(most)
		bound(a, func(v T) bool { return v >= least && v <= most }, "from "+a.Least+" to "+a.Most)
	}
}

// AtLeast bounds a number or a duration from below.
func AtLeast[T int | time.Duration](least T) Option {
	return func(a *Argument) {
		a.Least = written(least)
		bound(a, func(v T) bool { return v >= least }, "of "+a.Least+" or more")
	}
}

func bound[T int | time.Duration](a *Argument, within func(T) bool, words string) {
	summary, what := title(a.Name)+" out of range", "whole number"
	if a.Type == TypeDuration {
		summary, what = "Duration out of range", "duration"
	}
	Check(func(v T) (string, string) {
		if within(v) {
			return "", ""
		}
		return summary, sentences(fmt.Sprintf("%s is %s. Write a %s %s.", a.Name, written(v), what, words), a.Hint)
	})(a)
}

// written is a number or a duration as one writes it in a drill file, but for the quotes.
func written[T int | time.Duration](v T) string {
	if d, ok := any(v).(time.Duration); ok {
		return short(d)
	}
	return fmt.Sprint(v)
}

// title is an argument's name as the beginning of a sentence.
func title(name string) string {
	words := strings.ReplaceAll(name, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// sentences joins those that there are.
func sentences(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), " ")
}

// The types of arguments, for people.
const (
	TypeString     = "string"
	TypeNumber     = "number"
	TypeBool       = "bool"
	TypeDuration   = "duration"
	TypeStrings    = "list of string"
	TypeNumbers    = "number or list of number"
	TypeStringMap  = "map of string"
	TypeObject     = "object"
	TypeExpression = "expression"
)

// String is a text. What *to holds already is the default.
func String[T ~string](name string, to *T, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeString, Doc: doc, typ: cty.String, set: func(v cty.Value, _ *Decoded) { *to = T(v.AsString()) }}
	if *to != "" {
		a.Default = strconv.Quote(string(*to))
	}
	return a.with(options)
}

// Parsed is a text that stands for something else. What parse says of one that does not is reported at its place.
func Parsed[T any](name string, to *T, parse func(string) (of T, summary, detail string), doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeString, Doc: doc, typ: cty.String}
	a.set = func(v cty.Value, d *Decoded) {
		of, summary, detail := parse(v.AsString())
		if summary != "" {
			d.Report(d.At(name), summary, "%s", detail)
			return
		}
		*to = of
	}
	return a.with(options)
}

// Secret is a text that is never shown, and so may hold a secret.
func Secret(name string, to *drill.Sensitive, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeString, Doc: doc, Sensitive: true, typ: cty.String,
		set: func(v cty.Value, _ *Decoded) { *to = drill.Sensitive(v.AsString()) }}
	return a.with(options)
}

// Number is a whole number. What *to holds already is the default, if it is not 0.
func Number(name string, to *int, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeNumber, Doc: doc, typ: cty.Number}
	a.set = func(v cty.Value, d *Decoded) {
		if n, ok := d.whole(name, v); ok {
			*to = n
		}
	}
	if *to != 0 {
		a.Default = strconv.Itoa(*to)
	}
	return a.with(options)
}

// Bool is true or false. What *to holds already is the default.
func Bool(name string, to *bool, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeBool, Doc: doc, Default: strconv.FormatBool(*to), typ: cty.Bool,
		set: func(v cty.Value, _ *Decoded) { *to = v.True() }}
	return a.with(options)
}

// Duration is a length of time, written as a text with a unit. What *to holds already is the default, if it is not 0.
func Duration(name string, to *time.Duration, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeDuration, Doc: doc, typ: cty.String}
	a.set = func(v cty.Value, d *Decoded) {
		length, err := drill.ParseDuration(v.AsString())
		if err != nil {
			d.Report(d.At(name), "Invalid duration", "%s.", err)
			return
		}
		*to = length
	}
	if *to != 0 {
		a.Default = strconv.Quote(short(*to))
	}
	return a.with(options)
}

// Strings is a list of texts.
func Strings(name string, to *[]string, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeStrings, Doc: doc, typ: cty.List(cty.String), set: func(v cty.Value, _ *Decoded) { *to = texts(v) }}
	return a.with(options)
}

// Numbers are whole numbers in a list, or one alone.
func Numbers(name string, to *[]int, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeNumbers, Doc: doc, typ: cty.DynamicPseudoType}
	a.set = func(v cty.Value, d *Decoded) {
		at := func(i int) hcl.Range { return d.AtElement(name, i) }
		list := []cty.Value{v}
		if v.CanIterateElements() && !v.Type().IsMapType() && !v.Type().IsObjectType() {
			list = v.AsValueSlice()
		}
		all := []int{}
		for i, e := range list {
			n, ok := d.number(&a, e, at(i))
			if !ok {
				return
			}
			all = append(all, n)
		}
		*to = all
	}
	return a.with(options)
}

// StringMap is a set of texts with names.
func StringMap(name string, to *map[string]string, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeStringMap, Doc: doc, typ: cty.Map(cty.String)}
	a.set = func(v cty.Value, _ *Decoded) { *to = textMap(v) }
	return a.with(options)
}

// Value is what no other constructor fits: typeName is its type for people, and read takes the known value as it is.
func Value(name, typeName, doc string, read func(v cty.Value, d *Decoded), options ...Option) Argument {
	a := Argument{Name: name, Type: typeName, Doc: doc, typ: cty.DynamicPseudoType, set: read}
	return a.with(options)
}

// Expression stays an expression: it is evaluated on every sample, over live values.
func Expression(name string, to **hcl.Attribute, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeExpression, Doc: doc, Live: true, typ: cty.DynamicPseudoType}
	a.set = func(_ cty.Value, d *Decoded) { *to = d.attributes[name] }
	return a.with(options)
}

func (a Argument) with(options []Option) Argument {
	for _, o := range options {
		o(&a)
	}
	return a
}

// short writes a duration as people do: 2m, and not 2m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
