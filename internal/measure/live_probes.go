package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// staleAfter is how many intervals a numeric reading holds when no newer slot is answered.
const staleAfter = 3

// reader holds the newest reading of a numeric probe.
type reader struct {
	known bool
	at    drill.Offset // the slot's turn
	value float64
}

// turnaround is how long the newest answered slot took.
type turnaround struct {
	known bool
	at    drill.Offset
	took  time.Duration
}

// turn is a slot's scheduled time and what the slot says.
type turn struct {
	at    drill.Offset
	state state
}

func (p *liveProbe) forgetBefore(from drill.Offset) {
	p.recent = slices.DeleteFunc(p.recent, func(t turn) bool { return t.at < from })
}

// note takes from a slot what only the drill's own probes have.
func (p *liveProbe) note(s slot) {
	switch {
	case s.Outcome == drill.OutcomeOK && p.Numeric():
		if s.Scheduled >= p.reader.at {
			p.reader, p.signal = reader{known: s.Valued, at: s.Scheduled, value: s.Value}, ""
		}
	case s.Outcome == drill.OutcomeOK:
		if s.Scheduled >= p.answer.at {
			p.answer = turnaround{known: true, at: s.Scheduled, took: latency(s)}
		}
	case s.Signal != "":
		p.signal = s.Signal
	}
}

// read is the newest reading, as long as it holds. An answer that there is nothing to read ends it at once.
func (p *liveProbe) read(now drill.Offset) (float64, bool) {
	return p.reader.value, p.reader.known && now.Sub(p.reader.at) <= staleAfter*p.Interval
}

// own are the live values of a probe that is not a target's.
func (p *liveProbe) own(now drill.Offset) map[string]float64 {
	v := map[string]float64{}
	if p.Numeric() {
		if value, ok := p.read(now); ok {
			v[p.Value] = value
		}
		return v
	}
	p.values(now, v)
	if p.answer.known && now.Sub(p.answer.at) <= ratioWindow {
		v["latency_seconds"] = p.answer.took.Seconds()
	}
	return v
}

// Ready reports whether each of the drill's own probes works: one that asks whether something answers is up, a numeric
// one has a reading. Else it names the first that does not, and how it failed last.
func (l *Live) Ready(now drill.Offset) (ok bool, why string) {
	var names []string
	for name, p := range l.probes {
		if p.Target == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if why := l.probes[name].trouble(now); why != "" {
			return false, why
		}
	}
	return true, ""
}

// trouble says why the probe is not ready; nothing when it is.
func (p *liveProbe) trouble(now drill.Offset) string {
	last := ""
	if p.signal != "" {
		last = ", last by " + p.signal
	}
	if p.Numeric() {
		if _, ok := p.read(now); !ok {
			return fmt.Sprintf("the probe %s has no reading%s", p.Name, last)
		}
		return ""
	}
	if p.upFor(now) > 0 {
		return ""
	}
	if last == "" && p.seen {
		last = ": it was answered too late"
	}
	return fmt.Sprintf("the probe %s fails%s", p.Name, last)
}
