package measure

import (
	"math"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

const (
	forever       = drill.Offset(math.MaxInt64)
	defaultWindow = 10 * time.Second
)

// state is what a slot says of the target.
type state int

const (
	unknown state = iota // it says nothing: not sent, or sent so late that its failure may be our own
	up                   // answered within L of its turn
	down
)

// slot is a sample that has been judged. Of a long run there are many: what most of them have in common is kept once.
type slot struct {
	Scheduled, Sent, Done drill.Offset
	Slot                  int64
	*trait
	*extra
	state state
}

// trait is what a sample shares with many others.
type trait struct {
	Probe   string
	Class   drill.Class
	Member  string
	Outcome drill.Outcome
	Signal  string
	Write   bool
	By      string
	Role    drill.Role
	Epoch   int64
	ByUID   string
}

// extra is what only samples of some probes have.
type extra struct {
	Reading *drill.Reading
	Op      *drill.Op
	Value   float64
	Valued  bool
}

var noExtra = &extra{} // never written to

// traits keeps each trait once, those of a probe together: it has few, and its slots come with one of them after the
// other, so looking at each is cheaper than hashing all of a sample.
type traits map[string][]*trait

// slot makes a slot of a sample.
func (t traits) slot(s drill.Sample) slot {
	shared := t.of(trait{s.Probe, s.Class, s.Member, s.Outcome, s.Signal, s.Write, s.By, s.Role, s.Epoch, s.ByUID})
	more := noExtra
	if s.Reading != nil || s.Op != nil || s.Valued || s.Value != 0 {
		more = &extra{s.Reading, s.Op, s.Value, s.Valued}
	}
	return slot{Scheduled: s.Scheduled, Sent: s.Sent, Done: s.Done, Slot: s.Slot, trait: shared, extra: more}
}

// of is the one trait that is like this one. The newest comes first.
func (t traits) of(like trait) *trait {
	all := t[like.Probe]
	for i, known := range all {
		if *known == like {
			copy(all[1:i+1], all[:i])
			all[0] = known
			return known
		}
	}
	known := new(trait)
	*known = like
	t[like.Probe] = slices.Insert(all, 0, known)
	return known
}

// Lateness is how much later than scheduled the slot was sent.
func (s slot) Lateness() time.Duration {
	if !sent(s) {
		return 0
	}
	return s.Sent.Sub(s.Scheduled)
}

// gauge holds what makes a slot of one probe up (MEASURING.md, "Probing is open loop").
type gauge struct {
	delta  time.Duration // Δ, between two slots
	within time.Duration // L, from a slot's turn to its answer
}

// mostSlack is how much longer than the p99 of the baseline an answer may take at most. Without this bound, five times the
// p99 was 0.1 to 3 s on busy servers, and nothing was ever down.
const mostSlack = 250 * time.Millisecond

// newGauge sets L from the p99 of the baseline's latency, unless the drill has set it (up_within). Five times the p99
// keeps an ordinary slow answer up; two slots keep a slot up that is sent one slot late.
func newGauge(p drill.ProbeInfo, p99 time.Duration) gauge {
	if p.UpWithin > 0 {
		return gauge{delta: p.Interval, within: p.UpWithin}
	}
	return gauge{delta: p.Interval, within: max(2*p.Interval, p99+min(4*p99, mostSlack))}
}

// gaugeOf measures the target's latency in the baseline: what an answer lay unread while this process did not run is none of it,
// and would stretch what counts as up.
func gaugeOf(p *probe, b span, ours stalls) gauge {
	var ls []time.Duration
	for _, s := range p.slots {
		if b.holds(s) {
			ls = append(ls, latency(s)-ours.within(s.Scheduled, s.Done))
		}
	}
	slices.Sort(ls)
	return newGauge(p.ProbeInfo, percentile(ls, 0.99))
}

// state judges one slot. Our own lateness must never count as the target's outage.
func (g gauge) state(s slot) state {
	switch {
	case !sent(s):
		return unknown
	case s.Outcome == drill.OutcomeOK && latency(s) <= g.within:
		return up
	case s.Lateness() > g.delta:
		return unknown
	}
	return down
}

// span is a stretch of the run's clock, without its end.
type span struct{ from, to drill.Offset }

// holds reports whether a slot belongs to the baseline: an answer that came after the injection may have been delayed
// by it, and would stretch what counts as up.
func (b span) holds(s slot) bool {
	return s.Outcome == drill.OutcomeOK && s.Scheduled >= b.from && s.Done <= b.to
}

// latency is counted from a slot's turn, so that a late start cannot hide a slow answer.
func latency(s slot) time.Duration { return s.Done.Sub(s.Scheduled) }

// percentile is the nearest rank of sorted values; 0 when there are none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
}
