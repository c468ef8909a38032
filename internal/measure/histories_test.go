package measure

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// tale is one generated run of one probe. All of it follows from its number.
type tale struct {
	plain
	random   *rand.Rand
	hz       float64
	phase    time.Duration
	end      drill.Offset // of the schedule
	deadline time.Duration
	ready    drill.Offset // when the wait for the steady state began; hold is later
	script   []string     // for people
	fates    []fate
	late     time.Duration // how long an answer takes that comes too late
}

// fate is what becomes of one slot.
type fate string

const (
	well      fate = ""
	notSent   fate = "unsent"
	tooLate   fate = "late"      // answered, after L
	rightLate fate = "just late" // answered, a moment after L
	inTime    fate = "just in time"
	refuses   fate = "refused"
	readsOnly fate = "read only"
	timesOut  fate = "timeout"
	lostHello fate = "black hole" // answered by TCP's second or third try, if that falls after its end
)

var badFates = []fate{tooLate, rightLate, refuses, refuses, readsOnly, timesOut, lostHello}

// newTale draws one.
func newTale(number uint64) *tale {
	r := rand.New(rand.NewPCG(11, number))
	h := &tale{random: r, hz: []float64{1, 4, 10, 20, 50, 50, 200}[r.IntN(7)]}
	if r.IntN(8) == 0 {
		h.hz = 1 + 99*r.Float64()
	}
	h.delta = time.Duration(float64(sec) / h.hz)
	h.blip = pick(r, 250*ms, 250*ms, 100*ms, 2*sec, ms, h.upTo(2*sec))
	h.deadline = pick(r, sec, 500*ms+h.upTo(500*ms))
	if r.IntN(5) == 0 {
		h.upWithin = 2*h.delta + h.upTo(h.deadline)
	}
	h.window = pick(r, 10*sec, 2*sec, sec)
	h.phase = h.upTo(h.delta)
	watch := 3*sec + h.upTo(pick(r, 4*sec, 10*sec, 16*sec))
	before := sec + h.upTo(pick(r, 2*sec, 6*sec, 11*sec))
	if h.hz < 8 { // as many slots
		watch, before = 10*watch, 4*before
	}
	if h.hz > 100 {
		watch, before = watch*2/3, before/3
	}
	h.ready = drill.Offset(h.upTo(sec))
	h.hold = h.ready.Add(h.upTo(2 * sec))
	h.from = h.hold.Add(before)
	h.at = h.from.Add(h.upTo(pick(r, ms, 30*ms, 2*sec)))
	h.end = h.at.Add(watch)
	h.faults = []fault{{"kill_primary orders", h.from, h.at}}
	if r.IntN(4) == 0 {
		second := h.at.Add(h.upTo(watch))
		h.faults = append(h.faults, fault{"freeze orders", second, second.Add(h.upTo(20 * ms))})
	}
	h.late = 60*ms + h.upTo(300*ms)
	h.draw()
	h.play()
	return h
}

