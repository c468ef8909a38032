package measure

import (
	"fmt"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// ratioWindow is the stretch over which a success ratio is taken.
const ratioWindow = 10 * time.Second

// Live computes the newest values while a run goes on, for conditions, gauges and the runner's own decisions. It judges
// slots and lag by the same code as Report. It is not safe for concurrent use.
type Live struct {
	settings drill.Settings
	baseline span
	injected bool // the first fault, where the baseline ends
	planned  []drill.Member
	clients  *liveProbe // the headline of a target without a ledger
	standing standing   // of that target
	plans    []drill.FaultPlan
	targets  map[string]*liveTarget
	probes   map[string]*liveProbe
	shared   traits
}

// liveTarget is one system under test.
type liveTarget struct {
	headline *liveProbe // its first pooled probe
	fresh    *liveProbe // its first fresh one; nil when it has none
	cluster  *cluster
	checks   checks
}

// NewLive returns live values of which there is no reading yet.
func NewLive(settings drill.Settings) *Live {
	return &Live{settings: settings, baseline: span{to: forever}, targets: map[string]*liveTarget{}, probes: map[string]*liveProbe{}, shared: traits{}}
}

// Event takes in what is not a sample: plans, probes, steps and faults. Samples inside an event are ignored, because
// Sample has had them already.
func (l *Live) Event(e drill.Event) {
	switch e.Type {
	case drill.EventPlan:
		l.planned = append(l.planned, e.Members...)
		for _, p := range e.Plans {
			l.plans = renewed(l.plans, p)
		}
		for _, t := range l.targets {
			t.cluster.plan(e.Members)
		}
	case drill.EventProbe:
		if e.Probe != nil && l.probes[e.Probe.Name] == nil {
			l.probe(*e.Probe, e.At)
		}
	case drill.EventStep:
		if e.Step == drill.StepHold && !l.injected {
			l.baseline.from = e.At
			for _, p := range l.probes {
				p.forget()
			}
		}
	case drill.EventMembers:
		if e.Readiness != nil {
			l.standing.see(e.At, *e.Readiness)
		}
	case drill.EventFault:
		l.strike(e.Fault)
		if e.Fault != nil && !l.injected && (e.Fault.State == drill.FaultInjecting || e.Fault.State == drill.FaultInjected) {
			l.injected, l.baseline.to = true, e.Fault.From
			for _, p := range l.probes {
				p.strike(l.baseline)
			}
		}
	}
}

func (l *Live) probe(info drill.ProbeInfo, at drill.Offset) {
	p := newLiveProbe(info, l.settings.Blip, at)
	l.probes[info.Name] = p
	if l.settings.NoLedger && l.clients == nil && clients(info) {
		l.clients = p
	}
	if info.Target == "" {
		return
	}
	t := l.targets[info.Target]
	if t == nil {
		t = &liveTarget{cluster: newCluster(l.settings.RedundancyLag)}
		t.cluster.plan(l.planned)
		t.checks.writes.keep = keepAcked
		l.targets[info.Target] = t
	}
	if info.Check != "" {
		t.checks.probe(info)
		return
	}
	if info.Class == drill.ClassPinned || info.Class == drill.ClassPooled && t.headline == nil {
		t.cluster.probe(info)
	}
	switch {
	case info.Class == drill.ClassPooled && t.headline == nil:
		t.headline = p
	case info.Class == drill.ClassFresh && t.fresh == nil && !info.Numeric():
		t.fresh = p
	}
}

// Sample takes in one slot, in whatever order the outcomes become known.
func (l *Live) Sample(sample drill.Sample) {
	s := l.shared.slot(sample)
	p := l.probes[s.Probe]
	if p == nil {
		return
	}
	t := l.targets[p.Target]
	if s.Class == drill.ClassPinned {
		if t != nil {
			t.cluster.pinned(s)
		}
		return
	}
	if p.Check != "" {
		p.calibrate(s, l.baseline)
		s.state = p.gauge.state(s)
		if t != nil {
			t.checks.take(p.Check, s)
		}
		return
	}
	p.take(s, l.baseline)
	p.note(s)
	if t != nil && t.headline == p {
		t.cluster.write(s)
		t.checks.write(s)
	}
}

// Values returns the newest values: target.<name>.outage_seconds, lag_seconds, success_ratio and primaries, and of
// probes that are not a target's own probe.<name>.outage_seconds, success_ratio and latency_seconds, or what a numeric
// one reads; and of the run itself how long it and its first fault have been going on. A key is missing while there is no
// reading.
func (l *Live) Values(now drill.Offset) drill.Live {
	v := drill.Live{"target": {}, "probe": {}, "run": {"": {"elapsed_seconds": now.Seconds()}}}
	if l.injected {
		v["run"][""]["fault_seconds"] = now.Sub(l.baseline.to).Seconds()
	}
	for name, t := range l.targets {
		values := map[string]float64{}
		if t.headline != nil {
			t.headline.values(now, values)
		}
		if lag, ok := t.lag(now); ok {
			values["lag_seconds"] = lag
		}
		if t.heard(now) {
			values["primaries"] = float64(len(t.cluster.primaries(now)))
		}
		t.checks.values(now, values)
		v["target"][name] = values
	}
	if l.standing.known {
		v["target"][l.standing.Target] = l.service(now)
	}
	for name, p := range l.probes {
		if p.Target == "" {
			v["probe"][name] = p.own(now)
		}
	}
	return v
}

// headline is the probe that stands for the target's clients.
func (l *Live) headline(target string) *liveProbe {
	if l.settings.NoLedger {
		return l.clients
	}
	if t := l.targets[target]; t != nil {
		return t.headline
	}
	return nil
}

// UpFor is the length of the present stretch without an outage, up to the last up slot's turn; 0 in an outage. Where the
// target has a fresh probe, too, the shorter of the two counts: a service that nobody new can reach is not back. A
// recovery is believed once it has lasted Settings.Window.
func (l *Live) UpFor(target string, now drill.Offset) time.Duration {
	p := l.headline(target)
	if p == nil {
		return 0
	}
	d := p.upFor(now)
	if t := l.targets[target]; t != nil && t.fresh != nil && t.fresh != p {
		d = min(d, t.fresh.upFor(now))
	}
	return d
}

// Redundant reports whether the target would survive the next fault: every member of the plan is known, one is
// primary, and all others stream and have caught up; without a ledger, as many endpoints are ready as are desired.
func (l *Live) Redundant(target string, now drill.Offset) bool {
	if l.settings.NoLedger {
		ok, _ := l.standing.whole()
		return ok
	}
	t := l.targets[target]
	if t == nil {
		return false
	}
	ok, _ := t.cluster.whole(now)
	return ok
}

// Steady reports whether the target is healthy enough for a fault: redundant, and up. Else it says what is missing.
func (l *Live) Steady(target string, now drill.Offset) (ok bool, why string) {
	if l.settings.NoLedger {
		return l.serviceSteady(now)
	}
	t := l.targets[target]
	if t == nil || t.headline == nil {
		return false, "the target " + target + " is not probed yet"
	}
	if ok, why := t.cluster.whole(now); !ok {
		return false, why
	}
	if t.headline.upFor(now) == 0 {
		return false, "writes are failing"
	}
	if t.fresh != nil && t.fresh.upFor(now) == 0 {
		return false, "writes over new connections are failing"
	}
	return true, ""
}

// Baselined reports whether the target's clients were answered often enough, since the steady state began to hold, to
// say how quick is up: a run with fewer answers is invalid, so there is no use in breaking anything. Else it says what is missing.
func (l *Live) Baselined(target string) (ok bool, why string) {
	p := l.headline(target)
	if p == nil || len(p.latency) >= leastAnswers {
		return true, ""
	}
	return false, fmt.Sprintf("the probe %s was answered %s, and %d answers are needed to say how quick is up", p.Name, plural(len(p.latency), "time"), leastAnswers)
}
