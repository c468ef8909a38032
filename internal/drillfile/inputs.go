package drillfile

import (
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
	Origin string         // for people: "--var", "the environment variable DRILL_VAR_zone", "shop.drillvars.hcl, line 3"
	Text   string         // as it was typed: plain for a variable of type string, else an expression
	Expr   hcl.Expression // of a variables file; nil: Text counts
	Stray  bool           // may belong to another drill file, so that it is no error when this one declares no such variable
}

// Recorded are the inputs of a file that was read before, elsewhere.
func Recorded(in drill.Inputs) Inputs {
	_ = in
	return Inputs{}
}
