package drillfile

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/schema"
)

// The bounds of one drill. What a run needs of the cluster grows with faults times namespaces, and the load of its probes
// with their rates: nobody who has not been asked for a right yet may make that large.
const (
	maxTargets    = 8
	maxProbes     = 64
	maxFaults     = 32
	maxRules      = 64   // preconditions, asserts of a block, abort blocks: each
	maxNamespaces = 16   // of all targets and faults
	maxProbeRate  = 1000 // Hz, of all probes beside the target's own

	maxDescription = 4 << 10 // bytes
	maxAllowed     = 64      // namespaces that a guard lists
	maxAlerts      = 32
	maxWindows     = 32
	maxBlackouts   = 64
)

// CheckWords refuses a text with more words, signs and lines than can be parsed in little memory: each takes about a
// hundred times its own. No diagnostics, but a sentence; "" when it is small enough.
func CheckWords(path, src string, most int) string {
	m, _ := measureBytes(path, []byte(src))
	if m.signs <= most {
		return ""
	}
	return fmt.Sprintf("%s has %d words, signs and lines, and drill's server reads up to %d. Split it", path, m.signs, most)
}

// mostBlocks is how many blocks of a type a drill may have.
var mostBlocks = map[string]int{"target": maxTargets, "probe": maxProbes, "fault": maxFaults,
	"precondition": maxRules, "abort": maxRules, "assert": maxRules}

// bounded returns as many blocks of each type as there may be, and reports the first one beyond.
func (l *loader) bounded(blocks hcl.Blocks) hcl.Blocks {
	kept := make(hcl.Blocks, 0, len(blocks))
	n := map[string]int{}
	for _, b := range blocks {
		most, bounded := mostBlocks[b.Type]
		n[b.Type]++
		switch {
		case !bounded || n[b.Type] <= most:
			kept = append(kept, b)
		case n[b.Type] == most+1:
			where, instead := "A drill", "Write another drill for the others."
			if b.Type == "assert" {
				where, instead = "This block", "Put several conditions into one, with && between them."
			}
			l.report(b.DefRange, "Too many blocks", fmt.Sprintf("%s may have up to %d blocks of type %s, and this is one more. %s", where, most, b.Type, instead))
		}
	}
	return kept
}

// checkSizes holds all parts of a drill together to what a run may touch and ask.
func (l *loader) checkSizes(p *parts) {
	var all []string
	for _, x := range slices.Concat(p.targets, p.faults) {
		if x.kind == nil || x.kind.Namespaces == nil {
			continue
		}
		for _, ns := range x.kind.Namespaces(x.spec) {
			if ns == "" || slices.Contains(all, ns) {
				continue
			}
			if all = append(all, ns); len(all) > maxNamespaces {
				l.report(l.namespaceAt(x, ns), "Too many namespaces", fmt.Sprintf(
					"A drill may touch up to %d namespaces, and %q is one more. Write another drill for the others.", maxNamespaces, ns))
				return
			}
		}
	}
	rate := 0
	for _, x := range p.probes {
		if x.kind == nil || x.kind.Rate == nil {
			continue
		}
		if rate += x.kind.Rate(x.spec); rate > maxProbeRate {
			l.report(x.block.LabelRanges[1], "Probes too fast", fmt.Sprintf(
				"All probes of a drill together may ask %d times a second, and with this one it is more. Lower rate, or remove probes.", maxProbeRate))
			return
		}
	}
}

// atMost is the check of a list that may have so many elements.
func atMost(n int, what string, then func([]string) (summary, detail string)) schema.Option {
	return schema.Check(func(all []string) (summary, detail string) {
		if len(all) > n {
			return "List too long", fmt.Sprintf("There are %d %s, and there may be %d. Remove some.", len(all), what, n)
		}
		if then == nil {
			return "", ""
		}
		return then(all)
	})
}
