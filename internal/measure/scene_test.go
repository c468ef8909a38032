package measure

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// The ways in which writes through the Service fail.
const (
	blackHole = "black hole" // nothing answers; TCP sends again after 200, 600, 1400 ms
	reset     = "reset"
	refused   = "refused"
	hang      = "hang" // accepted, and never answered
	slow      = "slow" // every answer takes half a second
	readOnly  = "read only"
)

// cut is a scripted outage: the truth that a report has to find.
type cut struct {
	from, to time.Duration
	how      string
}

// scene scripts a run of a cluster a, b, c in virtual time. The primary a is the victim.
type scene struct {
	delta, pinned, fresh time.Duration
	phase                time.Duration // of the pooled slots
	steady, from, at     time.Duration // the baseline's begin; the injection's call and return
	end                  time.Duration
	cuts                 []cut
	heir                 string        // leads from heirAt on
	heirAt               time.Duration // 0: a leads all the time
	epoch                int64         // of the heir
	leaders              []reign       // who leads after the heir
	back                 time.Duration // when a answers again, as a replica
	late                 func(k int64) time.Duration
	replication          func(member string, t time.Duration) time.Duration // its delay
	silent               func(member string, t time.Duration) drill.Outcome // why a pinned slot brings nothing; "" when it does
	lost                 func(seq int64) bool                               // an acknowledged write that only a had
	edit                 func(*drill.Sample)
	events               []drill.Event
	objectives           []drill.Objective
	end_                 *drill.End
	readBack             func(*drill.ReadBack)
	noReadBack           bool
	unconfirmed          bool
	impact               time.Duration // the impact timeout
}

// failover is the plain case: a dies at 20 s, b leads at 28 s, a is back at 41 s.
func failover() scene {
	return scene{
		delta: 20 * ms, pinned: 100 * ms, steady: 2 * sec, from: 20 * sec, at: 20*sec + 10*ms, end: 90 * sec,
		cuts: []cut{{20 * sec, 28 * sec, refused}}, heir: "b", heirAt: 27900 * ms, epoch: 2, back: 41 * sec, impact: 60 * sec,
	}
}

func (sc scene) cutAt(t time.Duration) *cut {
	for i, c := range sc.cuts {
		if t >= c.from && t < c.to {
			return &sc.cuts[i]
		}
	}
	return nil
}

// reign is who leads from a moment on.
type reign struct {
	from  time.Duration
	name  string
	epoch int64
}

func (sc scene) leader(t time.Duration) (string, int64) {
	for _, l := range slices.Backward(sc.leaders) {
		if t >= l.from {
			return l.name, l.epoch
		}
	}
	if sc.heirAt > 0 && t >= sc.heirAt {
		return sc.heir, sc.epoch
	}
	return "a", 1
}

// write is what becomes of one slot through the Service.
func (sc scene) write(probe string, class drill.Class, k int64, due, lateness time.Duration) drill.Sample {
	sent := due + lateness
	s := drill.Sample{Probe: probe, Class: class, Slot: k, Scheduled: drill.Offset(due), Sent: drill.Offset(sent), Write: true}
	deadline := due + sec
	ok := func(done time.Duration) {
		s.Outcome, s.Done, s.Role = drill.OutcomeOK, drill.Offset(done), drill.RolePrimary
		s.By, s.Epoch = sc.leader(done)
	}
	failed := func(o drill.Outcome, signal string, done time.Duration) {
		s.Outcome, s.Signal, s.Done = o, signal, drill.Offset(done)
	}
	c := sc.cutAt(sent)
	if c == nil {
		ok(sent + ms + time.Duration(k%5)*ms/10)
		return s
	}
	switch c.how {
	case blackHole:
		failed(drill.OutcomeIndeterminate, drill.SignalTimeout, deadline)
		for _, again := range []time.Duration{200 * ms, 600 * ms} {
			if t := sent + again; t >= c.to && t+ms < deadline {
				ok(t + ms)
				break
			}
		}
	case reset:
		failed(drill.OutcomeIndeterminate, drill.SignalReset, sent+ms)
	case refused:
		failed(drill.OutcomeFail, drill.SignalRefused, sent+ms)
	case hang:
		failed(drill.OutcomeIndeterminate, drill.SignalTimeout, deadline)
	case slow:
		ok(sent + 500*ms)
	case readOnly:
		failed(drill.OutcomeFail, drill.SignalReadOnly, sent+ms)
	}
	return s
}

