package measure

import (
	"cmp"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// probeReports says what each probe saw over the whole run, in the order in which they were started.
func (r *run) probeReports() []drill.ProbeReport {
	reps := []drill.ProbeReport{}
	for _, p := range slices.Concat(r.probes, r.checks) {
		rep := p.report(r.baseline(p).from)
		if p.Numeric() {
			read := p.readings(r.baseline(p).from)
			rep.ValueName, rep.ValueLast, rep.ValueMin, rep.ValueMax = p.Value, read.last, read.least, read.most
		}
		reps = append(reps, rep)
	}
	return reps
}

// report is what the probe saw; its outages count from a moment on.
func (p *probe) report(from drill.Offset) drill.ProbeReport {
	rep := drill.ProbeReport{
		Name: p.Name, Kind: p.Kind, Class: p.Class, Member: p.Member, Slots: len(p.slots), FailuresBySignal: map[string]int{},
	}
	if p.Interval > 0 {
		rep.RateHz = float64(time.Second) / float64(p.Interval)
	}
	var latencies, late []time.Duration
	for _, s := range p.slots {
		switch s.Outcome {
		case drill.OutcomeOK:
			rep.OK++
			latencies = append(latencies, latency(s))
		case drill.OutcomeFail, drill.OutcomeIndeterminate:
			rep.Failed++
			rep.FailuresBySignal[cmp.Or(s.Signal, drill.SignalError)]++
		case drill.OutcomeUnsent:
			rep.Unsent++
		case drill.OutcomeBlocked:
			rep.Blocked++
		}
		if sent(s) {
			late = append(late, s.Lateness())
		}
	}
	if p.Class != drill.ClassPinned && !p.Numeric() && p.Check == "" {
		rep.Outage = new(outageSum(p.between(from, forever), p.criterion))
	}
	if slices.Sort(latencies); len(latencies) > 0 {
		rep.LatencyP50, rep.LatencyP99 = new(seconds(percentile(latencies, 0.5))), new(seconds(percentile(latencies, 0.99)))
	}
	if slices.Sort(late); len(late) > 0 {
		rep.LatenessP99, rep.LatenessMax = new(seconds(percentile(late, 0.99))), new(seconds(late[len(late)-1]))
	}
	return rep
}

// sent reports whether the slot left the prober.
func sent(s slot) bool {
	return s.Outcome != drill.OutcomeUnsent && s.Outcome != drill.OutcomeBlocked
}

// starvation is how well the headline probe kept its schedule, from the baseline to the end: the p99 of its lateness,
// the share of slots that could not be sent, and the share of those that were, and yet say nothing for our own stalls.
func (r *run) starvation() (late time.Duration, missed, mute float64) {
	from := r.baseline(r.headline).from
	var all []time.Duration
	total, gone, silent := 0, 0, 0
	for _, s := range r.headline.slots {
		if s.Scheduled < from {
			continue
		}
		total++
		switch {
		case !sent(s):
			gone++
			continue
		case s.state == unknown:
			silent++
		}
		all = append(all, s.Lateness())
	}
	slices.Sort(all)
	if total == 0 {
		return 0, 0, 0
	}
	return percentile(all, 0.99), float64(gone) / float64(total), float64(silent) / float64(total)
}

// disorder is how many of the headline's slots were sent before their turn, or ended before they were sent: a monotonic
// clock allows neither.
func (r *run) disorder() int {
	n := 0
	for _, s := range r.headline.slots {
		if sent(s) && (s.Sent < s.Scheduled || s.Done < s.Sent) {
			n++
		}
	}
	return n
}

// answers counts the probe's good answers in a stretch.
func (p *probe) answers(b span) int {
	n := 0
	for _, s := range p.slots {
		if b.holds(s) {
			n++
		}
	}
	return n
}
