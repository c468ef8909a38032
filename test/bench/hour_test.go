//go:build bench

package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// hour is the event log of a run of an hour: targets of one primary and two replicas at the default rates, and the
// first one fails over in the middle. Its noise is seeded, and its times have every digit, as real ones do: round ones
// would flatter the codec.
type hour struct {
	rand    *rand.Rand
	targets int
	slots   int
	next    []*source
	held    map[string]*drill.Numbers // of every stream
}

const (
	length  = time.Hour
	struck  = 30 * time.Minute
	led     = struck + 8*time.Second  // the heir leads
	back    = struck + 40*time.Second // the old primary is a replica
	inOrder = 20 * time.Millisecond   // by then a write is shown everywhere
)

// source is one probe's slots.
type source struct {
	drill.ProbeInfo
	hour   *hour
	member int // of a pinned probe
	slot   int64
	phase  time.Duration
	pooled *source // of the same target
	acked  []drill.Sample
	shown  int // of the pooled stream's acks
}

func newHour(targets int) *hour {
	h := &hour{rand: rand.New(rand.NewPCG(1, 2)), targets: targets, held: map[string]*drill.Numbers{}} //nolint:gosec // noise
	for i := range targets {
		name := fmt.Sprintf("orders-%d", i)
		add := func(info drill.ProbeInfo, member int, pooled *source) *source {
			info.Kind, info.Target, info.Deadline = "postgresql", name, 900*time.Millisecond
			s := &source{ProbeInfo: info, hour: h, member: member, pooled: pooled, phase: time.Duration(h.rand.Int64N(int64(info.Interval)))}
			h.next, h.held[info.Name] = append(h.next, s), &drill.Numbers{}
			return s
		}
		pooled := add(drill.ProbeInfo{Name: name, Class: drill.ClassPooled, Interval: 20 * time.Millisecond, Sessions: 50}, 0, nil)
		add(drill.ProbeInfo{Name: name + "/fresh", Class: drill.ClassFresh, Interval: 100 * time.Millisecond, Sessions: 10}, 0, nil)
		for m := range 3 {
			member := fmt.Sprintf("%s-%d", name, m)
			add(drill.ProbeInfo{Name: name + "/" + member, Class: drill.ClassPinned, Member: member, Interval: 100 * time.Millisecond, Sessions: 1}, m, pooled)
		}
	}
	return h
}

// noise is a length of time around a mean.
func (h *hour) noise(mean time.Duration) time.Duration {
	return mean/2 + time.Duration(h.rand.ExpFloat64()*float64(mean/2))
}

// sample is the source's next slot.
func (s *source) sample() drill.Sample {
	due := s.phase + time.Duration(s.slot)*s.Interval
	sent := due + s.hour.noise(80*time.Microsecond)
	out := drill.Sample{
		Probe: s.Name, Class: s.Class, Member: s.Member, Slot: s.slot, Scheduled: drill.Offset(due), Sent: drill.Offset(sent), Role: drill.RoleUnknown,
	}
	s.slot++
	s.hour.slots++
	hurt := s.Target == "orders-0"
	leader, epoch := 0, int64(1)
	if hurt && sent >= led {
		leader, epoch = 1, 2
	}
	gone := hurt && sent >= struck && (s.Class != drill.ClassPinned && sent < led || s.Class == drill.ClassPinned && s.member == 0 && sent < back)
	if gone {
		out.Outcome, out.Signal, out.Done = drill.OutcomeFail, drill.SignalRefused, drill.Offset(sent+s.hour.noise(300*time.Microsecond))
		out.Write = s.Class != drill.ClassPinned
		return out
	}
	out.Outcome, out.Done = drill.OutcomeOK, drill.Offset(sent+s.hour.noise(1500*time.Microsecond))
	out.By, out.Epoch, out.Role = fmt.Sprintf("%s-%d", s.Target, leader), epoch, drill.RolePrimary
	out.Write = true
	if s.Class == drill.ClassPinned {
		out.By, out.Reading = s.Member, s.reading(sent, s.member != leader)
		if s.member != leader {
			out.Role, out.Write = drill.RoleReplica, false
		}
	}
	if out.Write {
		s.hour.held[s.Name].Add(out.Slot)
	}
	if s.Class == drill.ClassPooled {
		s.acked = append(s.acked, out)
	}
	return out
}

