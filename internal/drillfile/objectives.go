package drillfile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// objective is one row of the table of objectives: a number that must not be exceeded, or something that must happen.
type objective struct {
	name   string
	count  bool // it is a number of things
	event  bool // it is true, and nothing else; what is neither is a length of time
	ledger bool // only a target with a ledger and a primary can be judged by it
	doc    string
}

// objectives lists all of them, in the order of the language.
func objectives() []objective {
	return []objective{
		{name: drill.ObjectiveRecoveryTime, doc: "The longest that clients may have been without service: from the injection until they were served again for good. " +
			"Where clients of both kinds are seen, those with kept sessions and those that connect anew, the worse of the two counts."},
		{name: drill.ObjectiveUnavailable, doc: "The longest that clients may have been without a timely answer, all together: blips count, too. `\"0s\"` asks for fault tolerance."},
		{name: drill.ObjectiveRedundancyTime, doc: "The longest until every member was there again and had caught up."},
		{name: drill.ObjectiveLostWrites, count: true, ledger: true, doc: "The most acknowledged writes that may be lost."},
		{name: drill.ObjectiveDualPrimary, ledger: true, doc: "The longest that two members may have taken writes at once. Without it, any such time fails the run."},
		{name: drill.ObjectiveReplicationLag, ledger: true, doc: "The furthest that a replica may be behind before the fault, or the run is `refused`; the peak during the run is reported."},
		{name: drill.ObjectiveLeaderChanges, count: true, ledger: true, doc: "The most changes of the primary."},
		{name: drill.ObjectiveFailedOver, event: true, ledger: true, doc: "`true`: another member must have taken over. A primary that came back in place, or a fault without an effect, fails the run."},
		{name: drill.ObjectiveReadOutage, doc: "The longest that nothing could be read."},
		{name: drill.ObjectiveStaleness, doc: "By how much the most stale read may have been behind."},
		{name: drill.ObjectiveMonotonicReads, count: true, doc: "The most reads that showed less than an earlier one of their session."},
		{name: drill.ObjectiveReadYourWrites, count: true, doc: "The most reads that did not show what their session had written."},
		{name: drill.ObjectiveSum, count: true, doc: "The most reads of the accounts whose sum was wrong."},
		{name: drill.ObjectiveRegister, count: true, doc: "The most registers whose history is not linearizable."},
	}
}

// objectivesSpec holds what the file gives, by the objective's place in the table.
type objectivesSpec struct {
	counts  []int
	lengths []time.Duration
}

func objectivesBody() schema.Body[objectivesSpec] {
	return schema.Body[objectivesSpec]{
		Arguments: func(s *objectivesSpec) []schema.Argument {
			all := objectives()
			s.counts, s.lengths = make([]int, len(all)), make([]time.Duration, len(all))
			var arguments []schema.Argument
			for i, o := range all {
				switch {
				case o.count:
					arguments = append(arguments, schema.Number(o.name, &s.counts[i], o.doc, schema.Check(notNegative)))
				case o.event:
					arguments = append(arguments, schema.Bool(o.name, new(bool), o.doc, schema.Default(""), schema.Check(mustHappen)))
				default:
					arguments = append(arguments, schema.Duration(o.name, &s.lengths[i], o.doc))
				}
			}
			return arguments
		},
		Blocks: []schema.Nested{
			assertBlock("A condition that must be true in the end, over the run's final values."),
			{Type: "alert", Labels: []string{"name"}, Many: true, Body: alertBody().Table(),
				Doc: "An alert that must fire. It belongs to the language; this version of drill cannot do it."},
		},
	}
}

func notNegative(n int) (summary, detail string) {
	if n < 0 {
		return "Negative count", "This is a number of things, and the most there may be of them. Write 0 or a larger whole number."
	}
	return "", ""
}

// mustHappen refuses false: what need not happen is no objective.
func mustHappen(wanted bool) (summary, detail string) {
	if !wanted {
		return "Objective that asks for nothing", "What need not happen is no objective: remove it. For a run in which nobody may take over, write leader_changes = 0."
	}
	return "", ""
}

