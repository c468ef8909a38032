package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Stray is an argument or a block that has no place where it stands. Whoever knows the whole language can say more.
type Stray struct {
	Name       string
	Block      bool
	Meant      string    // the name that was probably meant; "" when none is near
	Range      hcl.Range // all of it
	Diagnostic *hcl.Diagnostic
}

// meant reports whether something with a misspelt name stands for the one that is missing.
func (d *Decoded) meant(name string) bool {
	return slices.ContainsFunc(d.Strays, func(s Stray) bool { return s.Meant == name })
}

// maxExplained is how many problems a body may have of which more is said: nobody reads on.
const maxExplained = 1000

// explain says more than HCL of what has no place in the table, and of wrong labels.
func (d *Decoded) explain(body hcl.Body, table Table) {
	syntax, ok := body.(*hclsyntax.Body)
	if !ok || len(d.Diagnostics) == 0 || len(d.Diagnostics) > maxExplained {
		return
	}
	at := make(map[int]*hcl.Diagnostic, len(d.Diagnostics))
	for _, diag := range d.Diagnostics {
		if diag.Subject != nil {
			at[diag.Subject.Start.Byte] = diag
		}
	}
	for name, a := range syntax.Attributes {
		if diag := at[a.NameRange.Start.Byte]; diag != nil {
			d.stray(Stray{Name: name, Range: a.SrcRange, Diagnostic: diag}, table)
		}
	}
	for _, b := range syntax.Blocks {
		if diag := at[b.TypeRange.Start.Byte]; diag != nil {
			d.stray(Stray{Name: b.Type, Block: true, Range: b.Range(), Diagnostic: diag}, table)
			continue
		}
		i := slices.IndexFunc(table.Blocks, func(n Nested) bool { return n.Type == b.Type })
		if i < 0 || len(b.Labels) == len(table.Blocks[i].Labels) {
			continue
		}
		wrong := b.OpenBraceRange
		if n := len(table.Blocks[i].Labels); len(b.Labels) > n {
			wrong = b.LabelRanges[n]
		}
		if diag := at[wrong.Start.Byte]; diag != nil {
			diag.Detail += fmt.Sprintf(" Write it as %s.", table.Blocks[i].Header())
		}
	}
}

// stray says what was probably meant: another name, or the other of argument and block.
func (d *Decoded) stray(s Stray, table Table) {
	arguments, blocks := table.Names()
	known, other, what := arguments, blocks, "An argument named %q is not expected here."
	if s.Block {
		known, other, what = blocks, arguments, "Blocks of type %q are not expected here."
	}
	detail := fmt.Sprintf(what, s.Name)
	switch {
	case slices.Contains(other, s.Name) && s.Block:
		s.Meant = s.Name
		detail += fmt.Sprintf(" It is an argument: write it as %s = ….", s.Name)
	case slices.Contains(other, s.Name):
		s.Meant = s.Name
		detail += fmt.Sprintf(" It is a block: write it as %s { … }, without an equals sign.", s.Name)
	default:
		known = slices.DeleteFunc(known, d.Given) // nobody means what is there already
		s.Meant = Nearest(s.Name, known)
		detail += DidYouMean(s.Name, known)
	}
	s.Diagnostic.Detail = detail
	d.Strays = append(d.Strays, s)
}

// Names are those of the arguments and of the blocks.
func (t Table) Names() (arguments, blocks []string) {
	for _, a := range t.Arguments {
		arguments = append(arguments, a.Name)
	}
	for _, b := range t.Blocks {
		blocks = append(blocks, b.Type)
	}
	return arguments, blocks
}

// Header is how the block is written.
func (n Nested) Header() string {
	var b strings.Builder
	b.WriteString(n.Type)
	for _, l := range n.Labels {
		fmt.Fprintf(&b, " %q", strings.ToUpper(l))
	}
	b.WriteString(" { … }")
	return b.String()
}

// Written is the number of blocks of a type in a body, also of those with wrong labels.
func Written(body hcl.Body, blockType string) int {
	syntax, ok := body.(*hclsyntax.Body)
	if !ok {
		return 0
	}
	n := 0
	for _, b := range syntax.Blocks {
		if b.Type == blockType {
			n++
		}
	}
	return n
}