// pinnedSlots are what one member says of itself.
func (sc scene) pinnedSlots(m string, acks []drill.Sample) []drill.Sample {
	var out []drill.Sample
	shown := map[int64]bool{}
	settled := 0 // every ack before this one has been shown, or never will be
	for k := int64(0); ; k++ {
		due := time.Duration(k)*sc.pinned + 3*ms
		if due >= sc.end {
			return out
		}
		sent := due
		s := drill.Sample{Probe: "orders/" + m, Class: drill.ClassPinned, Member: m, Slot: k,
			Scheduled: drill.Offset(due), Sent: drill.Offset(sent), Done: drill.Offset(sent + ms)}
		leader, epoch := sc.leader(sent)
		if m == "a" && sc.heirAt > 0 && sent >= sc.from && sent < sc.back {
			s.Outcome, s.Signal, s.Role = drill.OutcomeFail, drill.SignalRefused, drill.RoleUnknown
			out = append(out, s)
			continue
		}
		if sc.silent != nil {
			if o := sc.silent(m, due); o != "" {
				s.Outcome, s.Role = o, drill.RoleUnknown
				out = append(out, s)
				continue
			}
		}
		delay := time.Duration(0)
		if sc.replication != nil {
			delay = sc.replication(m, sent)
		}
		s.Outcome, s.By, s.Role, s.Epoch = drill.OutcomeOK, m, drill.RoleReplica, epoch
		s.Reading = &drill.Reading{UID: m, Streaming: true, EngineLag: math.NaN()}
		if m == leader {
			s.Role, s.Write = drill.RolePrimary, true
		}
		for i := settled; i < len(acks) && time.Duration(acks[i].Done) <= sent-delay; i++ {
			a := acks[i]
			settled = i + 1
			if !shown[a.Slot] && (m == "a" || sc.lost == nil || !sc.lost(a.Slot)) {
				shown[a.Slot] = true
				s.Reading.Seen = append(s.Reading.Seen, a.Slot)
			}
		}
		out = append(out, s)
	}
}

func (sc scene) samples() []drill.Sample {
	var pooled, all, acks []drill.Sample
	for k := int64(0); ; k++ {
		due := sc.phase + time.Duration(k)*sc.delta
		if due >= sc.end {
			break
		}
		var late time.Duration
		if sc.late != nil {
			late = sc.late(k)
		}
		pooled = append(pooled, sc.write("orders", drill.ClassPooled, k, due, late))
	}
	for _, s := range pooled {
		if s.Outcome == drill.OutcomeOK {
			acks = append(acks, s)
		}
	}
	slices.SortStableFunc(acks, func(x, y drill.Sample) int { return cmp.Compare(x.Done, y.Done) })
	all = append(all, pooled...)
	if sc.fresh > 0 {
		for k := int64(0); time.Duration(k)*sc.fresh < sc.end; k++ {
			all = append(all, sc.write("orders/fresh", drill.ClassFresh, k, time.Duration(k)*sc.fresh, 0))
		}
	}
	if sc.pinned > 0 {
		for _, m := range []string{"a", "b", "c"} {
			all = append(all, sc.pinnedSlots(m, acks)...)
		}
	}
	if sc.edit != nil {
		for i := range all {
			sc.edit(&all[i])
		}
	}
	slices.SortStableFunc(all, func(x, y drill.Sample) int { return cmp.Compare(x.Done, y.Done) })
	return all
}

var settings = drill.Settings{Window: 10 * sec, RedundancyLag: 1}

