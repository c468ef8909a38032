package truth

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

// The sorts of outage.
const (
	blackHole = "black hole" // packets vanish, of old and of new connections
	refusal   = "reset"      // answered by RST: new connections are refused, old ones reset
	hang      = "hang"       // accepted, and not answered
	slow      = "slow"       // answered, but long after L
)

var sorts = []string{blackHole, refusal, hang, slow}

// The rules by which the scripted runs are measured: shorter than a real run's, so that many fit.
const (
	window = time.Second
	// settle is how long a lane is observed after an outage, as a rule; then the next one's baseline begins.
	settle   = 1200 * time.Millisecond
	baseline = 2300 * time.Millisecond
)

// planned is one outage of the script.
type planned struct {
	sort   string
	length time.Duration
}

// script makes n outages from 50 ms to 30 s: short ones many, long ones few.
func script(r *rand.Rand, n int, longest time.Duration) []planned {
	var all []planned
	for i := range n {
		from, to := 50*time.Millisecond, time.Second
		switch {
		case i%5 == 3:
			from, to = time.Second, 3*time.Second
		case i%10 == 4:
			from, to = 3*time.Second, 10*time.Second
		case i%30 == 9:
			from, to = 10*time.Second, 30*time.Second
		}
		from, to = min(from, longest), min(to, longest)
		// As many of 50 to 100 ms as of 500 ms to 1 s.
		length := time.Duration(float64(from) * math.Pow(float64(to)/float64(from), r.Float64()))
		all = append(all, planned{sorts[(i+i/20)%len(sorts)], length})
	}
	return all
}

// pair is a moment on the run's clock: between the two readings around the system call that made it.
type pair struct{ before, after drill.Offset }

// outage is a scripted one: the truth that a report has to find.
type outage struct {
	sort          string
	length        time.Duration // as scripted; the truth is in broke and healed
	steady        drill.Offset  // its baseline's begin
	watch         time.Duration // how long it is observed after its end
	broke, healed pair
}

// bounds is the shortest and the longest that it can have lasted.
func (o outage) bounds() (least, most time.Duration) {
	return o.healed.before.Sub(o.broke.after), o.healed.after.Sub(o.broke.before)
}

// until is when its observation ends.
func (o outage) until() drill.Offset { return o.healed.after.Add(o.watch) }

// watched is what one probe saw around one outage.
type watched struct {
	outage
	info    drill.ProbeInfo
	samples []drill.Sample // of this probe, from the baseline to the end of the observation
	stalls  []drill.Stall
}

// recording is what the runner would have recorded of it; the injection's times are the kernel's.
func (w watched) recording() drill.Recording {
	at := func(t drill.Offset, e drill.Event) drill.Event { e.At = t; return e }
	fault := func(t, from drill.Offset, s drill.FaultState) drill.Event {
		return at(t, drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "outage", Name: "stage", State: s, From: from, By: "its kernel"}})
	}
	victim := []drill.Member{{Namespace: "stage", Name: "server", UID: "1"}}
	events := []drill.Event{
		at(w.steady, drill.Event{Type: drill.EventPlan, Members: victim, Plans: []drill.FaultPlan{{Kind: "outage", Name: "stage", Victims: victim}}}),
		at(w.steady, drill.Event{Type: drill.EventProbe, Probe: &w.info}),
		at(w.steady, drill.Event{Type: drill.EventStep, Step: drill.StepSteady}),
		at(w.steady, drill.Event{Type: drill.EventStep, Step: drill.StepHold}),
		fault(w.broke.before, w.broke.before, drill.FaultInjecting),
		fault(w.broke.after, w.broke.before, drill.FaultInjected),
		fault(w.broke.after, w.broke.before, drill.FaultConfirmed),
		fault(w.healed.after, w.healed.before, drill.FaultReverted),
		at(w.until(), drill.Event{Type: drill.EventSamples, Samples: w.samples, Stalls: w.stalls}),
		at(w.until(), drill.Event{Type: drill.EventEnd, End: &drill.End{Cause: drill.EndFinished, Code: "finished"}}),
	}
	return drill.Recording{
		Settings: drill.Settings{Window: window, ImpactTimeout: window, NoLedger: true},
		Events:   slices.Values(events),
	}
}

// verdict is how a report compares with the truth.
type verdict struct {
	watched
	report   drill.Report
	estimate drill.Estimate
	err      time.Duration // the estimate's, against the middle of the truth
	allowed  time.Duration // the widest that the interval may be
	unfit    string        // why the run cannot be vouched for, by its own word
	wrong    []string      // what is wrong with the numbers; empty when nothing is
}

// never stands for +Inf.
const never = time.Hour

func length(s drill.Seconds) time.Duration {
	if s == drill.Never() {
		return never
	}
	return time.Duration(float64(s) * float64(time.Second))
}

