package drillfile

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Name is where a drill file names a drill.
type Name struct {
	Name string
	At   hcl.Range
}

// drillNames lists the drills of a file by their labels alone, so that they are known whatever else is wrong with it.
func drillNames(body *hclsyntax.Body) []Name {
	var all []Name
	for _, b := range body.Blocks {
		if b.Type == "drill" && len(b.Labels) > 0 {
			all = append(all, Name{b.Labels[0], b.LabelRanges[0]})
		}
	}
	return all
}

// Duplicate is the problem of a second block of the same name; both places are in it.
func Duplicate(block, given string, at, first hcl.Range) *hcl.Diagnostic {
	return problem(at, "Duplicate name",
		fmt.Sprintf("Another %s named %q is on line %d of %s; this one is on line %d. Give one of them a different name.",
			block, given, first.Start.Line, first.Filename, at.Start.Line))
}
