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

// note takes in a slot, late or not.
func (st *stalls) note(s slot) {
	at := s.Sent
	if !sent(s) {
		// Given up when the sampler came to it: at its turn when all sessions were taken, long after in a stall.
		at = s.Done
	}
	if late := at.Sub(s.Scheduled); late > 0 {
		*st = append(*st, stall{s.Scheduled, at, late})
	}
}

func (st stalls) sort() {
	slices.SortFunc(st, func(a, b stall) int { return cmp.Compare(a.sent, b.sent) })
}

// during is the worst lateness of a slot whose turn came, or which was sent, while this one waited for its answer.
func (st stalls) during(s slot) time.Duration {
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
	if s.state == down && s.Outcome == drill.OutcomeOK && latency(s)-st.during(s) <= g.within {
		return unknown
	}
	return s.state
}
