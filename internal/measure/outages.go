package measure

import (
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// Windows of the definition (MEASURING.md, "Probing is open loop").
const (
	shortWindow = time.Second      // of down slots in pieces, or ten slots if they take longer
	longWindow  = 10 * time.Second // of failed slots
	fewestSlots = 3                // that make an outage, at any rate above rowOfTwoFrom
	// rowOfTwoFrom is the slot interval from which on two down slots in a row are an outage: at 4 Hz or less.
	rowOfTwoFrom = 250 * time.Millisecond
)

// criterion says from how many down slots on a probe's clients lost more than a blip (MEASURING.md, "Probing is open loop").
type criterion struct {
	blip   time.Duration // B
	row    int           // so many down slots in a row are an outage: rule (i)
	pieces int           // so many down slots within window, none of them in such a row: rule (ii)
	failed int           // so many failed slots within longWindow, none of them in either: rule (iii)
	window time.Duration // w
}

// newCriterion is that of a probe in whose baseline no slot was down.
func newCriterion(delta, blip time.Duration) criterion {
	if blip <= 0 {
		blip = drill.DefaultBlip
	}
	c := criterion{blip: max(blip, 2*delta), window: max(shortWindow, 10*delta)}
	k := max(fewestSlots, int((c.blip+delta-1)/delta))
	c.row, c.pieces, c.failed = k, k, k
	if delta >= rowOfTwoFrom {
		c.row = 2
	}
	return c
}

// after is the criterion after a baseline: what was lost in pieces there counts as usual.
func (c criterion) after(slots []slot, b span) criterion {
	var downs, fails []drill.Offset
	for _, s := range slots {
		if s.state == down && s.Scheduled >= b.from && ended(s) <= b.to {
			downs = append(downs, s.Scheduled)
			if s.Outcome != drill.OutcomeOK {
				fails = append(fails, s.Scheduled)
			}
		}
	}
	c.pieces += most(downs, c.window)
	c.failed += most(fails, longWindow)
	return c
}

// most is the largest number of turns, in order, that lie within a window.
func most(turns []drill.Offset, window time.Duration) int {
	n, first := 0, 0
	for i, t := range turns {
		for t.Sub(turns[first]) >= window {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// outage is a stretch in which clients lost more than a blip. Its slots are known by their place in the series.
type outage struct {
	first, last int          // its first and last down slot
	pieces      bool         // up slots lie between its down slots
	up          int          // the first up slot after its last down slot; -1 when there was none yet
	from, to    drill.Offset // the turns of the first and the last down slot
}

// finder finds the outages of one probe, slot by slot in the order of the schedule, in O(1) a slot on average. Live and
// Report share it, so that there is one definition.
type finder struct {
	criterion
	n     int // slots taken
	now   drill.Offset
	row   []downSlot // the present row of down slots, without an up slot so far
	loose []downSlot // down slots in no row of rule (i) that may still become part of rule (ii), in order
	fails []downSlot // the newest failed slots that are in neither, in order
	found []outage   // in order; no two overlap
}

// downSlot is what the rules ask of a down slot.
type downSlot struct {
	i      int
	at     drill.Offset
	failed bool // not answered, or refused; else answered too late
	up     int  // the up slot that ended its row; -1: none did
	taken  bool // by rule (ii)
}

// add takes the next slot.
func (f *finder) add(s slot) {
	i := f.n
	f.n++
	f.now = s.Scheduled
	switch s.state {
	case down:
		if d := (downSlot{i: i, at: s.Scheduled, failed: s.Outcome != drill.OutcomeOK, up: -1}); len(f.row) <= f.criterion.row {
			f.row = append(f.row, d)
		} else { // of a long row the first and the last slot are enough
			f.row[len(f.row)-1] = d
		}
	case up:
		f.closeRow(i)
	}
	f.settle(f.now)
}

// closeRow ends the present row: with an up slot, or with -1 at the end of the series.
func (f *finder) closeRow(up int) {
	if n := len(f.row); n >= f.criterion.row {
		f.note(outage{first: f.row[0].i, last: f.row[n-1].i, up: up, from: f.row[0].at, to: f.row[n-1].at})
	} else {
		for _, d := range f.row {
			d.up = up
			f.inPieces(d)
		}
	}
	f.row = f.row[:0]
}

// inPieces applies rule (ii) to a down slot that is in no row of rule (i).
func (f *finder) inPieces(d downSlot) {
	f.loose = append(f.loose, d)
	k := len(f.loose) - f.pieces
	if k < 0 || d.at.Sub(f.loose[k].at) >= f.window {
		return
	}
	for i := len(f.loose) - 1; i >= k && !f.loose[i].taken; i-- { // what an earlier window took, it took whole
		f.loose[i].taken = true
	}
	f.note(outage{first: f.loose[k].i, last: d.i, pieces: true, up: d.up, from: f.loose[k].at, to: d.at})
}

// settle hands the slots that rule (ii) cannot take any more to rule (iii).
func (f *finder) settle(now drill.Offset) {
	next := now // no down slot that rule (ii) has yet to be given is older
	if len(f.row) > 0 {
		next = f.row[0].at
	}
	for len(f.loose) > 0 && next.Sub(f.loose[0].at) >= f.window {
		d := f.loose[0]
		f.loose = f.loose[1:]
		if d.failed && !d.taken {
			f.inFailures(d)
		}
	}
}

// inFailures applies rule (iii) to a failed slot that is in no outage by the other rules.
func (f *finder) inFailures(d downSlot) {
	f.fails = append(f.fails, d)
	k := len(f.fails) - f.failed
	if k < 0 {
		return
	}
	first := f.fails[k]
	if d.at.Sub(first.at) < longWindow {
		f.note(outage{first: first.i, last: d.i, pieces: true, up: d.up, from: first.at, to: d.at})
	}
	f.fails = f.fails[k:] // an older one is of no use any more
}

// note enters an outage; those that overlap are one.
func (f *finder) note(o outage) {
	i := len(f.found)
	for i > 0 && f.found[i-1].last >= o.first {
		i--
	}
	j := i
	for ; j < len(f.found) && f.found[j].first <= o.last; j++ {
		have := f.found[j]
		o.pieces = true // each ends with a row of its own
		if have.first < o.first {
			o.first, o.from = have.first, have.from
		}
		if have.last > o.last {
			o.last, o.to, o.up = have.last, have.to, have.up
		}
	}
	f.found = slices.Replace(f.found, i, j, o)
}

// end closes what is open, and returns all outages.
func (f *finder) end() []outage {
	f.closeRow(-1)
	f.settle(f.now.Add(longWindow + f.window)) // no later slot can change it
	return f.found
}

// keepFound is how many of the newest outages a copy keeps: more than can begin within longWindow, which is as far back as
// the rules reach.
const keepFound = 64

// copy is a finder of its own that goes on from here and knows of the newest outages alone.
func (f *finder) copy() *finder {
	c := *f
	c.row, c.loose, c.fails = slices.Clone(f.row), slices.Clone(f.loose), slices.Clone(f.fails)
	c.found = slices.Clone(f.found[max(0, len(f.found)-keepFound):])
	return &c
}

// open reports whether an outage is going on at the end of the series: no slot has been up since, or it is in pieces, of
// which the next may follow within the window.
func (f *finder) open(o outage) bool { return o.up < 0 || o.pieces && f.now.Sub(o.to) < f.window }

// outages finds every outage in a series.
func outages(slots []slot, c criterion) []outage {
	f := &finder{criterion: c}
	for _, s := range slots {
		f.add(s)
	}
	return f.end()
}

// blip is a row of down slots outside every outage.
type blip struct{ first, last, down int }

// blipsIn finds every row of down slots that is no part of an outage.
func blipsIn(slots []slot, out []outage) []blip {
	var all []blip
	row := blip{first: -1}
	next := 0 // outage
	end := func() {
		if row.first < 0 {
			return
		}
		for next < len(out) && out[next].last < row.first {
			next++
		}
		if next == len(out) || out[next].first > row.last {
			all = append(all, row)
		}
		row = blip{first: -1}
	}
	for i, s := range slots {
		switch s.state {
		case up:
			end()
		case down:
			if row.first < 0 {
				row = blip{first: i}
			}
			row.last = i
			row.down++
		}
	}
	end()
	return all
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
//
// An outage in pieces has no sharp end: it may have gone on for as long as it paused before.
func (o outage) endBounds(slots []slot, g gauge) (lower, upper drill.Offset) {
	slack := time.Duration(0)
	if o.up == o.last+1 {
		slack = min(lateness(slots, o.last, o.up+1), g.delta)
	}
	upper = slots[o.up].Done
	if o.pieces {
		upper = max(upper, slots[o.last].Scheduled.Add(o.longestGap(slots)+g.within))
	}
	return slots[o.last].Scheduled.Add(-slack), upper
}

// longestGap is the longest time between the turns of two down slots of the outage that follow each other.
func (o outage) longestGap(slots []slot) (gap time.Duration) {
	before := slots[o.first].Scheduled
	for _, s := range slots[o.first : o.last+1] {
		if s.state == down {
			gap, before = max(gap, s.Scheduled.Sub(before)), s.Scheduled
		}
	}
	return gap
}

// endEstimate is the middle between the turns of the last down slot and of the first up slot.
func (o outage) endEstimate(slots []slot) drill.Offset {
	d, u := slots[o.last].Scheduled, slots[o.up].Scheduled
	return d + (u-d)/2
}

// kind is what most of its down slots got, unless it is in pieces.
func (o outage) kind(slots []slot) drill.OutageKind {
	if o.pieces {
		return drill.OutagePieces
	}
	var slow, readOnly, failed int
	for _, s := range slots[o.first : o.last+1] {
		switch {
		case s.state != down:
		case s.Outcome == drill.OutcomeOK:
			slow++
		case s.Signal == drill.SignalReadOnly:
			readOnly++
		default:
			failed++
		}
	}
	switch {
	case readOnly > failed && readOnly > slow:
		return drill.OutageReadOnly
	case slow > failed && slow > readOnly:
		return drill.OutageSlow
	}
	return drill.OutageFailed
}

// quiet is the length of the stretch without an outage that ends with an up slot.
func quiet(lastDown, lastUp drill.Offset) time.Duration { return max(0, lastUp.Sub(lastDown)) }

// widestGap is the longest time between the turns of two up slots that follow each other: what an outage that no slot
// saw can have lasted. seen leaves out the gaps in which for a blip or longer no slot could be judged. ok is false when
// there is no up slot.
func widestGap(slots []slot, g gauge, blip time.Duration) (gap, seen time.Duration, ok bool) {
	gap, seen = g.delta, g.delta
	var last *slot
	blind, known := false, drill.Offset(0)
	for i, s := range slots {
		if s.state == unknown {
			continue
		}
		blind = blind || s.Scheduled.Sub(known)-g.delta >= blip
		known = s.Scheduled
		if s.state != up {
			continue
		}
		if last != nil {
			d := s.Scheduled.Sub(last.Scheduled)
			gap = max(gap, d)
			if !blind {
				seen = max(seen, d)
			}
		}
		last, blind = &slots[i], false
	}
	return gap, seen, last != nil
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
