package cli

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/schema"
	"github.com/failoverdrill/drill/internal/targets"
)

// kindRow is a kind of any of the three tables, as people read about it.
type kindRow struct {
	Block       string // target, probe or fault
	Name        string
	Doc         string
	Example     string
	Table       schema.Table
	Attributes  []schema.Attribute
	Permissions func() []drill.Permission // what the runner needs, in namespaces that are called someNamespace
}

// someNamespace stands for a namespace of the reader's.
const someNamespace = "<namespace>"

// kindBlocks are the types of block that have kinds, in the order of the tables.
var kindBlocks = []string{"target", "probe", "fault"}

func kindRows() []kindRow {
	var all []kindRow
	for _, k := range targets.Kinds() {
		row := kindRow{Block: "target", Name: k.Name, Doc: k.Doc, Example: k.Example, Table: k.Table, Attributes: k.Attributes}
		row.Permissions = func() []drill.Permission {
			return row.inExample(func(d *drill.Drill) []drill.Permission { return k.Permissions(d.Targets[0].Spec) })
		}
		all = append(all, row)
	}
	for _, k := range probes.Kinds() {
		row := kindRow{Block: "probe", Name: k.Name, Doc: k.Doc, Example: k.Example, Table: k.Table, Attributes: k.Attributes}
		row.Permissions = func() []drill.Permission {
			return row.inExample(func(d *drill.Drill) []drill.Permission { return k.Permissions(d.Probes[0].Spec) })
		}
		all = append(all, row)
	}
	for _, k := range faults.Kinds() {
		all = append(all, kindRow{Block: "fault", Name: k.Name, Doc: k.Doc, Example: k.Example, Table: k.Table,
			Permissions: func() []drill.Permission { return k.Permissions(someNamespace) }})
	}
	for i := range all {
		all[i].Table.Arguments = slices.Concat(all[i].Table.Arguments, sharedArguments(all[i].Block))
	}
	return all
}

// sharedArguments are those of every kind of a type of block, such as a fault's after.
func sharedArguments(block string) []schema.Argument {
	for _, top := range drillfile.Language() {
		for _, b := range top.Body.Blocks {
			if b.Type == block {
				return b.Body.Arguments
			}
		}
	}
	return nil
}

// page is where there is more to read.
func (k kindRow) page() string { return "docs/" + k.Block + "s/" + k.Name + ".md" }

// inExample asks the kind's example, and calls its namespace someNamespace.
func (k kindRow) inExample(permissions func(*drill.Drill) []drill.Permission) []drill.Permission {
	file, diags := k.load()
	if diags.HasErrors() {
		return nil // a test holds the example to be valid
	}
	all := slices.Clone(permissions(file.Drills[0]))
	for i := range all {
		if all[i].Namespace != "" {
			all[i].Namespace = someNamespace
		}
	}
	return all
}

// load reads the example within a drill, of which it is the first block of its type. What else the drill needs is taken
// from the examples of others; of those targets that fit, any will do.
func (k kindRow) load() (*drillfile.File, hcl.Diagnostics) {
	var file *drillfile.File
	var diags hcl.Diagnostics
	for _, t := range targets.Kinds() {
		if k.Block == "target" && t.Name != k.Name {
			continue
		}
		file, diags = drillfile.Load(k.Name+".hcl", []byte(k.drill(t.Example)), fileKinds(), drillfile.Inputs{})
		if !diags.HasErrors() {
			break
		}
	}
	return file, diags
}

// drill is a drill with the kind's example and a target's.
func (k kindRow) drill(target string) string {
	blocks := target
	client, _ := probes.Find("http")
	if k.Block == "probe" {
		blocks += k.Example
	}
	if k.Example != client.Example {
		blocks += client.Example // a target without a ledger needs a probe that stands for its clients
	}
	if k.Block == "fault" {
		blocks += k.Example
	} else {
		blocks += fmt.Sprintf("fault \"pod_kill\" %q {}\n", exampleName(target))
	}
	return "drill \"example\" {\n" + blocks + "}\n"
}

// exampleName is what the example calls its block.
func exampleName(example string) string {
	f, diags := hclsyntax.ParseConfig([]byte(example), "example.hcl", hcl.InitialPos)
	if body, ok := f.Body.(*hclsyntax.Body); ok && !diags.HasErrors() && len(body.Blocks) == 1 && len(body.Blocks[0].Labels) == 2 {
		return body.Blocks[0].Labels[1]
	}
	return ""
}
