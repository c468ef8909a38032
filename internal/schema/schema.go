// Package schema declares what a block of a drill file may hold. The decoder, the reference pages and `drill kinds` read
// the same table, so that none of them can say what another does not know.
package schema

import (
	"fmt"
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

	typ cty.Type                      // what the value is converted to; cty.DynamicPseudoType leaves it
	set func(v cty.Value, d *Decoded) // of a known value of that type
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

// Between bounds a number or a duration, both ends included.
func Between[T int | time.Duration](least, most T) Option {
	return func(a *Argument) {
		what := "Number"
		if a.Type == TypeDuration {
			what = "Duration"
		}
		Check(func(v T) (string, string) {
			if v < least || v > most {
				return what + " out of range", fmt.Sprintf("%s is %s. Write a %s from %s to %s.", a.Name, plain(v), strings.ToLower(what), plain(least), plain(most))
			}
			return "", ""
		})(a)
	}
}

// plain writes a number or a duration as people do.
func plain(v any) string {
	if d, ok := v.(time.Duration); ok {
		return short(d)
	}
	return fmt.Sprint(v)
}

// The types of arguments, for people.
const (
	TypeString     = "string"
	TypeNumber     = "number"
	TypeBool       = "bool"
	TypeDuration   = "duration"
	TypeStrings    = "list of string"
	TypeStringMap  = "map of string"
	TypeExpression = "expression"
)

// String is a text. What *to holds already is the default.
func String(name string, to *string, doc string, options ...Option) Argument {
	a := Argument{Name: name, Type: TypeString, Doc: doc, typ: cty.String, set: func(v cty.Value, _ *Decoded) { *to = v.AsString() }}
	if *to != "" {
		a.Default = strconv.Quote(*to)
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
