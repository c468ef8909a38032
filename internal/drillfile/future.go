package drillfile

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// future is a part of the language that this version knows of and cannot do yet. Each name has a sentence that says
// what to do without it.
type future struct{ blocks, arguments map[string]string }

const removeIt = "Remove it for now."

// futureOf lists, by the block they stand in, the parts of the language to come.
func futureOf(block string) future {
	switch block {
	case "":
		return future{}
	case "drill":
		return future{
			blocks: map[string]string{
				"guard":        removeIt,
				"precondition": "Remove it, and write what must hold as an assert in steady_state.",
				"notify":       removeIt,
			},
		}
	case "fault":
		return future{arguments: map[string]string{"after": removeIt}}
	case "abort", "assert":
		return future{arguments: map[string]string{"on_unknown": "Remove it: while a value has no reading, the rule waits."}}
	case "objectives":
		return future{
			blocks: map[string]string{"alert": removeIt},
		}
	}
	return future{}
}

// withoutFuture reports what is not available yet, and returns the body without it.
func withoutFuture(body *hclsyntax.Body, block string) (*hclsyntax.Body, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	next := futureOf(block)
	kept := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: body.SrcRange, EndRange: body.EndRange}
	for name, a := range body.Attributes {
		if hint, ok := next.arguments[name]; ok {
			diags = append(diags, notYet(a.NameRange, fmt.Sprintf("The argument %q", name), hint))
			continue
		}
		kept.Attributes[name] = a
	}
	for _, b := range body.Blocks {
		if hint, ok := next.blocks[b.Type]; ok {
			diags = append(diags, notYet(b.DefRange(), "The block "+b.Type, hint))
			continue
		}
		inner, more := withoutFuture(b.Body, b.Type)
		copied := *b
		copied.Body = inner
		kept.Blocks = append(kept.Blocks, &copied)
		diags = append(diags, more...)
	}
	return kept, diags
}

func notYet(at hcl.Range, what, hint string) *hcl.Diagnostic {
	return problem(at, "Not available yet", what+" belongs to the drill language, but this version of drill cannot do it. "+hint)
}
