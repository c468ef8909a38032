// Package drillfile reads drill files: HCL in, drill.Drill out, with every problem at its line.
package drillfile

import (
	"fmt"
	"slices"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// Kind is one sort of target, probe or fault that a drill file may name.
type Kind struct {
	Name string
	Doc  string
	// Decode reads the block's own arguments. Beside an error that is already reported it may meet unknown values;
	// gohcl copes with them, and what it says of them is dropped.
	Decode func(hcl.Body, *hcl.EvalContext) (any, *schema.Decoded)
	// Check, when there is one, says what is wrong with the decoded block among the drill's targets: a sentence that
	// is shown at the block's name, or "" when all is well. It is called only when every kind's block was decoded.
	Check func(spec any, name string, targets []drill.TargetSpec) string
	// Attributes are the live values of a target or a probe, numbers or bools, by name.
	Attributes []schema.Attribute
	// Probed says that a target of this kind is itself the name of a probe.
	Probed bool
	// NoLedger says that a target takes no writes of drill's, so nothing can be asked about them.
	NoLedger bool
	// Checks are the probes of invariants that a target of this kind has.
	Checks []drill.Check
}

// Kinds are the tables of kinds, by block type.
type Kinds struct{ Targets, Probes, Faults []Kind }

// File is what a drill file holds.
type File struct {
	Drills []*drill.Drill       // none when there are errors
	Names  []Name               // of the drills, in the order of the file, also when there are errors
	Files  map[string]*hcl.File // the sources, for Render and JSON
	// Open and Secret are what the file took from outside. What is in Open may be shown, what is in Secret may not.
	Open, Secret drill.Inputs
}

// Load reads the drills in src. It reports every problem at once, in the order of the file, and never panics. Load
// does not touch the file system; path is the name to show.
func Load(path string, src []byte, kinds Kinds, in Inputs) (*File, hcl.Diagnostics) {
	file := &File{Files: map[string]*hcl.File{}}
	if diags := checkBytes(path, src); diags.HasErrors() {
		return file, diags // and not the source, which may be no text
	}
	file.Files[path] = &hcl.File{Bytes: src}
	if diags := checkTokens(path, src); diags.HasErrors() {
		return file, diags
	}
	parsed, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	file.Files[path] = parsed
	if diags.HasErrors() {
		return file, tidy(diags)
	}
	body, ok := parsed.Body.(*hclsyntax.Body)
	if !ok {
		return file, hcl.Diagnostics{problem(parsed.Body.MissingItemRange(), "Unsupported syntax", "Write drill files in HCL's native syntax.")}
	}
	file.Names = drillNames(body)
	if diags := checkLiterals(body); diags.HasErrors() {
		return file, tidy(diags) // evaluating them might never end
	}
	l := &loader{path: path, src: src, kinds: kinds, in: in}
	drills := l.load(body)
	if over := l.budget.problem(); over != nil {
		l.diags = append(l.diags, over)
	}
	file.Open, file.Secret = l.open, l.secret
	diags = tidy(append(diags, l.diags...))
	if !diags.HasErrors() {
		file.Drills = drills
	}
	return file, diags
}

// loader gathers the problems of one file.
type loader struct {
	path   string
	src    []byte
	kinds  Kinds
	in     Inputs
	diags  hcl.Diagnostics
	static *hcl.EvalContext // of all arguments: variables, locals and functions
	budget *budget          // of evaluating them

	declared     map[string]*variable
	locals       map[string]*local
	localOrder   []*local
	open, secret drill.Inputs // what was taken from outside

	wanted map[string]hcl.Range // the invariants that the present drill asks for, and where
	causes hcl.Diagnostics      // problems of single expressions, in order, because of which their values are unknown
}

func (l *loader) report(at hcl.Range, summary, detail string) {
	l.diags = append(l.diags, problem(at, summary, detail))
}

func (l *loader) load(body *hclsyntax.Body) []*drill.Drill {
	body = l.declare(body)
	body, diags := withoutFuture(body, "")
	l.diags = append(l.diags, diags...)
	l.checkStatics(body, "")
	l.causes = slices.Clone(l.diags)
	byOffset(l.causes)

	var root rootBlocks
	l.diags = append(l.diags, gohcl.DecodeBody(body, l.static, &root)...)
	if count(body, "drill") == 0 {
		l.report(body.MissingItemRange(), "Missing drill block", `A drill file holds at least one drill. Write a block such as drill "kill-primary" { … }.`)
	}
	var drills []*drill.Drill
	seen := names{}
	for i := range root.Drills {
		b := &root.Drills[i]
		l.checkName("drill", b.Name, b.NameRange, seen)
		drills = append(drills, l.drill(b))
	}
	return drills
}

func problem(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at}
}

// maxProblems is how many problems are shown of one file; whoever has more has another sort of file.
const maxProblems = 50

// tidy puts the problems in the order of the file and says each thing once.
func tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	type key struct {
		summary, detail string
		offset          int
	}
	seen := map[key]bool{}
	var kept hcl.Diagnostics
	for _, d := range diags {
		k := key{d.Summary, d.Detail, offset(d)}
		if seen[k] || isEcho(d) {
			continue
		}
		seen[k] = true
		d.Detail = shortWords(d.Detail)
		kept = append(kept, d)
	}
	byOffset(kept)
	if more := len(kept) - maxProblems; more > 0 {
		at := hcl.Range{}
		if next := kept[maxProblems].Subject; next != nil {
			at = *next
		}
		kept = append(kept[:maxProblems:maxProblems], problem(at, "Too many problems", fmt.Sprintf("There are %d more from here on. Correct those above first.", more)))
	}
	return kept
}

func byOffset(diags hcl.Diagnostics) {
	sort.SliceStable(diags, func(i, j int) bool { return offset(diags[i]) < offset(diags[j]) })
}

// isEcho recognises gohcl's complaint that a value is unknown. It is so because of an error that has been reported, or
// because the file is only validated, without the values of its variables.
func isEcho(d *hcl.Diagnostic) bool {
	return d.Summary == "Unsuitable value type" && d.Detail == "Unsuitable value: value must be known" && d.Context != nil
}

// within reports whether one of the sorted problems begins in the range.
func within(at hcl.Range, sorted hcl.Diagnostics) bool {
	i := sort.Search(len(sorted), func(i int) bool { return offset(sorted[i]) >= at.Start.Byte })
	return i < len(sorted) && offset(sorted[i]) <= at.End.Byte
}

func offset(d *hcl.Diagnostic) int {
	if d.Subject == nil {
		return 0
	}
	return d.Subject.Start.Byte
}