// judge measures what was seen as a run would, and compares it with the truth.
func (w watched) judge() verdict {
	v := verdict{watched: w, report: measure.Report(w.recording())}
	miss := func(format string, args ...any) { v.wrong = append(v.wrong, fmt.Sprintf(format, args...)) }
	if v.report.Run.Verdict != drill.VerdictPassed {
		v.unfit = fmt.Sprintf("verdict %s: %v", v.report.Run.Verdict, v.report.Run.Reasons)
	}
	rec := v.report.Recovery
	if rec == nil {
		miss("nothing was measured")
		return v
	}
	v.estimate = rec.Estimate
	least, most := w.bounds()
	v.err = never
	if rec.Estimate.Estimate != drill.Never() {
		v.err = length(rec.Estimate.Estimate) - (least+most)/2
	}
	const grain = time.Microsecond // seconds as float64
	lower, upper := length(rec.Lower), length(rec.Upper)
	if lower > most+grain || upper < least-grain {
		miss("[%v, %v] misses the truth [%v, %v]", lower, upper, least, most)
	}
	within := length(rec.UpWithin)
	v.allowed = 2*w.info.Interval + within + w.lateness(w.broke.before.Add(lower), w.broke.before.Add(upper), within) + w.broke.after.Sub(w.broke.before)
	blip := length(rec.Blip) // as long an outage is none
	if rec.Outcome == drill.OutcomeNoImpact {
		v.allowed = blip + 2*w.info.Interval + within + w.lateness(w.steady, w.until(), within)
	}
	v.allowed = max(v.allowed, w.blindUntil(w.broke.before.Add(lower), blip)+2*w.info.Interval+within)
	if upper-lower > v.allowed+grain {
		miss("[%v, %v] is %v wide, and may be %v", lower, upper, upper-lower, v.allowed)
	}
	if rec.Outcome == drill.OutcomeNoImpact && least > v.allowed-w.info.Interval { // B + Δ + L, and what drill itself missed
		miss("an outage of %v reads as no impact", least)
	}
	return v
}

// lateness is the worst of drill's own in a stretch: of the slots of its schedule, of those that were under way when it
// stalled and could still have been up, which it could judge only at the stall's end, or what it did not run at all.
func (w watched) lateness(from, to drill.Offset, within time.Duration) time.Duration {
	var worst, missed time.Duration
	from, to = from.Add(-w.info.Interval), to.Add(w.info.Interval)
	for _, s := range w.samples {
		sent := s.Sent
		if s.Outcome == drill.OutcomeUnsent || s.Outcome == drill.OutcomeBlocked {
			sent = s.Done
		}
		if s.Scheduled > to || s.Done < from {
			continue
		}
		if sent >= from {
			worst = max(worst, sent.Sub(s.Scheduled))
		}
		for _, stall := range w.stalls {
			// When it runs again, its slots may be told before its heartbeat is, which notes the stall's end.
			if waited := stall.From.Sub(s.Scheduled); waited >= 0 && waited <= within && s.Done > stall.From {
				worst = max(worst, stall.To.Sub(s.Scheduled))
			}
		}
	}
	for _, s := range w.stalls {
		missed += max(0, min(s.To, to).Sub(max(s.From, from)))
	}
	return max(worst, missed)
}

// blindUntil is how long after a moment the last of drill's own stalls ended in which a relapse may have hidden: the
// interval reaches to its end.
func (w watched) blindUntil(from drill.Offset, blip time.Duration) (end time.Duration) {
	for _, s := range w.stalls {
		if s.To > from && s.To.Sub(s.From) >= blip {
			end = max(end, s.To.Sub(from))
		}
	}
	return end
}

// fine reports whether the run is valid and its numbers hold.
func (v verdict) fine() bool { return v.unfit == "" && len(v.wrong) == 0 }

// String tells a miss with all its slots around.
func (v verdict) String() string {
	var b strings.Builder
	least, most := v.bounds()
	fmt.Fprintf(&b, "%s of %v (truth [%v, %v]) by %s (%s, Δ %v): %s\n", v.sort, v.length, least, most, v.info.Name, v.info.Class, v.info.Interval, strings.Join(append(v.wrong, v.unfit), "; "))
	fmt.Fprintf(&b, "  broke %.6f to %.6f, healed %.6f to %.6f\n", v.broke.before.Seconds(), v.broke.after.Seconds(), v.healed.before.Seconds(), v.healed.after.Seconds())
	if v.report.Recovery != nil {
		fmt.Fprintf(&b, "  %s: %v [%v, %v], L %v\n", v.report.Recovery.Outcome, v.estimate.Estimate, v.estimate.Lower, v.estimate.Upper, v.report.Recovery.UpWithin)
	}
	near := func(t drill.Offset) bool {
		d := 12 * v.info.Interval
		return t > v.broke.before.Add(-d) && t < v.broke.after.Add(d) || t > v.healed.before.Add(-d) && t < v.healed.after.Add(settle)
	}
	for _, s := range v.samples {
		if slowish := s.Done.Sub(s.Scheduled) > 10*time.Millisecond; near(s.Scheduled) || slowish && s.Scheduled > v.broke.before {
			fmt.Fprintf(&b, "  slot %d due %.6f sent %+.3f ms done %+.3f ms %s %s\n", s.Slot, s.Scheduled.Seconds(), ms(s.Sent.Sub(s.Scheduled)), ms(s.Done.Sub(s.Scheduled)), s.Outcome, s.Signal)
		}
	}
	for _, s := range v.stalls {
		fmt.Fprintf(&b, "  stall %.6f to %.6f\n", s.From.Seconds(), s.To.Seconds())
	}
	return b.String()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// tally gathers how far off estimates were, and how many intervals held.
type tally struct {
	errs      []time.Duration
	contained int
}

func (t *tally) add(err time.Duration, contained bool) {
	t.errs = append(t.errs, err.Abs())
	if contained {
		t.contained++
	}
}

// String describes the distribution.
func (t *tally) String() string {
	if len(t.errs) == 0 {
		return "none"
	}
	slices.Sort(t.errs)
	at := func(p float64) float64 { return ms(t.errs[int(p*float64(len(t.errs)-1))]) }
	return fmt.Sprintf("n %4d  off by p50 %8.2f ms  p90 %8.2f ms  max %8.2f ms  contained %5.1f %%",
		len(t.errs), at(0.5), at(0.9), at(1), 100*float64(t.contained)/float64(len(t.errs)))
}