// judged is what a drill asks to be judged by, and where.
type judged struct {
	list    []drill.Objective
	at      map[string]hcl.Range // by name
	asserts hcl.Blocks
}

// objectives reads the block. There are no defaults: what a file does not ask for is measured and not judged.
func (l *loader) objectives(b *hcl.Block) judged {
	spec, d := objectivesBody().Decode(b.Body, l.static)
	l.take(d)
	asked := judged{at: map[string]hcl.Range{}, asserts: l.bounded(d.Blocks).OfType("assert")}
	for i, o := range objectives() {
		if !d.Given(o.name) {
			continue
		}
		limit := spec.lengths[i].Seconds()
		switch {
		case o.count:
			limit = float64(spec.counts[i])
		case o.event:
			limit = 1
		}
		asked.list = append(asked.list, drill.Objective{Name: o.name, Limit: limit})
		asked.at[o.name] = d.At(o.name)
	}
	for _, a := range d.Blocks.OfType("alert") {
		_, inner := alertBody().Decode(a.Body, l.static)
		l.take(inner)
		l.notYet(a.DefRange, "An objective that an alert fires", "Remove it to run the drill.")
	}
	return asked
}

// checkObjectives reports those that the drill's target cannot be judged by: they need a ledger or a probe that targets
// of its kind do not have.
func (l *loader) checkObjectives(asked judged, targets map[string]*Kind) {
	for _, name := range keys(targets) {
		kind := targets[name]
		if kind == nil {
			continue // the kind is unknown, which has been reported
		}
		for _, o := range objectives() {
			at, ok := asked.at[o.name]
			if !ok {
				continue
			}
			if o.ledger && kind.NoLedger {
				l.report(at, "Objective without a ledger", fmt.Sprintf(
					"A target of kind %s has no ledger and no primary, so there is nothing to judge %s by. Remove it; recovery_time, unavailable and redundancy_time can be asked for.", kind.Name, o.name))
			}
			if i, ok := invariantOf(o.name); ok && !slices.Contains(kind.Checks, i.Check) {
				l.report(at, "Objective without a probe", fmt.Sprintf("A target of kind %s has no probe that could show %s. Remove it.", kind.Name, o.name))
			}
		}
	}
}

// checkClients reports a drill in which nothing can be measured: its target keeps no ledger, and no probe stands for clients.
func (l *loader) checkClients(p *parts) {
	if len(p.targets) == 0 || p.vague["probe"] || hasClients(p.kinds["probe"]) {
		return
	}
	for _, t := range p.targets {
		if t.kind == nil || !t.kind.NoLedger {
			continue
		}
		l.report(t.block.DefRange, "Nothing to measure", fmt.Sprintf(
			"A target of kind %s takes no writes of drill's, so a probe has to stand for its clients. Add a probe that asks whether something answers, such as:\nprobe \"http\" %q {\n  url = \"http://…\"\n}",
			t.kind.Name, t.name()))
		return
	}
}

// hasClients reports whether a probe can stand for clients: it knows what an outage is. One of an unknown kind, which
// has been reported, may have been meant to.
func hasClients(probes map[string]*Kind) bool {
	for _, k := range probes {
		if k == nil {
			return true
		}
		if _, ok := schema.Find(k.Attributes, "outage_seconds"); ok {
			return true
		}
	}
	return false
}

// checkMeasured reports a live value of an invariant that the drill does not ask for: without its probe there would
// never be a reading, and the condition would wait for ever.
func (l *loader) checkMeasured(r reference, asked map[string]hcl.Range) {
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
		if _, ok := asked[i.Objective]; ok {
			return
		}
		ask = append(ask, i.Objective)
	}
	if len(ask) > 0 {
		l.report(r.at, "Value that nothing measures", fmt.Sprintf(
			"%s is measured only when the drill asks for it. Write an objective for it: %s.", r, strings.Join(ask, ", or ")))
	}
}

func invariantOf(objective string) (drill.Invariant, bool) {
	all := drill.Invariants()
	i := slices.IndexFunc(all, func(i drill.Invariant) bool { return i.Objective == objective })
	if i < 0 {
		return drill.Invariant{}, false
	}
	return all[i], true
}
