package measure

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// stalls are the witnesses of when this process did not run, and what came in meanwhile lay unread.
type stalls struct {
	missed []span // by the heartbeat, in order: each tells of one stall
	late   []span // of slots of any probe, from their turn to when they were sent or given up, by the latter
	slept  bool   // the machine was suspended

	longest time.Duration // of them all
}

// telling is how late a slot must be sent to tell of a stall: goroutines always wait some microseconds for their turn.
const telling = time.Millisecond

// note takes in a slot, late or not.
func (st *stalls) note(s slot) {
	at := s.Sent
	if !sent(s) {
		// Given up when the sampler came to it: at its turn when all sessions were taken, long after in a stall.
		at = s.Done
	}
	if at.Sub(s.Scheduled) > telling {
		st.late = append(st.late, span{s.Scheduled, at})
	}
}

// beat takes in what the heartbeat noticed.
func (st *stalls) beat(s drill.Stall) {
	st.missed = append(st.missed, span{s.From, s.To})
	st.slept = st.slept || s.Slept
}

func (st *stalls) sort() {
	byEnd := func(a, b span) int { return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.from, b.from)) }
	slices.SortFunc(st.missed, byEnd)
	slices.SortFunc(st.late, byEnd)
	for _, s := range slices.Concat(st.missed, st.late) {
		st.longest = max(st.longest, s.to.Sub(s.from))
	}
}

// within is how much of a stretch this process did not run. Stalls that the heartbeat noticed add up, because no two are
// at one time. Of the slots the latest speaks for all: each may have waited for the same thing, or for its own.
func (st stalls) within(from, to drill.Offset) time.Duration {
	var sum, worst time.Duration
	for s := range st.overlapping(st.missed, from, to) {
		sum += s
	}
	for s := range st.overlapping(st.late, from, to) {
		worst = max(worst, s)
	}
	return max(sum, worst)
}

// overlapping is how much each of the stretches, sorted by their end, shares with one.
func (st stalls) overlapping(sorted []span, from, to drill.Offset) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		i, _ := slices.BinarySearchFunc(sorted, from, func(s span, t drill.Offset) int { return cmp.Compare(s.to, t) })
		for _, s := range sorted[i:] {
			if s.to.Sub(to) >= st.longest {
				return // it and all that end later begin too late
			}
			if s.from < to && !yield(min(s.to, to).Sub(max(s.from, from))) {
				return
			}
		}
	}
}

// excuse turns a slot from down to unknown when our own stalls explain it: it was answered too slowly, or given up at
// its deadline, which is a clock of ours, and without our stalls it would have waited no longer than up allows. It never
// makes a slot up, and a slot that the target itself failed stays down.
func (st stalls) excuse(s slot, p *probe) state {
	if s.state != down {
		return s.state
	}
	ours := s.Outcome == drill.OutcomeOK || p.Deadline > 0 && latency(s) >= p.Deadline
	// Up may allow more than the deadline: what was given up while we were awake is down all the same.
	if stalled := st.within(s.Scheduled, s.Done); ours && stalled > 0 && latency(s)-stalled <= p.gauge.within {
		return unknown
	}
	return down
}
