package measure

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// plain is what MEASURING.md says of one probe, "Probing is open loop" and "Recovery", written down once more as it
// stands there, by another hand: slow, and without a look at how the product does it. TestThreeHandsAgree holds the two
// against each other.
type plain struct {
	delta, blip, upWithin time.Duration // Δ; the drill's blip; 0: L is learnt
	window                time.Duration // the quiet that a recovery is believed after
	hold                  drill.Offset  // the baseline's begin
	from, at              drill.Offset  // the injection's call and its return
	faults                []fault       // all of them, in order
	samples               []drill.Sample
	lenient               bool // every acknowledgement counts as up, however late: "answered"
}

// fault is when one was injected.
type fault struct {
	name     string // kind and name
	from, at drill.Offset
}

// plainSlot is a slot of the schedule that has been judged.
type plainSlot struct {
	drill.Sample
	up, down bool // neither: unknown
}

// failed tells a slot that was not answered, or refused, from one that was answered too late.
func (s plainSlot) failed() bool { return s.down && s.Outcome != drill.OutcomeOK }

// plainOutage is from one down slot to another.
type plainOutage struct {
	first, last int // among the slots observed
	up          int // the first up slot after it; -1: none
	kind        drill.OutageKind
	down        int // slots
	fault       string
}

// plainAnswer is all that is compared.
type plainAnswer struct {
	within                 time.Duration
	slots                  []plainSlot // observed
	before                 *plainSlot  // the last up slot that had ended before the fault
	outages                []plainOutage
	blips                  []int // how many down slots each has
	never                  bool
	lower, estimate, upper float64 // seconds after the injection
	mute                   bool    // no slot says anything
}

func (p plain) answer() plainAnswer {
	a := plainAnswer{within: p.within()}
	var baseline []plainSlot
	for _, s := range p.samples {
		switch j := p.judge(s, a.within); {
		// Still under way when the fault began, if not sent after that.
		case s.Done > p.from && s.Scheduled >= p.from.Add(-a.within):
			a.slots = append(a.slots, j)
		case s.Done <= p.from:
			if s.Scheduled >= p.hold {
				baseline = append(baseline, j)
			}
			if j.up {
				a.before = &j
			}
		}
	}
	marked, spans := p.spans(a.slots, baseline)
	a.outages = p.outages(a.slots, spans)
	a.blips = plainBlips(a.slots, marked, a.outages)
	p.recovery(&a)
	return a
}

// within is L = max(2Δ, p99 + min(4 × p99, 250 ms)) of the baseline's answers.
func (p plain) within() time.Duration {
	if p.upWithin > 0 {
		return p.upWithin
	}
	var took []time.Duration
	for _, s := range p.samples {
		if s.Outcome == drill.OutcomeOK && s.Scheduled >= p.hold && s.Done <= p.from {
			took = append(took, s.Done.Sub(s.Scheduled))
		}
	}
	slices.Sort(took)
	p99 := time.Duration(0)
	if n := len(took); n > 0 {
		p99 = took[(99*n+99)/100-1]
	}
	return max(2*p.delta, p99+min(4*p99, 250*time.Millisecond))
}

// judge is "up means answered within L, measured from the slot's scheduled time"; a slot that was not sent says
// nothing, and neither does one that drill itself sent later than Δ and that is not up all the same.
func (p plain) judge(s drill.Sample, within time.Duration) plainSlot {
	j := plainSlot{Sample: s}
	switch {
	case s.Outcome == drill.OutcomeUnsent:
	case s.Outcome == drill.OutcomeOK && (p.lenient || s.Done.Sub(s.Scheduled) <= within):
		j.up = true
	case s.Sent.Sub(s.Scheduled) <= p.delta:
		j.down = true
	}
	return j
}