// upTo is any time below most.
func (h *tale) upTo(most time.Duration) time.Duration {
	return time.Duration(h.random.Int64N(int64(max(1, most))))
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

func (h *tale) turn(i int) drill.Offset {
	return drill.Offset(h.phase + time.Duration(i)*h.delta)
}

// slotAt is the first slot whose turn does not come before a moment.
func (h *tale) slotAt(t drill.Offset) int {
	return max(0, int(math.Ceil(float64(t.Sub(drill.Offset(h.phase)))/float64(h.delta))))
}

// draw decides each slot's fate: noise first, then what was done to the target.
func (h *tale) draw() {
	r := h.random
	n := h.slotAt(h.end)
	h.fates = make([]fate, n)
	noise := func(from, to int) {
		for _, f := range []fate{tooLate, rightLate, inTime, refuses, notSent} {
			if p := pick(r, 0, 0, 0, .001, .003, .01, .05); p > 0 {
				h.tell("%g %% %s from slot %d to %d", 100*p, f, from, to)
				h.strew(from, to, p, f)
			}
		}
	}
	begun := h.slotAt(h.from)
	noise(0, h.slotAt(h.hold))
	noise(h.slotAt(h.hold), begun)
	noise(begun, n)
	if r.IntN(6) == 0 {
		h.row(h.between(h.hold, h.from)) // the baseline has one, too
	}
	scenes := []func(){h.rowAnywhere, h.rowAnywhere, h.outage, h.outage, h.brownOut, h.flaps, h.pieces, h.pieces,
		h.blind, func() {}}
	for range 1 + r.IntN(4) {
		pick(r, scenes...)()
	}
}

func (h *tale) tell(format string, args ...any) {
	h.script = append(h.script, fmt.Sprintf(format, args...))
}

// strew gives a share of some slots a fate.
func (h *tale) strew(from, to int, share float64, f fate) {
	for i := max(0, from); i < min(to, len(h.fates)); i++ {
		if h.random.Float64() < share {
			h.fates[i] = f
		}
	}
}

// between is a slot of a stretch.
func (h *tale) between(from, to drill.Offset) int {
	a, b := h.slotAt(from), h.slotAt(to)
	return a + h.random.IntN(max(1, b-a))
}

// around is a number of slots around what makes a row an outage.
func (h *tale) around() int {
	k := int(math.Ceil(float64(max(h.blip, 2*h.delta)) / float64(h.delta)))
	return max(1, k-3+h.random.IntN(7))
}

// row puts one of about k slots there; now and then with holes of unsent slots, which neither begin nor end one.
func (h *tale) row(at int) {
	n, f, holes := h.around(), pick(h.random, badFates...), h.random.IntN(3) == 0
	h.tell("row of %d %s from slot %d, holes %v", n, f, at, holes)
	for i := at; n > 0 && i < len(h.fates); i++ {
		if holes && h.random.IntN(4) == 0 {
			h.fates[i] = notSent
			continue
		}
		h.fates[i] = f
		if h.random.IntN(10) == 0 {
			h.fates[i] = pick(h.random, badFates...)
		}
		n--
	}
}

func (h *tale) rowAnywhere() { h.row(h.between(h.from.Add(-h.delta), h.end)) }

// outage is a plain one, which may begin late, and outlast the observation.
func (h *tale) outage() {
	from := h.from.Add(pick(h.random, 0, h.upTo(sec), h.upTo(h.end.Sub(h.from))))
	to := from.Add(pick(h.random, h.upTo(sec), h.upTo(h.end.Sub(h.from))))
	h.cut(from, to, 1, pick(h.random, badFates...))
}

func (h *tale) cut(from, to drill.Offset, share float64, f fate) {
	h.tell("%g %% %s from %.3f to %.3f", 100*share, f, from.Seconds(), to.Seconds())
	h.strew(h.slotAt(from), h.slotAt(to), share, f)
}

// brownOut is a share of failing or late requests, also for ever.
func (h *tale) brownOut() {
	from := drill.Offset(h.from).Add(h.upTo(4 * sec))
	to := pick(h.random, h.end, from.Add(h.upTo(h.end.Sub(from))))
	h.cut(from, to, pick(h.random, .02, .05, .1, .3, .6), pick(h.random, badFates...))
}

// flaps are short ones again and again.
func (h *tale) flaps() {
	length, every := h.upTo(2*max(h.blip, 2*h.delta)), sec+h.upTo(9*sec)
	f := pick(h.random, badFates...)
	for t := h.from.Add(h.upTo(sec)); t < h.end; t = t.Add(every) {
		h.cut(t, t.Add(length), 1, f)
	}
}

// pieces are about as many down slots as make an outage within about one or ten seconds, with up slots between.
func (h *tale) pieces() {
	n, w := h.around()+h.random.IntN(3), pick(h.random, max(sec, 10*h.delta), 10*sec)
	w += h.upTo(4*h.delta) - 2*h.delta
	start := h.between(h.from, h.end)
	f := pick(h.random, badFates...)
	h.tell("%d pieces %s from slot %d within %v", n, f, start, w)
	for range n {
		if i := start + h.random.IntN(max(1, int(w/h.delta))); i < len(h.fates) {
			h.fates[i] = f
		}
	}
}

// blind is a stretch in which nothing could be sent.
func (h *tale) blind() {
	from := h.from.Add(h.upTo(h.end.Sub(h.from)))
	h.cut(from, from.Add(h.upTo(4*max(h.blip, h.delta))), 1, notSent)
}

// play makes samples of the fates.
func (h *tale) play() {
	for i, f := range h.fates {
		due := h.turn(i)
		s := drill.Sample{Probe: "orders", Class: drill.ClassPooled, Slot: int64(i), Scheduled: due, Write: true}
		s.Sent = due.Add(h.upTo(900 * time.Microsecond)) // drill's own lateness; from 1 ms on it is told as a stall
		h.meet(&s, f, i)
		h.samples = append(h.samples, s)
	}
}

// meet gives one slot its outcome.
func (h *tale) meet(s *drill.Sample, f fate, i int) {
	ok := func(took time.Duration) {
		s.Outcome, s.By, s.Role, s.Epoch, s.Done = drill.OutcomeOK, "a", drill.RolePrimary, 1, s.Scheduled.Add(took)
		if took >= h.deadline { // nobody waits that long
			s.Outcome, s.Signal, s.Done = drill.OutcomeIndeterminate, drill.SignalTimeout, s.Scheduled.Add(h.deadline)
			s.By, s.Role, s.Epoch = "", "", 0
		}
	}
	failed := func(o drill.Outcome, signal string, done drill.Offset) {
		s.Outcome, s.Signal, s.Done = o, signal, done
	}
	quick := s.Sent.Add(ms + h.upTo(2*ms))
	switch f {
	case well:
		ok(quick.Sub(s.Scheduled))
	case tooLate:
		ok(max(2*h.delta, h.upWithin) + h.late)
	case rightLate:
		ok(max(2*h.delta, h.upWithin) + h.upTo(20*ms))
	case inTime:
		ok(max(2*h.delta, h.upWithin) - h.upTo(h.delta))
	case refuses:
		failed(drill.OutcomeFail, drill.SignalRefused, quick)
	case readsOnly:
		failed(drill.OutcomeFail, drill.SignalReadOnly, quick)
	case timesOut:
		failed(drill.OutcomeIndeterminate, drill.SignalTimeout, s.Scheduled.Add(h.deadline))
	case lostHello:
		failed(drill.OutcomeIndeterminate, drill.SignalTimeout, s.Scheduled.Add(h.deadline))
		for _, again := range []time.Duration{200 * ms, 600 * ms} {
			t := s.Sent.Add(again)
			if j := h.slotAt(t); i+1 < j && j < len(h.fates) && h.fates[j] != lostHello && again+ms < h.deadline {
				s.Signal = ""
				ok(again + ms)
				break
			}
		}
	case notSent:
		s.Outcome, s.Sent, s.Done = drill.OutcomeUnsent, 0, s.Scheduled
	}
}

// told are the samples in the order in which their outcomes became known.
func (h *tale) told() []drill.Sample {
	byDone := func(a, b drill.Sample) int { return cmp.Compare(a.Done, b.Done) }
	return slices.SortedStableFunc(slices.Values(h.samples), byDone)
}

func (h *tale) settings() drill.Settings {
	return drill.Settings{Window: h.window, ImpactTimeout: h.window, RedundancyLag: 1, Blip: h.blip}
}

// events are what a runner would have recorded, but for the samples.
func (h *tale) events() []drill.Event {
	at := func(t drill.Offset, e drill.Event) drill.Event { e.At = t; return e }
	members := []drill.Member{{Namespace: "shop", Name: "a", UID: "uid-a", Role: drill.RolePrimary, Epoch: 1}}
	info := drill.ProbeInfo{Name: "orders", Kind: "postgresql", Target: "orders", Class: drill.ClassPooled,
		Interval: h.delta, Deadline: h.deadline, UpWithin: h.upWithin}
	var plans []drill.FaultPlan
	kinds := []string{"kill_primary", "freeze"}[:len(h.faults)]
	for _, kind := range kinds {
		plans = append(plans, drill.FaultPlan{Kind: kind, Name: "orders", Victims: members})
	}
	all := []drill.Event{
		{Type: drill.EventPlan, Members: members, Plans: plans},
		{Type: drill.EventProbe, Probe: &info},
		at(h.ready, drill.Event{Type: drill.EventStep, Step: drill.StepSteady}),
		at(h.hold, drill.Event{Type: drill.EventStep, Step: drill.StepHold}),
	}
	for i, f := range h.faults {
		for _, state := range []drill.FaultState{drill.FaultInjecting, drill.FaultInjected, drill.FaultConfirmed} {
			t := f.at
			if state == drill.FaultInjecting {
				t = f.from
			}
			all = append(all, at(t, drill.Event{Type: drill.EventFault,
				Fault: &drill.FaultChange{Kind: kinds[i], Name: "orders", State: state, From: f.from, By: "gone"}}))
		}
	}
	return all
}

func (h *tale) recording() drill.Recording {
	events := h.events()
	end := h.end.Add(h.deadline)
	events = append(events, drill.Event{At: end, Type: drill.EventSamples, Samples: h.told()},
		drill.Event{At: end, Type: drill.EventEnd, End: &drill.End{Cause: drill.EndFinished, Code: "finished"}})
	return drill.Recording{Settings: h.settings(), Events: slices.Values(events)}
}
