// Package drillfile reads drill files: HCL in, drill.Drill out, with every problem at its line.
package drillfile

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// Kind is one sort of target, probe or fault that a drill file may name.
type Kind struct {
	Name string
	Doc  string
	// Table is what the block may hold.
	Table schema.Table
	// Decode reads the block's own arguments.
	Decode func(hcl.Body, *hcl.EvalContext) (any, *schema.Decoded)
	// Check, when there is one, says what is wrong with the decoded block among the drill's targets: a sentence that
	// is shown at the block's name, or "" when all is well. What is wrong in the block itself has its default, and has been told.
	Check func(spec any, name string, targets []drill.TargetSpec) string
	// Namespaces are those that a target or a fault touches; "" stands for one that is not known. It may be nil.
	Namespaces func(spec any) []string
	// Hold is how long a fault stays, if its block says so. It may be nil.
	Hold func(spec any) time.Duration
	// Rate is how often a probe asks in a second. It may be nil.
	Rate func(spec any) int
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
	body, parsed, diags := parse(path, src)
	if parsed != nil {
		file.Files[path] = parsed
	}
	if body != nil {
		file.Names = drillNames(body)
	}
	if diags.HasErrors() {
		return file, diags
	}
	l := &loader{path: path, src: src, kinds: kinds, in: in}
	drills := l.load(body)
	for _, b := range []*budget{l.budget, l.conditions} {
		if over := b.problem(); over != nil {
			l.diags = append(l.diags, over)
		}
	}
	file.Open, file.Secret = l.open, l.secret
	diags = withoutDots(path, src, tidy(append(diags, l.heard()...)))
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
	// conditions is the budget of checking all conditions.
	conditions *budget

	declared   map[string]*variable
	locals     map[string]*local
	localOrder []*local

	knownVariables, knownLocals []string // their names, in order, as known() found them last

	named        map[string]map[string]cty.Value // the values of both, by root and name
	whole        map[string]bool                 // the roots that are referred to as a whole, which is an error
	open, secret drill.Inputs                    // what was taken from outside

	homes map[home][]string // where the names of the language belong, once somebody asked
	muted []hcl.Range       // of what has no place where it stands: nothing more is said of it
}

func (l *loader) report(at hcl.Range, summary, detail string) {
	l.diags = append(l.diags, problem(at, summary, detail))
}

func (l *loader) load(body *hclsyntax.Body) []*drill.Drill {
	body = l.declare(body)
	l.checkStatics(body, "")
	_, root := rootBody().Decode(body, l.static)
	l.take(root)
	var drills []*drill.Drill
	seen := names{}
	for _, b := range root.Blocks.OfType("drill") {
		if l.enough() {
			break
		}
		l.checkName("drill", b.Labels[0], b.LabelRanges[0], seen)
		drills = append(drills, l.drill(b))
	}
	return drills
}

// heard are the problems without those within what has no place where it stands anyway.
func (l *loader) heard() hcl.Diagnostics {
	slices.SortFunc(l.muted, func(a, b hcl.Range) int { return a.Start.Byte - b.Start.Byte })
	return slices.DeleteFunc(l.diags, func(d *hcl.Diagnostic) bool {
		if d.Subject == nil || d.Subject.Filename != l.path {
			return false
		}
		i := sort.Search(len(l.muted), func(i int) bool { return l.muted[i].End.Byte > offset(d) })
		return i < len(l.muted) && l.muted[i].Start.Byte < offset(d)
	})
}

func problem(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at}
}

// enough reports whether so much is wrong with a file that looking for more helps nobody. What is shown is the first of it.
func (l *loader) enough() bool { return len(l.diags) > enough && l.diags.HasErrors() }

// maxProblems is how many problems are shown of one file; whoever has more has another sort of file.
const maxProblems = 50

// enough is how many are looked for, at most in one file.
const enough = 20 * maxProblems

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
		if seen[k] {
			continue
		}
		seen[k] = true
		d.Detail = shortWords(d.Detail)
		kept = append(kept, d)
	}
	byOffset(kept)
	if more := len(kept) - maxProblems; more > 0 {
		at, atLeast := hcl.Range{}, ""
		if len(diags) > enough {
			atLeast = "at least "
		}
		if next := kept[maxProblems].Subject; next != nil {
			at = *next
		}
		kept = append(kept[:maxProblems:maxProblems], problem(at, "Too many problems", fmt.Sprintf("There are %s%d more from here on. Correct those above first.", atLeast, more)))
	}
	return kept
}

func byOffset(diags hcl.Diagnostics) {
	sort.SliceStable(diags, func(i, j int) bool { return offset(diags[i]) < offset(diags[j]) })
}

func offset(d *hcl.Diagnostic) int {
	if d.Subject == nil {
		return 0
	}
	return d.Subject.Start.Byte
}
