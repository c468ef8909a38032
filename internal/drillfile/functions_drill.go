package drillfile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// deferredSecret marks a text in which a reference stands for a secret's value, beside schema.Sensitive.
const deferredSecret = secretMark("deferred")

type secretMark string

// textFunction makes a function of one text.
func textFunction(description string, impl func(text string) (cty.Value, error), result cty.Type) function.Function {
	return function.New(&function.Spec{
		Description: description,
		Params:      []function.Parameter{{Name: "text", Type: cty.String}},
		Type:        function.StaticReturnType(result),
		Impl: func(args []cty.Value, result cty.Type) (cty.Value, error) {
			v, err := impl(args[0].AsString())
			if err != nil {
				return cty.UnknownVal(result), function.NewArgError(0, err)
			}
			return v, nil
		},
	})
}

// durationFunction gives a duration's seconds.
func durationFunction() function.Function {
	return textFunction("The number of seconds in a duration.", func(text string) (cty.Value, error) {
		d, err := drill.ParseDuration(text)
		return cty.NumberFloatVal(d.Seconds()), err
	}, cty.Number)
}

var (
	secretName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	secretKey  = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
)

// secretFunction gives a reference that stands for the value of a key of a Kubernetes Secret.
func secretFunction() function.Function {
	return function.New(&function.Spec{
		Description: "The value of a key of a Kubernetes Secret in the target's namespace.",
		Params:      []function.Parameter{{Name: "name", Type: cty.String}, {Name: "key", Type: cty.String}},
		Type:        function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			k := drill.SecretKey{Name: args[0].AsString(), Key: args[1].AsString()}
			if !secretName.MatchString(k.Name) {
				return cty.UnknownVal(cty.String), function.NewArgErrorf(0, "%q is not the name of a Kubernetes Secret, such as \"orders-app\"", k.Name)
			}
			if !secretKey.MatchString(k.Key) {
				return cty.UnknownVal(cty.String), function.NewArgErrorf(1, "%q is not a key of a Kubernetes Secret, such as \"uri\"", k.Key)
			}
			return marked(cty.StringVal(drill.SecretRef(k)), schema.Sensitive, deferredSecret), nil
		},
	})
}

// envFunction reads an environment variable, and records that the file took it.
func (l *loader) envFunction() function.Function {
	return textFunction("The value of an environment variable.", func(name string) (cty.Value, error) {
		var value string
		ok := false
		if l.in.Env != nil {
			value, ok = l.in.Env(name)
		}
		switch {
		case !ok && l.in.Partial:
			return marked(cty.UnknownVal(cty.String).RefineNotNull(), schema.Sensitive), nil
		case !ok:
			return cty.NilVal, fmt.Errorf("the environment variable %s is not set where drill runs. Set it, or give the value to a variable", name)
		}
		if err := checkText(value); err != nil {
			return cty.NilVal, fmt.Errorf("the environment variable %s %w", name, err)
		}
		record(&l.secret.Env, name, value)
		return marked(cty.StringVal(value), schema.Sensitive), nil
	}, cty.String)
}

// fileFunction reads a file, and records that the drill file took it.
func (l *loader) fileFunction() function.Function {
	return textFunction("The text of a file.", func(path string) (cty.Value, error) {
		if content, ok := l.secret.Files[path]; ok {
			return marked(cty.StringVal(content), schema.Sensitive), nil
		}
		if l.in.File == nil {
			if l.in.Partial {
				return marked(cty.UnknownVal(cty.String).RefineNotNull(), schema.Sensitive), nil
			}
			return cty.NilVal, fmt.Errorf("the file %s cannot be read here", path)
		}
		content, err := l.in.File(path)
		if err != nil {
			return cty.NilVal, fmt.Errorf("the file %s cannot be read: %w", path, err)
		}
		if err := checkText(string(content)); err != nil {
			return cty.NilVal, fmt.Errorf("the file %s %w", path, err)
		}
		record(&l.secret.Files, path, string(content))
		return marked(cty.StringVal(string(content)), schema.Sensitive), nil
	}, cty.String)
}

func record[V any](in *map[string]V, name string, v V) {
	if *in == nil {
		*in = map[string]V{}
	}
	(*in)[name] = v
}

// checkText refuses what could steer a terminal or pass for drill's own marks.
func checkText(text string) error {
	switch {
	case len(text) > maxValue:
		return fmt.Errorf("holds %d KiB, and a value may have up to %d", len(text)>>10, maxValue>>10)
	case !utf8.ValidString(text):
		return errors.New("is not text in UTF-8")
	}
	if i := strings.IndexFunc(text, isControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		return fmt.Errorf("holds the control character %U", r)
	}
	return nil
}

// ordinary refuses control characters in what a function decodes.
func ordinary(f function.Function) function.Function {
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		VarParam:    f.VarParam(),
		Type:        f.ReturnTypeForValues,
		Impl: func(args []cty.Value, result cty.Type) (cty.Value, error) {
			v, err := f.Call(args)
			if err != nil {
				return cty.UnknownVal(result), err
			}
			if err := checkTexts(v); err != nil {
				return cty.UnknownVal(result), fmt.Errorf("a text in the result %w", err)
			}
			return v, nil
		},
	})
}

func base64DecodeFunction() function.Function {
	return textFunction("The text that a Base64 text stands for.", func(text string) (cty.Value, error) {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return cty.NilVal, errors.New("this is not Base64")
		}
		if err := checkText(string(decoded)); err != nil {
			return cty.NilVal, fmt.Errorf("what it stands for %w", err)
		}
		return cty.StringVal(string(decoded)), nil
	}, cty.String)
}

func base64EncodeFunction() function.Function {
	return textFunction("A text in Base64.", func(text string) (cty.Value, error) {
		return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(text))), nil
	}, cty.String)
}

func urlEncodeFunction() function.Function {
	return textFunction("A text as a part of a URL's query.", func(text string) (cty.Value, error) {
		return cty.StringVal(url.QueryEscape(text)), nil
	}, cty.String)
}

// sensitiveFunction marks a value.
func sensitiveFunction() function.Function {
	return function.New(&function.Spec{
		Description: "The value, never to be shown.",
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType,
			AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true}},
		Type: func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return marked(args[0], schema.Sensitive), nil },
	})
}

func marked(v cty.Value, marks ...any) cty.Value { return v.WithMarks(cty.NewValueMarks(marks...)) }

// checkTexts is checkText for all that is in a value.
func checkTexts(v cty.Value) error {
	return cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		if v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
			return true, nil
		}
		return true, checkText(v.AsString())
	})
}
