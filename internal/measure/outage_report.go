package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// outageReports lists the outages, each with the newest fault when it began.
func (r *run) outageReports(c *recovery) []drill.OutageReport {
	reps := []drill.OutageReport{}
	for _, o := range c.outages {
		from := max(o.from, r.injection.from) // a slot under way at the injection had its turn before
		rep := drill.OutageReport{Start: r.since(from), Seconds: drill.Never(), Kind: o.kind(c.slots),
			DownSlots: count(c.slots[o.first:o.last+1], down), Fault: r.faultOf(c.slots[o.first:o.last+1], c.probe)}
		if o.up >= 0 {
			rep.Seconds = seconds(max(0, o.endEstimate(c.slots).Sub(from)))
		}
		reps = append(reps, rep)
	}
	return reps
}

// faultOf is the kind and the name of the newest fault that may have brought an outage about: of each of its down slots
// it can be said that it was a slot of that fault or came after it (see probe.between).
func (r *run) faultOf(slots []slot, p *probe) string {
	name, newest := "", drill.Offset(-1)
	for _, f := range r.faults {
		before := func(s slot) bool {
			return s.state == down && (ended(s) <= f.From || s.Scheduled < f.From.Add(-p.gauge.within))
		}
		if f.State == drill.FaultInjected && f.From > newest && !slices.ContainsFunc(slots, before) {
			name, newest = f.Kind+" "+f.Name, f.From
		}
	}
	return name
}

// blips counts what was too short to be an outage: each down slot stands for one slot interval.
func (c *recovery) blips() drill.BlipsReport {
	var rep drill.BlipsReport
	for _, b := range blipsIn(c.slots, c.outages) {
		long := seconds(time.Duration(b.down) * c.probe.gauge.delta)
		rep.Count++
		rep.Seconds += long
		rep.Longest = max(rep.Longest, long)
	}
	return rep
}

// downtime is how long down slots stand for: those that failed, and those that were answered too late.
func downtime(slots []slot, delta time.Duration) (failed, slow drill.Seconds) {
	for _, s := range slots {
		switch {
		case s.state != down:
		case s.Outcome == drill.OutcomeOK:
			slow += seconds(delta)
		default:
			failed += seconds(delta)
		}
	}
	return failed, slow
}

// tardiness counts acknowledged slots, and those among them that were answered too late.
type tardiness struct{ acked, late int }

func (t *tardiness) note(s slot) {
	if s.Outcome != drill.OutcomeOK {
		return
	}
	t.acked++
	if s.state == down {
		t.late++
	}
}

func (t tardiness) ratio() *float64 {
	if t.acked == 0 {
		return nil
	}
	return new(float64(t.late) / float64(t.acked))
}

// tardiness is that of the baseline, and that from the recovery on; where nothing recovered, from the last outage's first
// acknowledgement on, for then it may be lateness alone that makes the outage.
func (r *run) tardiness(c *recovery) (before, after tardiness) {
	b := r.baseline(c.probe)
	for _, s := range c.probe.slots {
		if s.Scheduled >= b.from && ended(s) <= b.to {
			before.note(s)
		}
	}
	from := c.at
	if c.never {
		from = forever
		if s := c.firstSuccess(r.injection.from); s != nil {
			from = s.Scheduled
		}
	}
	for _, s := range c.slots {
		if s.Scheduled >= from {
			after.note(s)
		}
	}
	return before, after
}

func (r *run) lateRatio(c *recovery) drill.LateRatio {
	before, after := r.tardiness(c)
	return drill.LateRatio{Before: before.ratio(), After: after.ratio()}
}

// What makes the target slower than before: late answers that are so many, so many times more, and so unlikely by chance.
const (
	slowerShare  = 0.01
	slowerTimes  = 2
	slowerChance = 0.001
)

// slower is a finding when more answers are late after the recovery than before the fault, by more than chance.
func (r *run) slower(c *recovery) []drill.Finding {
	if c == nil {
		return nil
	}
	before, after := r.tardiness(c)
	if before.acked == 0 || after.acked == 0 {
		return nil
	}
	was, is := *before.ratio(), *after.ratio()
	if is < slowerShare || is < slowerTimes*was {
		return nil
	}
	if p, _ := fisher(before.late, before.acked, after.late, after.acked); p >= slowerChance {
		return nil
	}
	return []drill.Finding{{Severity: "warning", Code: "slower_than_before", Text: fmt.Sprintf(
		"%.1f %% of the answers took longer than %s after the recovery, and %.1f %% before the fault.",
		100*is, say(seconds(c.probe.gauge.within)), 100*was)}}
}

// pauses tells of the blips.
func pauses(rec *drill.RecoveryReport) []drill.Finding {
	if rec == nil || rec.Blips.Count == 0 {
		return nil
	}
	return []drill.Finding{{Severity: "info", Code: "blips", Text: fmt.Sprintf(
		"%s shorter than %s, %s together, the longest %s: none of them moves the recovery time.",
		plural(rec.Blips.Count, "blip"), say(rec.Blip), say(rec.Blips.Seconds), say(rec.Blips.Longest))}}
}

// latencyAfter is the p99 of the acknowledgements from a moment on.
func (c *recovery) latencyAfter(from drill.Offset) time.Duration {
	var all []time.Duration
	for _, s := range c.slots {
		if s.Outcome == drill.OutcomeOK && s.Scheduled >= from {
			all = append(all, latency(s))
		}
	}
	slices.Sort(all)
	return percentile(all, 0.99)
}