// mostWithin is the largest number of such slots of which the last one's turn comes less than w after the first one's.
func mostWithin(slots []plainSlot, w time.Duration, such func(plainSlot) bool) int {
	var turns []drill.Offset
	for _, s := range slots {
		if such(s) {
			turns = append(turns, s.Scheduled)
		}
	}
	most := 0
	for i, first := range turns {
		n := 0
		for _, t := range turns[i:] {
			if t.Sub(first) < w {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// plainRows lists the rows: down slots without an up slot between them.
func plainRows(slots []plainSlot) [][]int {
	var rows [][]int
	open := false
	for i, s := range slots {
		switch {
		case s.up:
			open = false
		case s.down && open:
			rows[len(rows)-1] = append(rows[len(rows)-1], i)
		case s.down:
			rows, open = append(rows, []int{i}), true
		}
	}
	return rows
}

// stretchOf is from one slot to another.
type stretchOf struct{ first, last int }

// windows lists, of these slots, each stretch of less than w that holds at least need of them, as long as it gets, and
// which slots are in one.
func windows(slots []plainSlot, some []int, need int, w time.Duration) (all []stretchOf, in map[int]bool) {
	in = map[int]bool{}
	for i := range some {
		j := i
		for j+1 < len(some) && slots[some[j+1]].Scheduled.Sub(slots[some[i]].Scheduled) < w {
			j++
		}
		if j-i+1 < need {
			continue
		}
		all = append(all, stretchOf{some[i], some[j]})
		for _, k := range some[i : j+1] {
			in[k] = true
		}
	}
	return all, in
}

// spans are the stretches of the three rules, as they are, and the rows.
func (p plain) spans(slots, baseline []plainSlot) (rows [][]int, spans []stretchOf) {
	B := max(p.blip, 2*p.delta)
	fill := max(3, int(math.Ceil(float64(B)/float64(p.delta))))
	k := fill
	if p.delta >= 250*time.Millisecond {
		k = 2
	}
	w := max(time.Second, 10*p.delta)
	m := mostWithin(baseline, w, func(s plainSlot) bool { return s.down })
	mf := mostWithin(baseline, 10*time.Second, plainSlot.failed)

	rows = plainRows(slots)
	inRow := map[int]bool{}
	for _, row := range rows { // (i)
		if len(row) >= k {
			spans = append(spans, stretchOf{row[0], row[len(row)-1]})
			for _, i := range row {
				inRow[i] = true
			}
		}
	}
	var loose []int
	for i, s := range slots {
		if s.down && !inRow[i] {
			loose = append(loose, i)
		}
	}
	pieces, inPieces := windows(slots, loose, fill+m, w) // (ii)
	var failed []int
	for _, i := range loose {
		if slots[i].failed() && !inPieces[i] {
			failed = append(failed, i)
		}
	}
	thin, _ := windows(slots, failed, fill+mf, 10*time.Second) // (iii)
	return rows, slices.Concat(spans, pieces, thin)
}

// outages makes one of all stretches that overlap.
func (p plain) outages(slots []plainSlot, spans []stretchOf) []plainOutage {
	slices.SortFunc(spans, func(a, b stretchOf) int { return a.first - b.first })
	var all []plainOutage
	for _, s := range spans {
		if n := len(all); n > 0 && s.first <= all[n-1].last {
			all[n-1].last = max(all[n-1].last, s.last)
			continue
		}
		all = append(all, plainOutage{first: s.first, last: s.last})
	}
	for i := range all {
		o := &all[i]
		o.up = -1
		for j := len(slots) - 1; j > o.last; j-- {
			if slots[j].up {
				o.up = j
			}
		}
		o.kind, o.down = kindOf(slots[o.first : o.last+1])
		for _, f := range p.faults {
			if p.underWay(slots[o.first:o.last+1], f.from) {
				o.fault = f.name
			}
		}
	}
	return all
}

// underWay reports whether an outage may be a fault's doing: when that began, no down slot of it had ended, and none
// was overdue.
func (p plain) underWay(slots []plainSlot, began drill.Offset) bool {
	within := p.within()
	for _, s := range slots {
		if s.down && (s.Done <= began || s.Scheduled < began.Add(-within)) {
			return false
		}
	}
	return true
}

// kindOf tells what clients got between an outage's first and last down slot.
func kindOf(slots []plainSlot) (drill.OutageKind, int) {
	n := map[drill.OutageKind]int{}
	ups, downs := 0, 0
	for _, s := range slots {
		switch {
		case s.up:
			ups++
		case s.failed() && s.Signal == drill.SignalReadOnly:
			n[drill.OutageReadOnly]++
		case s.failed():
			n[drill.OutageFailed]++
		case s.down:
			n[drill.OutageSlow]++
		}
		if s.down {
			downs++
		}
	}
	if ups > 0 {
		return drill.OutagePieces, downs
	}
	switch ro, slow, failed := n[drill.OutageReadOnly], n[drill.OutageSlow], n[drill.OutageFailed]; {
	case ro > slow && ro > failed:
		return drill.OutageReadOnly, downs
	case slow > ro && slow > failed:
		return drill.OutageSlow, downs
	}
	return drill.OutageFailed, downs
}

// plainBlips are the rows of which nothing is in an outage.
func plainBlips(slots []plainSlot, rows [][]int, outages []plainOutage) (lengths []int) {
	for _, row := range rows {
		inside := func(i int) bool {
			return slices.ContainsFunc(outages, func(o plainOutage) bool { return i >= o.first && i <= o.last })
		}
		if !slices.ContainsFunc(row, inside) {
			lengths = append(lengths, len(row))
		}
	}
	return lengths
}

// recovery is the end of the last outage, with the interval that the truth is in.
func (p plain) recovery(a *plainAnswer) {
	var ups []plainSlot
	for _, s := range a.slots {
		if s.up {
			ups = append(ups, s)
		}
	}
	since := func(t drill.Offset) float64 { return t.Sub(p.from).Seconds() }
	if len(a.outages) == 0 {
		a.mute = len(ups) == 0
		if a.before != nil {
			ups = append(ups, *a.before) // a blip may begin with the fault
			slices.SortFunc(ups, func(a, b plainSlot) int { return cmp.Compare(a.Scheduled, b.Scheduled) })
		}
		gap := p.delta
		for i := 1; i < len(ups); i++ {
			gap = max(gap, ups[i].Scheduled.Sub(ups[i-1].Scheduled))
		}
		a.upper = (gap + a.within).Seconds()
		return
	}
	o := a.outages[len(a.outages)-1]
	last := a.slots[o.last]
	a.lower = max(0, last.Scheduled.Sub(p.at).Seconds()) // the shortest recovery begins when the injection returned
	if o.up < 0 || ups[len(ups)-1].Scheduled.Sub(last.Scheduled) < p.window {
		a.never = true
		a.estimate, a.upper = math.Inf(1), math.Inf(1)
		return
	}
	up := a.slots[o.up]
	if o.up == o.last+1 { // our own lateness around it may make a slot look slow; unknown slots have taken it up
		late := time.Duration(0)
		for i := max(0, o.last-5); i <= min(len(a.slots)-1, o.up+5); i++ {
			if s := a.slots[i]; s.Outcome != drill.OutcomeUnsent {
				late = max(late, s.Sent.Sub(s.Scheduled))
			}
		}
		a.lower = max(0, last.Scheduled.Add(-min(late, p.delta)).Sub(p.at).Seconds())
	}
	end := up.Done
	if o.kind == drill.OutagePieces { // no sharp end
		var before *plainSlot
		gap := time.Duration(0)
		for i := o.first; i <= o.last; i++ {
			if a.slots[i].down {
				if before != nil {
					gap = max(gap, a.slots[i].Scheduled.Sub(before.Scheduled))
				}
				before = &a.slots[i]
			}
		}
		end = max(end, last.Scheduled.Add(gap+a.within))
	}
	a.estimate = since(last.Scheduled + (up.Scheduled-last.Scheduled)/2)
	a.upper = max(since(end), p.blindUntil(a, o.up))
	a.estimate = min(max(a.estimate, a.lower), a.upper)
}

// blindUntil is the end of the last stretch of unknown slots after the recovery, of B or more, in which there may have
// been a relapse: as any outage, that ended before the first up slot after it was answered, if there was one.
func (p plain) blindUntil(a *plainAnswer, up int) float64 {
	until, n, relapse := 0.0, 0, false
	for _, s := range a.slots[up:] {
		if s.up || s.down {
			n = 0
		} else {
			n++
		}
		if time.Duration(n)*p.delta >= max(p.blip, 2*p.delta) {
			relapse = true
		}
		if relapse {
			until = s.Done.Sub(p.from).Seconds() // of an open relapse, as far as anything is known
		}
		if s.up {
			relapse = false
		}
	}
	return until
}
