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

// slot is a sample that has been judged.
type slot struct {
	drill.Sample
	state state
}

// gauge holds what makes a slot of one probe up (MEASURING.md, "Probing is open loop").
type gauge struct {
	delta  time.Duration // Δ, between two slots
	within time.Duration // L, from a slot's turn to its answer
}

// newGauge sets L from the latency in the baseline. Five times the p99 keeps an ordinary slow answer up; two slots
// keep a slot up that is sent one slot late.
func newGauge(delta, p99 time.Duration) gauge {
	return gauge{delta: delta, within: max(2*delta, 5*p99)}
}

// gaugeOf measures the probe's latency in the baseline.
func gaugeOf(p *probe, b span) gauge {
	var ls []time.Duration
	for _, s := range p.slots {
		if b.holds(s.Sample) {
			ls = append(ls, latency(s.Sample))
		}
	}
	slices.Sort(ls)
	return newGauge(p.Interval, percentile(ls, 0.99))
}

// state judges one slot. Our own lateness must never count as the target's outage.
func (g gauge) state(s drill.Sample) state {
	switch {
	case s.Outcome == drill.OutcomeUnsent || s.Outcome == drill.OutcomeBlocked:
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
func (b span) holds(s drill.Sample) bool {
	return s.Outcome == drill.OutcomeOK && s.Scheduled >= b.from && s.Done <= b.to
}

// latency is counted from a slot's turn, so that a late start cannot hide a slow answer.
func latency(s drill.Sample) time.Duration { return s.Done.Sub(s.Scheduled) }

// percentile is the nearest rank of sorted values; 0 when there are none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
}
