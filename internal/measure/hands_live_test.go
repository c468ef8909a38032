package measure

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// moments is at how many moments of a history Live is asked, besides its end.
const moments = 3

// live feeds a history to Live as a run would, in the order in which outcomes become known, and lists where it says
// anything else than the plain definition does of what is known by then.
func (h *tale) live() (wrong []string) {
	l := NewLive(h.settings())
	events, samples := h.events(), h.told()
	slices.SortStableFunc(events, func(a, b drill.Event) int { return cmp.Compare(a.At, b.At) })
	known := func(now drill.Offset) { // what was known by then, samples first: that is how the baseline ends
		for len(events) > 0 || len(samples) > 0 {
			switch {
			case len(samples) > 0 && samples[0].Done <= now && (len(events) == 0 || samples[0].Done <= events[0].At):
				l.Sample(samples[0])
				samples = samples[1:]
			case len(events) > 0 && events[0].At <= now:
				l.Event(events[0])
				events = events[1:]
			default:
				return
			}
		}
	}
	var asked []drill.Offset
	for range moments {
		asked = append(asked, h.from.Add(h.upTo(h.end.Sub(h.from))))
	}
	slices.Sort(asked)
	for _, now := range asked {
		known(now)
		for _, w := range h.asKnown(now).differLive(l, now) {
			wrong = append(wrong, fmt.Sprintf("at %.6f: %s", now.Seconds(), w))
		}
	}
	known(forever)
	for _, w := range h.differLive(l, h.samples[len(h.samples)-1].Scheduled) {
		wrong = append(wrong, "at the end: "+w)
	}
	return wrong
}

// asKnown is the run as it looks at a moment: what has ended, and what cannot be up any more.
func (p plain) asKnown(now drill.Offset) plain {
	within := p.within()
	all := p.samples
	p.samples = nil
	for _, s := range all {
		switch {
		case s.Done <= now:
			p.samples = append(p.samples, s)
		case now.Sub(s.Scheduled) > within+p.delta:
			s.Sent, s.Done, s.Outcome, s.Signal = s.Scheduled, now, drill.OutcomeIndeterminate, ""
			p.samples = append(p.samples, s)
		}
	}
	return p
}

// differLive holds the outages that Live knows of, and for how long it says that the target has been up, against the
// plain definition.
func (p plain) differLive(l *Live, now drill.Offset) (wrong []string) {
	a := p.answer()
	probe := l.probes["orders"]
	if got := probe.gauge.within; got != a.within {
		wrong = append(wrong, fmt.Sprintf("L: plain %v, Live %v", a.within, got))
	}
	got := probe.view(now).end()
	var is, want []string
	for _, o := range got {
		is = append(is, stretchText(o.from, o.to, o.pieces, o.up >= 0))
	}
	for _, o := range a.outages[max(0, len(a.outages)-len(got)):] {
		first, last := a.slots[o.first].Scheduled, a.slots[o.last].Scheduled
		want = append(want, stretchText(first, last, o.kind == drill.OutagePieces, o.up >= 0))
	}
	if len(got) < min(len(a.outages), keepFound) || !slices.Equal(is, want) {
		wrong = append(wrong, fmt.Sprintf("outages: plain %v, Live %v", want, is))
	}
	return append(wrong, p.differUpFor(a, l.UpFor("orders", now), now)...)
}

func stretchText(from, to drill.Offset, pieces, ended bool) string {
	return fmt.Sprintf("%.6f-%.6f pieces %v ended %v", from.Seconds(), to.Seconds(), pieces, ended)
}

// differUpFor: up for so long is from the last outage to the newest up slot, and 0 while one is going on.
func (p plain) differUpFor(a plainAnswer, got time.Duration, now drill.Offset) []string {
	lastUp := drill.Offset(-1)
	for _, s := range p.samples {
		if p.judge(s, a.within).up {
			lastUp = s.Scheduled
		}
	}
	want := got // without an outage since the first up slot, which was judged by the L of that time
	open, row := false, false
	if n := len(a.outages); n > 0 {
		o := a.outages[n-1]
		last := a.slots[o.last].Scheduled
		want = lastUp.Sub(last)
		open = o.up < 0
		// Of one in pieces the next piece may follow.
		row = o.kind == drill.OutagePieces && now.Sub(last) < max(time.Second, 10*p.delta)+a.within+p.delta
	}
	// While a target hangs it also keeps slots from being sent, so a row of few down slots may be known to be none.
	row = row || now.Sub(lastUp) > max(p.blip, 2*p.delta)
	switch {
	case open && got != 0:
		return []string{fmt.Sprintf("up for %v in an outage", got)}
	case !open && got != max(0, want) && (got != 0 || !row):
		return []string{fmt.Sprintf("up for: plain %v, Live %v", want, got)}
	}
	return nil
}
