package drillfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
)

// wanted are the invariants that the block asks for, and where.
func wanted(b *objectivesBlock) map[string]hcl.Range {
	all := map[string]hcl.Range{}
	if b == nil {
		return all
	}
	for _, o := range []struct {
		name    string
		written bool
		at      hcl.Range
	}{
		{drill.ObjectiveReadOutage, b.ReadOutage != nil, b.ReadOutageRange},
		{drill.ObjectiveStaleness, b.Staleness != nil, b.StalenessRange},
		{drill.ObjectiveMonotonicReads, b.MonotonicReads != nil, b.MonotonicReadsRange},
		{drill.ObjectiveReadYourWrites, b.ReadYourWrites != nil, b.ReadYourWritesRange},
		{drill.ObjectiveSum, b.Sum != nil, b.SumRange},
		{drill.ObjectiveRegister, b.Register != nil, b.RegisterRange},
	} {
		if o.written {
			all[o.name] = o.at
		}
	}
	return all
}

// checkInvariants reports the objectives that no probe of the drill's target can supply.
func (l *loader) checkInvariants(live scope) {
	for _, name := range keys(live["target"]) {
		kind := live["target"][name]
		if kind == nil {
			continue // the kind is unknown, which has been reported
		}
		for _, i := range drill.Invariants() {
			if at, ok := l.wanted[i.Objective]; ok && !slices.Contains(kind.Checks, i.Check) {
				l.report(at, "Objective without a probe", fmt.Sprintf(
					"A target of kind %s has no probe that could show %s. Remove it.", kind.Name, i.Objective))
			}
		}
	}
}

// checkMeasured reports a live value of an invariant that the drill does not ask for: without its probe there would
// never be a reading, and the condition would wait for ever.
func (l *loader) checkMeasured(r reference) {
	if r.root != "target" {
		return
	}
	var check drill.Check
	for _, i := range drill.Invariants() {
		if i.Value == r.attribute {
			check = i.Check
		}
	}
	var ask []string
	for _, i := range drill.Invariants() {
		if i.Check != check {
			continue
		}
		if _, asked := l.wanted[i.Objective]; asked {
			return
		}
		ask = append(ask, i.Objective)
	}
	if len(ask) > 0 {
		l.report(r.at, "Value that nothing measures", fmt.Sprintf(
			"%s.%s.%s is measured only when the drill asks for it. Write an objective for it: %s.", r.root, r.name, r.attribute, strings.Join(ask, ", or ")))
	}
}