func (sc scene) recording() drill.Recording {
	var members []drill.Member
	for i, name := range []string{"a", "b", "c"} {
		role := drill.RoleReplica
		if i == 0 {
			role = drill.RolePrimary
		}
		members = append(members, drill.Member{Namespace: "shop", Name: name, UID: "uid-" + name, Role: role, Epoch: 1})
	}
	at := func(t time.Duration, e drill.Event) drill.Event { e.At = drill.Offset(t); return e }
	probe := func(i drill.ProbeInfo) drill.Event {
		i.Kind, i.Target, i.Deadline = "postgresql", "orders", sec
		return drill.Event{Type: drill.EventProbe, Probe: &i}
	}
	fault := func(t, from time.Duration, st drill.FaultState) drill.Event {
		return at(t, drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "kill_primary", Name: "orders", State: st, From: drill.Offset(from), By: "pod gone"}})
	}
	events := []drill.Event{{Type: drill.EventPlan, Members: members, Plans: []drill.FaultPlan{{Kind: "kill_primary", Name: "orders", Victims: members[:1]}}},
		probe(drill.ProbeInfo{Name: "orders", Class: drill.ClassPooled, Interval: sc.delta})}
	if sc.fresh > 0 {
		events = append(events, probe(drill.ProbeInfo{Name: "orders/fresh", Class: drill.ClassFresh, Interval: sc.fresh}))
	}
	if sc.pinned > 0 {
		for _, m := range members {
			events = append(events, probe(drill.ProbeInfo{Name: "orders/" + m.Name, Class: drill.ClassPinned, Member: m.Name, Interval: sc.pinned}))
		}
	}
	samples := sc.samples()
	events = append(events, at(sc.steady, drill.Event{Type: drill.EventStep, Step: drill.StepHold}))
	if sc.from > 0 {
		confirmed := drill.FaultConfirmed
		if sc.unconfirmed {
			confirmed = drill.FaultUnconfirmed
		}
		events = append(events, fault(sc.from, sc.from, drill.FaultInjecting), fault(sc.at, sc.from, drill.FaultInjected),
			fault(sc.at, sc.from, confirmed), fault(sc.at+30*sec, sc.at+30*sec, drill.FaultReverted))
	}
	events = append(events, sc.events...)
	events = append(events, at(sc.end, drill.Event{Type: drill.EventSamples, Samples: samples}))
	if !sc.noReadBack {
		events = append(events, at(sc.end, drill.Event{Type: drill.EventReadBack, ReadBack: sc.holds(samples)}))
	}
	end := sc.end_
	if end == nil {
		end = &drill.End{Cause: drill.EndFinished, Code: "finished"}
	}
	events = append(events, at(sc.end, drill.Event{Type: drill.EventEnd, End: end}))
	set := settings
	set.ImpactTimeout = sc.impact
	return drill.Recording{Objectives: sc.objectives, Settings: set, Events: slices.Values(events)}
}

// holds is what the members hold in the end: every acknowledged write that was not lost.
func (sc scene) holds(samples []drill.Sample) *drill.ReadBack {
	back := &drill.ReadBack{Target: "orders", Primary: "b", Complete: true, Streams: map[string]map[string]drill.Numbers{}}
	for _, m := range []string{"a", "b", "c"} {
		back.Streams[m] = map[string]drill.Numbers{}
		for _, s := range samples {
			lost := sc.lost != nil && s.Class == drill.ClassPooled && sc.lost(s.Slot)
			if s.Write && s.Outcome == drill.OutcomeOK && !lost {
				hold(back, m, s.Probe, s.Slot)
			}
		}
	}
	if sc.readBack != nil {
		sc.readBack(back)
	}
	return back
}

// hold lets a member hold more rows.
func hold(b *drill.ReadBack, member, stream string, seqs ...int64) {
	held := b.Streams[member][stream]
	for _, seq := range seqs {
		held.Add(seq)
	}
	b.Streams[member][stream] = held
}

// drop takes rows from a member.
func drop(b *drill.ReadBack, member, stream string, seqs ...int64) {
	var left drill.Numbers
	for seq := range b.Streams[member][stream].All() {
		if !slices.Contains(seqs, seq) {
			left.Add(seq)
		}
	}
	b.Streams[member][stream] = left
}

func (sc scene) report() drill.Report { return Report(sc.recording()) }

// views makes an event of what the three views say.
func views(t time.Duration, label, service, member string) drill.Event {
	list := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	return drill.Event{At: drill.Offset(t), Type: drill.EventViews, Views: &drill.Views{Target: "orders", Label: list(label), Service: list(service), Member: list(member)}}
}

// slotOf is a slot that shares nothing.
func slotOf(s drill.Sample) slot { return traits{}.slot(s) }