// reading is what a member shows that it had not shown before.
func (s *source) reading(at time.Duration, replica bool) *drill.Reading {
	r := &drill.Reading{UID: "6f1c9a52-7f6e-4f0a-9f5e-" + s.Member, Streaming: replica}
	if replica {
		r.EngineLag = float64(s.hour.noise(20*time.Millisecond).Microseconds()) / 1e6
	}
	for acks := s.pooled.acked; s.shown < len(acks) && time.Duration(acks[s.shown].Done) < at-inOrder; s.shown++ {
		r.Seen = append(r.Seen, acks[s.shown].Slot)
	}
	return r
}

// events walks through the log, a second's batch at a time, as the runner writes it.
func (h *hour) events(yield func(drill.Event)) {
	seq := int64(0)
	at := func(t time.Duration, e drill.Event) {
		e.Seq, e.At = seq, drill.Offset(t)
		seq++
		yield(e)
	}
	var members []drill.Member
	for m := range 3 {
		role := drill.RoleReplica
		if m == 0 {
			role = drill.RolePrimary
		}
		members = append(members, drill.Member{Namespace: "shop", Name: fmt.Sprintf("orders-0-%d", m), UID: fmt.Sprintf("uid-%d", m), Role: role, Epoch: 1})
	}
	at(0, drill.Event{Type: drill.EventPlan, Members: members, Plans: []drill.FaultPlan{{Kind: "kill_primary", Name: "orders-0", Victims: members[:1]}}})
	for _, s := range h.next {
		at(0, drill.Event{Type: drill.EventProbe, Probe: &s.ProbeInfo})
	}
	fault := func(t time.Duration, state drill.FaultState) {
		at(t, drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{
			Kind: "kill_primary", Name: "orders-0", State: state, From: drill.Offset(struck), By: "the pod is gone",
		}})
	}
	views := func(t time.Duration, name ...string) {
		at(t, drill.Event{Type: drill.EventViews, Views: &drill.Views{Target: "orders-0", Label: name, Service: name, Member: name}})
	}
	views(0, "orders-0-0")
	at(2*time.Second, drill.Event{Type: drill.EventStep, Step: drill.StepSteady})
	for second := time.Second; second <= length; second += time.Second {
		var batch []drill.Sample
		for _, s := range h.next {
			for s.phase+time.Duration(s.slot)*s.Interval < second {
				batch = append(batch, s.sample())
			}
		}
		slices.SortFunc(batch, func(a, b drill.Sample) int { return int(a.Done - b.Done) })
		at(second, drill.Event{Type: drill.EventSamples, Samples: batch})
		at(second, drill.Event{Type: drill.EventProgress, Text: "writes ok · lag 0.0 s · 1 primary"})
		switch second {
		case struck:
			fault(struck, drill.FaultInjecting)
			fault(struck+10*time.Millisecond, drill.FaultInjected)
			fault(struck+30*time.Millisecond, drill.FaultConfirmed)
		case struck + 3*time.Second:
			views(second)
		case led:
			views(second, "orders-0-1")
		case back:
			fault(back, drill.FaultReverted)
		}
	}
	rb := &drill.ReadBack{Target: "orders-0", Primary: "orders-0-1", Complete: true, Streams: map[string]map[string]drill.Numbers{}}
	for _, m := range members {
		rb.Streams[m.Name] = map[string]drill.Numbers{}
		for _, s := range h.next {
			if s.Target == "orders-0" {
				rb.Streams[m.Name][s.Name] = *h.held[s.Name]
			}
		}
	}
	at(length, drill.Event{Type: drill.EventReadBack, ReadBack: rb})
	at(length, drill.Event{Type: drill.EventEnd, End: &drill.End{Cause: drill.EndFinished, Code: "finished"}})
}
