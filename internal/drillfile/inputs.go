package drillfile

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
)

// Inputs is where a drill file takes what it does not say itself.
type Inputs struct {
	// Given are values of variables, in the order of their precedence: a later one wins.
	Given []Value
	// Env looks up an environment variable, and File reads a file by the path that the drill file gives. Where they are
	// nil, there is none.
	Env  func(name string) (value string, ok bool)
	File func(path string) ([]byte, error)
	// Partial says that a value may be missing, because the file is only validated: it is unknown then, and no error.
	Partial bool
}

// Value is a value of a variable, from outside the drill file.
type Value struct {
	Name   string
	Origin string          // for people: "--var", "the environment variable DRILL_VAR_zone", "shop.drillvars.hcl, line 3"
	Text   string          // as it was typed: plain for a variable of type string, else an expression
	Expr   hcl.Expression  // of a variables file; nil: Text counts
	JSON   json.RawMessage // as it was recorded; nil: Expr or Text counts
	Stray  bool            // may belong to another drill file, so that it is no error when this one declares no such variable
}

// Recorded are the inputs of a file that was read before, elsewhere: what it took then, and nothing else.
func Recorded(all ...drill.Inputs) Inputs {
	variables, env, files := map[string]json.RawMessage{}, map[string]string{}, map[string]string{}
	for _, in := range all {
		maps.Copy(variables, in.Variables)
		maps.Copy(env, in.Env)
		maps.Copy(files, in.Files)
	}
	in := Inputs{
		Env: func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		},
		File: func(path string) ([]byte, error) {
			content, ok := files[path]
			if !ok {
				return nil, fmt.Errorf("it was not recorded: %w", fs.ErrNotExist)
			}
			return []byte(content), nil
		},
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		in.Given = append(in.Given, Value{Name: name, Origin: "the run's record", JSON: variables[name]})
	}
	return in
}
