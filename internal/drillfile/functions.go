package drillfile

import (
	"regexp"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/failoverdrill/drill/internal/drill"
)

// functions are those of the language. Only the body of a kind may call secret(); elsewhere a call has been reported,
// and its value is unknown.
func functions(inKind bool) map[string]function.Function {
	fs := map[string]function.Function{
		"duration": durationFunction(),
		"secret":   unknownFunction(),
	}
	for name := range futureOf("").functions {
		fs[name] = unknownFunction()
	}
	if inKind {
		fs["secret"] = secretFunction()
	}
	return fs
}

// durationFunction gives a duration's seconds.
func durationFunction() function.Function {
	return function.New(&function.Spec{
		Description: "The number of seconds in a duration such as \"90s\".",
		Params:      []function.Parameter{{Name: "duration", Type: cty.String}},
		Type:        function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			d, err := drill.ParseDuration(args[0].AsString())
			if err != nil {
				return cty.UnknownVal(cty.Number), function.NewArgError(0, err)
			}
			return cty.NumberFloatVal(d.Seconds()), nil
		},
	})
}

// secretFunction gives a reference that stands for the value of a key of a Kubernetes Secret.
func secretFunction() function.Function {
	name := regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	key := regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	return function.New(&function.Spec{
		Description: "The value of a key of a Kubernetes Secret in the target's namespace.",
		Params:      []function.Parameter{{Name: "name", Type: cty.String}, {Name: "key", Type: cty.String}},
		Type:        function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			k := drill.SecretKey{Name: args[0].AsString(), Key: args[1].AsString()}
			if !name.MatchString(k.Name) {
				return cty.UnknownVal(cty.String), function.NewArgErrorf(0, "%q is not the name of a Kubernetes Secret, such as \"orders-app\"", k.Name)
			}
			if !key.MatchString(k.Key) {
				return cty.UnknownVal(cty.String), function.NewArgErrorf(1, "%q is not a key of a Kubernetes Secret, such as \"uri\"", k.Key)
			}
			return cty.StringVal(drill.SecretRef(k)), nil
		},
	})
}

// unknownFunction stands in for a function whose call has been reported.
func unknownFunction() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "argument", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
		Type:     function.StaticReturnType(cty.DynamicPseudoType),
		Impl:     func([]cty.Value, cty.Type) (cty.Value, error) { return cty.DynamicVal, nil },
	})
}
