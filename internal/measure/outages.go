package measure

import (
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// outage is a stretch of down slots. An unknown slot neither begins one nor ends one.
type outage struct {
	first, last int // its first and last down slot
	up          int // the first up slot after it; -1 when it was still going on at the end
}

// outages finds every stretch of down slots.
func outages(slots []slot) []outage {
	var out []outage
	open := false
	for i, s := range slots {
		switch {
		case s.state == down && !open:
			out, open = append(out, outage{first: i, last: i, up: -1}), true
		case s.state == down:
			out[len(out)-1].last = i
		case s.state == up && open:
			out[len(out)-1].up, open = i, false
		}
	}
	return out
}

// vicinity is how many slots on either side of an outage's end tell how late the prober was then.
const vicinity = 5

// lateness is the worst in slots[from:to] and a few slots around.
func lateness(slots []slot, from, to int) time.Duration {
	var worst time.Duration
	for _, s := range slots[max(0, from-vicinity):min(len(slots), to+vicinity)] {
		worst = max(worst, s.Lateness())
	}
	return worst
}

// endBounds is an interval that contains the moment at which the outage ended (MEASURING.md, "Probing is open loop").
//
// It ended before the first up slot was answered, whatever that slot's lateness was. It ended after the last down
// slot's turn; but a reply that waited in our own process looks slow, so the lower bound gives way by the lateness
// around it, up to Δ: a slot that is down is at most Δ late by definition. Unknown slots between the two have taken up
// our lateness, and widen the interval by themselves. Without unknown slots the width is at most 2Δ + L.
func (o outage) endBounds(slots []slot, g gauge) (lower, upper drill.Offset) {
	slack := time.Duration(0)
	if o.up == o.last+1 {
		slack = min(lateness(slots, o.last, o.up+1), g.delta)
	}
	return slots[o.last].Scheduled.Add(-slack), slots[o.up].Done
}

// endEstimate is the middle between the turns of the last down slot and of the first up slot.
func (o outage) endEstimate(slots []slot) drill.Offset {
	d, u := slots[o.last].Scheduled, slots[o.up].Scheduled
	return d + (u-d)/2
}

// quiet is the length of the stretch without a down slot that ends with an up slot.
func quiet(lastDown, lastUp drill.Offset) time.Duration { return max(0, lastUp.Sub(lastDown)) }

// widestGap is the longest time between the turns of two up slots that follow each other: what an outage that no slot
// saw can have lasted. ok is false when there is no up slot.
func widestGap(slots []slot, g gauge) (gap time.Duration, ok bool) {
	gap = g.delta
	var last *slot
	for i := range slots {
		if slots[i].state != up {
			continue
		}
		if last != nil {
			gap = max(gap, slots[i].Scheduled.Sub(last.Scheduled))
		}
		last = &slots[i]
	}
	return gap, last != nil
}

// count is how many slots are in a state.
func count(slots []slot, st state) int {
	n := 0
	for _, s := range slots {
		if s.state == st {
			n++
		}
	}
	return n
}
