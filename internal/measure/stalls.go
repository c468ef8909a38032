package measure

import (
	"cmp"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// stalls are the times at which slots of any probe were sent or given up, with how late that was: an independent witness of
// whether this process had the processor. While it had not, an answer may have lain unread.
type stalls []stall

type stall struct {
	turn, sent drill.Offset
	lateness   time.Duration
}

func stallsOf(samples []drill.Sample) stalls {
	var all stalls
	for _, s := range samples {
		at := s.Sent
		if s.Outcome == drill.OutcomeUnsent || s.Outcome == drill.OutcomeBlocked {
			// Given up when the sampler came to it: at its turn when all sessions were taken, long after in a stall.
			at = s.Done
		}
		if late := at.Sub(s.Scheduled); late > 0 {
			all = append(all, stall{s.Scheduled, at, late})
		}
	}
	slices.SortFunc(all, func(a, b stall) int { return cmp.Compare(a.sent, b.sent) })
	return all
}

// during is the worst lateness of a slot whose turn came, or which was sent, while this one waited for its answer.
func (st stalls) during(s drill.Sample) time.Duration {
	i, _ := slices.BinarySearchFunc(st, s.Sent, func(x stall, t drill.Offset) int { return cmp.Compare(x.sent, t) })
	var worst time.Duration
	for _, x := range st[i:] {
		if x.turn > s.Done {
			break
		}
		worst = max(worst, x.lateness)
	}
	return worst
}

// excuse turns a slot that was answered, but too slowly, from down to unknown when our own stall explains it. It never
// makes a slot up, and a slot that failed stays down.
func (st stalls) excuse(s slot, g gauge) state {
	if s.state == down && s.Outcome == drill.OutcomeOK && latency(s.Sample)-st.during(s.Sample) <= g.within {
		return unknown
	}
	return s.state
}
