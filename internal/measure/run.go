package measure

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// run is a recording, sorted by what it is about. Nothing in it depends on the order in which samples arrived.
type run struct {
	settings   drill.Settings
	limits     []drill.Objective
	earlier    []drill.Trial
	probes     []*probe
	checks     []*probe // those that record a history for invariants; they are in no number but the invariants'
	target     string   // the target that the report is about
	headline   *probe   // what stands for its clients; nil when there is none
	members    []drill.Member
	plans      []drill.FaultPlan
	faults     []change
	rules      []drill.Event
	views      []sighting // of the target, by time
	presence   []presence // of a target without a ledger, by time
	findings   []drill.Finding
	readBack   *drill.ReadBack
	end        *drill.End
	steady     *drill.Offset
	stagger    *drill.Seconds
	injection  *injection
	until      drill.Offset // what came later belongs to the next of several faults
	slept      bool         // the machine did, and the clock did not count it
	finish     drill.Offset // when the observation ended: the last slot's turn
	lastMoment drill.Offset // of the whole stream
}

// injection is when the first fault was injected: somewhere between the call and its return.
type injection struct{ from, at drill.Offset }

// change is one change of a fault's state.
type change struct {
	at drill.Offset
	drill.FaultChange
}

// sighting is what the three views said from a moment on.
type sighting struct {
	at drill.Offset
	drill.Views
}

// probe is one probe with its slots in the order of the schedule, each told up, down or unknown.
type probe struct {
	drill.ProbeInfo
	start drill.Offset
	gauge gauge
	slots []slot

	criterion criterion // of an outage
}

func newRun(rec drill.Recording) *run {
	r := &run{settings: rec.Settings, limits: rec.Objectives, earlier: rec.Earlier, until: forever}
	if r.settings.Window == 0 {
		r.settings.Window = defaultWindow
	}
	byName := map[string]*probe{}
	slots := map[string]int{} // of each probe
	var views []sighting
	var readBacks []*drill.ReadBack
	events := rec.Events
	if events == nil {
		events = func(func(drill.Event) bool) {} // a record that holds nothing
	}
	for e := range events {
		r.lastMoment = max(r.lastMoment, e.At)
		switch e.Type {
		case drill.EventStep:
			// The baseline begins when the steady state began to hold for the last time. A record of format version 1 has no
			// such event: there it begins when it was first waited for.
			if e.Step == drill.StepSteady && r.steady == nil || e.Step == drill.StepHold && r.injection == nil {
				r.steady = new(e.At)
			}
			if e.Stagger != nil {
				r.stagger = new(e.Stagger.Delay)
			}
		case drill.EventPlan:
			r.plan(e)
		case drill.EventProbe:
			if e.Probe != nil && byName[e.Probe.Name] == nil {
				p := &probe{ProbeInfo: *e.Probe, start: e.At}
				byName[p.Name] = p
				if p.Check != "" {
					r.checks = append(r.checks, p)
				} else {
					r.probes = append(r.probes, p)
				}
			}
		case drill.EventSamples:
			for _, s := range e.Samples {
				slots[s.Probe]++
			}
		case drill.EventViews:
			if e.Views != nil {
				views = append(views, sighting{e.At, *e.Views})
			}
		case drill.EventMembers:
			if e.Readiness != nil {
				r.presence = append(r.presence, presence{e.At, *e.Readiness})
				r.target = e.Readiness.Target
			}
		case drill.EventFault:
			r.fault(e)
		case drill.EventRule:
			r.rules = append(r.rules, e)
		case drill.EventFinding:
			if e.Finding != nil {
				r.findings = append(r.findings, *e.Finding)
			}
		case drill.EventReadBack:
			readBacks = append(readBacks, e.ReadBack)
		case drill.EventEnd:
			r.end = e.End
		}
	}
	r.headline = r.chooseHeadline()
	if r.headline != nil && !r.settings.NoLedger {
		r.target = r.headline.Target
	}
	r.fill(byName, slots, events)
	slices.SortStableFunc(r.presence, func(a, b presence) int { return cmp.Compare(a.at, b.at) })
	for _, v := range views {
		if r.target == "" || v.Target == "" || v.Target == r.target {
			r.views = append(r.views, v)
		}
	}
	slices.SortStableFunc(r.views, func(a, b sighting) int { return cmp.Compare(a.at, b.at) })
	for _, b := range readBacks {
		if b != nil && (r.target == "" || b.Target == "" || b.Target == r.target) {
			r.readBack = b
		}
	}
	return r
}

// plan keeps the members that were there first, and the newest plan of each fault.
func (r *run) plan(e drill.Event) {
	for _, m := range e.Members {
		if !slices.ContainsFunc(r.members, func(have drill.Member) bool { return have.Name == m.Name }) {
			r.members = append(r.members, m)
		}
	}
	for _, p := range e.Plans {
		r.plans = renewed(r.plans, p)
	}
}

// renewed are the plans with one in place of the fault's older one: a later fault may be planned anew.
func renewed(plans []drill.FaultPlan, p drill.FaultPlan) []drill.FaultPlan {
	i := slices.IndexFunc(plans, func(have drill.FaultPlan) bool { return have.Kind == p.Kind && have.Name == p.Name })
	if i < 0 {
		return append(plans, p)
	}
	plans[i] = p
	return plans
}

func (r *run) fault(e drill.Event) {
	if e.Fault == nil {
		return
	}
	r.faults = append(r.faults, change{e.At, *e.Fault})
	if e.Fault.State == drill.FaultInjected && (r.injection == nil || e.Fault.From < r.injection.from) {
		r.injection = &injection{from: e.Fault.From, at: e.At}
	}
}

