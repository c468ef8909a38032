package measure

import (
	"cmp"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// liveProbe follows the slots of one open-loop probe.
type liveProbe struct {
	drill.ProbeInfo
	start   drill.Offset
	blip    time.Duration
	gauge   gauge
	warm    []time.Duration // the newest answers before the fault, as they came
	latency []time.Duration // of the baseline, sorted
	base    []slot          // of the baseline, in order
	struck  *span           // the baseline, once the fault is there
	finder  *finder         // of the slots in order, up to next
	next    int64           // the slot that the finder is to be given next
	waiting map[int64]slot  // that have ended before an earlier one did
	highest int64           // slot seen, and its turn
	newest  drill.Offset
	step    time.Duration // between the turns of the newest two slots: Δ, or more before the measuring rate begins
	missing map[int64]drill.Offset
	recent  []turn // of the last ratioWindow and some before it, by arrival
	trim    int    // as soon as recent is longer, it is looked through for old ones
	seen    bool
	lastUp  drill.Offset
	firstUp drill.Offset
	isUp    bool // some slot was up
	reader  reader
	answer  turnaround
	signal  string // of the newest slot that failed
}

func newLiveProbe(info drill.ProbeInfo, blip time.Duration, at drill.Offset) *liveProbe {
	return &liveProbe{ProbeInfo: info, start: at, blip: blip, gauge: newGauge(info, 0), step: info.Interval, highest: -1,
		missing: map[int64]drill.Offset{}, waiting: map[int64]slot{}, finder: &finder{criterion: newCriterion(info.Interval, blip)}}
}

// forget begins the baseline anew. What the newest answers told holds until there are enough of it.
func (p *liveProbe) forget() {
	p.latency, p.base = nil, nil
	p.finder = &finder{criterion: newCriterion(p.step, p.blip)}
}

// strike ends the baseline: now it is known what counts as up, and what makes an outage. Slots that are still under way
// belong to the fault.
func (p *liveProbe) strike(b span) {
	p.struck = &b
	known := slices.Clone(p.base)
	for _, s := range p.waiting {
		known = append(known, s)
	}
	slices.SortFunc(known, func(a, b slot) int { return cmp.Compare(a.Slot, b.Slot) })
	p.latency = nil
	for _, s := range known {
		if b.holds(s) {
			p.latency = append(p.latency, latency(s))
		}
	}
	slices.Sort(p.latency)
	p.learn()
	for i, s := range known {
		known[i].state = p.gauge.state(s)
	}
	p.finder = &finder{criterion: newCriterion(p.Interval, p.blip).after(known, b)}
	for _, s := range p.base {
		p.feed(s)
	}
	p.base = nil
}

// feed hands the next slot in order to the finder.
func (p *liveProbe) feed(s slot) {
	s.state = p.gauge.state(s)
	if p.struck == nil {
		p.base = append(p.base, s)
		p.finder.criterion = newCriterion(p.step, p.blip)
	} else if !p.ofTheFault(s) {
		return
	}
	p.finder.add(s)
}

// ofTheFault reports whether a slot says something of the fault: see probe.between.
func (p *liveProbe) ofTheFault(s slot) bool {
	return p.struck != nil && ended(s) > p.struck.to && s.Scheduled >= p.struck.to.Add(-p.gauge.within)
}

func (p *liveProbe) take(s slot, b span) {
	p.track(s)
	p.calibrate(s, b)
	st := p.gauge.state(s)
	p.recent = append(p.recent, turn{s.Scheduled, st})
	if len(p.recent) > p.trim { // nobody may ask for values, which looks through it, too
		p.forgetBefore(s.Done.Add(-ratioWindow))
		p.trim = 2*len(p.recent) + 64
	}
	if st == up {
		p.lastUp = max(p.lastUp, s.Scheduled)
		if !p.isUp || s.Scheduled < p.firstUp {
			p.firstUp = s.Scheduled
		}
		p.isUp = true
	}
	if s.Slot >= p.next {
		p.waiting[s.Slot] = s
	}
	p.advance(ended(s))
}

// advance hands to the finder what is there without a gap. A slot of which nothing was heard long after its deadline will
// never be heard of.
func (p *liveProbe) advance(now drill.Offset) {
	for {
		s, there := p.waiting[p.next]
		turn, missed := p.missing[p.next]
		switch {
		case there:
			delete(p.waiting, p.next)
			p.feed(s)
		case !missed || now.Sub(turn) <= 2*max(p.Deadline, time.Second):
			return
		}
		p.next++
	}
}

// calibrate learns what counts as up: from the baseline; and before it from the newest answers, of which the middle one is
// enough to find out whether the steady state holds.
func (p *liveProbe) calibrate(s slot, b span) {
	if s.Outcome == drill.OutcomeOK && p.struck == nil {
		if len(p.warm) == leastAnswers {
			p.warm = slices.Delete(p.warm, 0, 1)
		}
		p.warm = append(p.warm, latency(s))
	}
	if b.holds(s) && b.from > 0 {
		d := latency(s)
		i, _ := slices.BinarySearch(p.latency, d)
		p.latency = slices.Insert(p.latency, i, d)
	}
	p.learn()
}

// learn sets what counts as up.
func (p *liveProbe) learn() {
	p.gauge = newGauge(p.ProbeInfo, percentile(p.latency, 0.99))
	if p.struck == nil && len(p.latency) < leastAnswers {
		usual := newGauge(p.ProbeInfo, percentile(slices.Sorted(slices.Values(p.warm)), 0.5))
		p.gauge.within = max(p.gauge.within, usual.within)
	}
}

// track notes which slots have been handed over late, so that one that hangs is missed before it has ended.
func (p *liveProbe) track(s slot) {
	if !p.seen {
		p.next = s.Slot
	}
	if !p.seen || s.Slot <= p.highest {
		delete(p.missing, s.Slot)
		p.next = min(p.next, s.Slot)
	} else {
		p.step = s.Scheduled.Sub(p.newest) / time.Duration(s.Slot-p.highest)
		for k := p.highest + 1; k < s.Slot; k++ {
			p.missing[k] = s.Scheduled.Add(-time.Duration(s.Slot-k) * p.step)
		}
	}
	if s.Slot >= p.highest {
		p.highest, p.newest = s.Slot, s.Scheduled
	}
	p.seen = true
}

// overdue lists the turns of slots under way that cannot be up any more.
func (p *liveProbe) overdue(now drill.Offset) []drill.Offset {
	var turns []drill.Offset
	for _, turn := range p.missing {
		if p.late(turn, now) {
			turns = append(turns, turn)
		}
	}
	return turns
}

// late reports whether a slot of which nothing was heard cannot be up any more.
func (p *liveProbe) late(turn, now drill.Offset) bool {
	return now.Sub(turn) > p.gauge.within+p.gauge.delta
}

// silent is what is known of a slot that is late: it was sent, and it is not up.
var silent = &trait{Outcome: drill.OutcomeIndeterminate} // never written to

// view is the finder as it would be, had the series ended now: a slot under way is down as soon as it cannot be up any more.
func (p *liveProbe) view(now drill.Offset) *finder {
	f := p.finder.copy()
	for k := p.next; p.seen; k++ {
		s, there := p.waiting[k]
		if !there {
			s = slot{Slot: k, Scheduled: p.missing[k], Done: now, trait: silent, extra: noExtra}
			if k > p.highest {
				s.Scheduled = p.newest.Add(time.Duration(k-p.highest) * p.step)
			}
			if !p.late(s.Scheduled, now) {
				if k > p.highest {
					break
				}
				continue // it may still be up
			}
			s.Sent, s.state = s.Scheduled, down
		} else {
			s.state = p.gauge.state(s)
		}
		if p.struck == nil || p.ofTheFault(s) {
			f.add(s)
		}
	}
	return f
}

// outage is how long the present outage has lasted; 0 when there is none. Outages that follow each other within a window
// are one to whoever waits for the end.
func (p *liveProbe) outage(now drill.Offset) time.Duration {
	if !p.seen {
		if d := now.Sub(p.start); d > p.step+p.gauge.within {
			return d // its first slot is not up any more
		}
		return 0
	}
	f := p.view(now)
	if len(f.row) > 0 && now.Sub(f.row[0].at) >= f.blip+p.gauge.within {
		// However few of its slots are known to be down: while a target hangs, it also keeps slots from being sent.
		f.note(outage{first: f.row[0].i, up: -1, last: f.n, from: f.row[0].at, to: now})
	}
	all := f.end()
	n := len(all)
	if n == 0 || !f.open(all[n-1]) {
		return 0
	}
	from := all[n-1].from
	older := p.finder.found[:max(0, len(p.finder.found)-keepFound)]
	for _, list := range [][]outage{all[:n-1], older} {
		for _, o := range slices.Backward(list) {
			if from.Sub(o.to) >= f.window {
				return now.Sub(from)
			}
			from = min(from, o.from)
		}
	}
	return now.Sub(from)
}

func (p *liveProbe) upFor(now drill.Offset) time.Duration {
	if !p.isUp {
		return 0
	}
	if p.outage(now) > 0 {
		return 0
	}
	since := p.firstUp
	if all := p.view(now).end(); len(all) > 0 {
		since = max(since, all[len(all)-1].to)
	}
	return quiet(since, p.lastUp)
}

func (p *liveProbe) values(now drill.Offset, v map[string]float64) {
	p.forgetBefore(now.Add(-ratioWindow))
	if out := p.outage(now); p.seen || out > 0 {
		v["outage_seconds"] = out.Seconds()
	}
	good, bad := 0, len(p.overdue(now))
	if p.seen {
		// So are the slots after the newest one of which anything was heard.
		bad += max(0, int((now.Sub(p.newest)-p.gauge.within-p.step)/p.step))
	}
	for _, t := range p.recent {
		switch t.state {
		case up:
			good++
		case down:
			bad++
		}
	}
	if good+bad > 0 {
		v["success_ratio"] = float64(good) / float64(good+bad)
	}
}
