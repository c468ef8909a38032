package measure

import (
	"fmt"
	"slices"
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
	steady   bool // the step has begun
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
		if e.Step == drill.StepSteady && !l.steady {
			l.steady, l.baseline.from = true, e.At
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
		if e.Fault != nil && (e.Fault.State == drill.FaultInjecting || e.Fault.State == drill.FaultInjected) {
			l.injected, l.baseline.to = true, min(l.baseline.to, e.Fault.From)
		}
	}
}

func (l *Live) probe(info drill.ProbeInfo, at drill.Offset) {
	p := &liveProbe{ProbeInfo: info, start: at, gauge: newGauge(info.Interval, 0), step: info.Interval, missing: map[int64]drill.Offset{}, highest: -1}
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
	if info.Class == drill.ClassPooled && t.headline == nil {
		t.headline = p
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

// UpFor is the length of the present stretch without a down slot, up to the last up slot's turn; 0 in an outage. A
// recovery is believed once it has lasted Settings.Window.
func (l *Live) UpFor(target string, now drill.Offset) time.Duration {
	p := l.headline(target)
	if p == nil {
		return 0
	}
	return p.upFor(now)
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
	return true, ""
}

// Baselined reports whether the target's clients were answered often enough, since the steady state was first asked for, to
// say how quick is up: a run with fewer answers is invalid, so there is no use in breaking anything. Else it says what is missing.
func (l *Live) Baselined(target string) (ok bool, why string) {
	p := l.headline(target)
	if p == nil || len(p.latency) >= leastAnswers {
		return true, ""
	}
	return false, fmt.Sprintf("the probe %s was answered %s, and %d answers are needed to say how quick is up", p.Name, plural(len(p.latency), "time"), leastAnswers)
}

// liveProbe follows the slots of one open-loop probe.
type liveProbe struct {
	drill.ProbeInfo
	start    drill.Offset
	gauge    gauge
	latency  []time.Duration // of the baseline, sorted
	highest  int64           // slot seen, and its turn
	newest   drill.Offset
	step     time.Duration // between the turns of the newest two slots: Δ, or more before the measuring rate begins
	missing  map[int64]drill.Offset
	recent   []turn // of the last ratioWindow and some before it, by arrival
	trim     int    // as soon as recent is longer, it is looked through for old ones
	seen     bool
	lastUp   drill.Offset
	firstUp  drill.Offset
	isUp     bool // some slot was up
	lastDown drill.Offset
	isDown   bool // some slot was down
	blind    int  // unknown slots since the last up slot
	reader   reader
	answer   turnaround
	signal   string // of the newest slot that failed
}

// forget begins the baseline anew.
func (p *liveProbe) forget() { p.latency = nil }

func (p *liveProbe) take(s slot, b span) {
	p.track(s)
	p.calibrate(s, b)
	st := p.gauge.state(s)
	p.recent = append(p.recent, turn{s.Scheduled, st})
	if len(p.recent) > p.trim { // nobody may ask for values, which looks through it, too
		p.forgetBefore(s.Done.Add(-ratioWindow))
		p.trim = 2*len(p.recent) + 64
	}
	switch st {
	case up:
		if !p.isUp || s.Scheduled > p.lastUp {
			p.lastUp, p.blind = s.Scheduled, 0
		}
		if !p.isUp || s.Scheduled < p.firstUp {
			p.firstUp = s.Scheduled
		}
		p.isUp = true
	case down:
		p.lastDown, p.isDown = max(p.lastDown, s.Scheduled), true
	case unknown:
		if s.Scheduled > p.lastUp {
			p.blind++
		}
	}
}

// calibrate learns from the baseline what counts as up.
func (p *liveProbe) calibrate(s slot, b span) {
	if b.holds(s) {
		d := latency(s)
		i, _ := slices.BinarySearch(p.latency, d)
		p.latency = slices.Insert(p.latency, i, d)
		p.gauge = newGauge(p.Interval, percentile(p.latency, 0.99))
	}
}

// track notes which slots have been handed over late, so that one that hangs is missed before it has ended.
func (p *liveProbe) track(s slot) {
	if !p.seen || s.Slot <= p.highest {
		delete(p.missing, s.Slot)
	} else {
		p.step = s.Scheduled.Sub(p.newest) / time.Duration(s.Slot-p.highest)
		for k := p.highest + 1; k < s.Slot; k++ {
			p.missing[k] = s.Scheduled.Add(-time.Duration(s.Slot-k) * p.step)
		}
	}
	if s.Slot >= p.highest {
		p.highest, p.newest = s.Slot, s.Scheduled
	}
	p.seen = true
}

// overdue lists the turns of slots under way that cannot be up any more.
func (p *liveProbe) overdue(now drill.Offset) []drill.Offset {
	var turns []drill.Offset
	for _, turn := range p.missing {
		if now.Sub(turn) > p.gauge.within+p.gauge.delta {
			turns = append(turns, turn)
		}
	}
	return turns
}

// silence is the time since the slot after the last up slot was due.
func (p *liveProbe) silence(now drill.Offset) time.Duration {
	if !p.isUp {
		return now.Sub(p.start)
	}
	return now.Sub(p.lastUp) - p.step
}

// outage is the present outage; 0 as long as the next slot may still be answered in time. Slots that drill did not
// send are taken off unless some slot was down: being starved is no outage, but a hung target also keeps slots unsent.
func (p *liveProbe) outage(now drill.Offset) time.Duration {
	d := p.silence(now)
	if len(p.overdue(now)) == 0 && (!p.isDown || p.isUp && p.lastDown < p.lastUp) {
		d -= time.Duration(p.blind) * p.step
	}
	if d <= p.step+p.gauge.within {
		return 0
	}
	return d
}

func (p *liveProbe) upFor(now drill.Offset) time.Duration {
	if !p.isUp || p.silence(now) > p.step+p.gauge.within {
		return 0
	}
	since := p.firstUp
	if p.isDown {
		since = max(since, p.lastDown)
	}
	for _, turn := range p.overdue(now) {
		since = max(since, turn)
	}
	return quiet(since, p.lastUp)
}

func (p *liveProbe) values(now drill.Offset, v map[string]float64) {
	p.forgetBefore(now.Add(-ratioWindow))
	if p.seen || p.outage(now) > 0 {
		v["outage_seconds"] = p.outage(now).Seconds()
	}
	good, bad := 0, len(p.overdue(now))
	if p.seen {
		// So are the slots after the newest one of which anything was heard.
		bad += max(0, int((now.Sub(p.newest)-p.gauge.within-p.step)/p.step))
	}
	for _, t := range p.recent {
		switch t.state {
		case up:
			good++
		case down:
			bad++
		}
	}
	if good+bad > 0 {
		v["success_ratio"] = float64(good) / float64(good+bad)
	}
}