// fill gives every probe its slots, of which there are so many, in the order of the schedule, and judges them.
func (r *run) fill(byName map[string]*probe, slots map[string]int, events iter.Seq[drill.Event]) {
	shared := traits{}
	var late stalls
	for e := range events {
		for _, s := range e.Stalls {
			late.beat(s)
		}
		for _, sample := range e.Samples {
			p := byName[sample.Probe]
			if p != nil && p.Target != r.target {
				sample.Reading = nil // no other target's lag is told
			}
			s := shared.slot(sample)
			if p == nil || p.Check == "" {
				late.note(s)
			}
			if p == nil {
				continue
			}
			if p.slots == nil {
				p.slots = make([]slot, 0, slots[p.Name])
			}
			p.slots = append(p.slots, s)
			if p.Check == "" {
				r.finish = max(r.finish, s.Scheduled)
			}
		}
	}
	late.sort()
	r.slept = late.slept
	for _, p := range slices.Concat(r.probes, r.checks) {
		slices.SortFunc(p.slots, func(a, b slot) int {
			return cmp.Or(cmp.Compare(a.Scheduled, b.Scheduled), cmp.Compare(a.Slot, b.Slot))
		})
		p.gauge = gaugeOf(p, r.baseline(p), late)
		for i, s := range p.slots {
			p.slots[i].state = p.gauge.state(s)
			p.slots[i].state = late.excuse(p.slots[i], p)
		}
		p.criterion = r.criterion(p)
	}
}

// chooseHeadline is the pooled probe of the target that the first fault is named after, or else of the first target.
// Without a ledger it is the first of the drill's own probes that stands for clients.
func (r *run) chooseHeadline() *probe {
	var first *probe
	for _, p := range r.probes {
		if r.settings.NoLedger {
			if clients(p.ProbeInfo) {
				return p
			}
			continue
		}
		if p.Class != drill.ClassPooled || p.Numeric() {
			continue
		}
		if len(r.plans) > 0 && p.Target != "" && p.Target == r.plans[0].Name {
			return p
		}
		if first == nil || first.Target == "" && p.Target != "" {
			first = p
		}
	}
	return first
}

// criterion is what makes an outage of the probe, by how restless its baseline was.
func (r *run) criterion(p *probe) criterion {
	c := newCriterion(p.Interval, r.settings.Blip)
	if r.injection == nil {
		return c
	}
	return c.after(p.slots, r.baseline(p))
}

// baseline is the stretch before the injection in which the steady state held.
func (r *run) baseline(p *probe) span {
	b := span{from: p.start, to: forever}
	if r.steady != nil {
		b.from = *r.steady
	}
	if r.injection != nil {
		b.to = r.injection.from
	}
	return b
}

// observed lists the probe's slots that say something about the fault.
func (r *run) observed(p *probe) []slot {
	if r.injection == nil {
		return nil
	}
	return p.between(r.injection.from, r.until)
}

// between lists the slots that were under way after from, but not those that were still so after until. A slot whose
// answer was overdue at from already says nothing of what happened then: it was down before.
func (p *probe) between(from, until drill.Offset) []slot {
	at := func(t drill.Offset) int {
		i, _ := slices.BinarySearchFunc(p.slots, t, func(s slot, t drill.Offset) int { return cmp.Compare(s.Scheduled, t) })
		return i
	}
	first, begin := at(from.Add(-p.gauge.within)), at(from)
	last, end := len(p.slots), len(p.slots)
	if until < forever {
		last, end = max(begin, at(until.Add(-p.gauge.within))), max(begin, at(until))
	}
	head := slices.DeleteFunc(slices.Clone(p.slots[first:begin]), func(s slot) bool { return ended(s) <= from })
	tail := slices.DeleteFunc(slices.Clone(p.slots[last:end]), func(s slot) bool { return ended(s) > until })
	whole := p.slots[begin-len(head) : last+len(tail)]
	if inOrder(whole[:len(head)], head) && inOrder(whole[len(whole)-len(tail):], tail) {
		return whole // answers came in the order of the questions: a part of a long series needs no copy
	}
	return slices.Concat(head, p.slots[begin:last], tail)
}

// inOrder reports whether the two lists hold the same slots.
func inOrder(a, b []slot) bool {
	return slices.EqualFunc(a, b, func(a, b slot) bool { return a.Slot == b.Slot })
}

// of lists the target's probes of a class.
func (r *run) of(class drill.Class) []*probe {
	var ps []*probe
	for _, p := range r.probes {
		if p.Class == class && p.Target == r.target {
			ps = append(ps, p)
		}
	}
	return ps
}

// since is the time from the call that injected the first fault.
func (r *run) since(t drill.Offset) drill.Seconds { return seconds(t.Sub(r.injection.from)) }

// victim names the first member that was planned to be hurt.
func (r *run) victim() string {
	if len(r.plans) == 0 || len(r.plans[0].Victims) == 0 {
		return ""
	}
	return r.plans[0].Victims[0].Name
}

// former is the member that acknowledged writes before the fault; by plan when none did.
func (r *run) former() string {
	name := r.victim()
	if r.headline == nil || r.injection == nil {
		return name
	}
	for _, s := range r.headline.slots {
		if s.Scheduled >= r.injection.from {
			break
		}
		if s.Outcome == drill.OutcomeOK && s.By != "" && s.Done <= r.injection.from {
			name = s.By
		}
	}
	return name
}

func seconds(d time.Duration) drill.Seconds { return drill.Seconds(d.Seconds()) }
