package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// Trial writes one trial of a series in a line, with its reasons below when it did not pass.
func Trial(w io.Writer, r drill.Report, o Style) error {
	p := &page{style: o}
	color, ok := verdictInk[r.Run.Verdict]
	if !ok {
		color = yellow
	}
	said := []string{trialRecovery(r)}
	if r.Run.Verdict.Measured() && r.Writes != nil && r.Writes.Lost != nil {
		said = append(said, fmt.Sprintf("%d lost", *r.Writes.Lost))
	}
	if r.Run.Stagger != nil {
		said = append(said, "after a delay of "+seconds(*r.Run.Stagger))
	}
	p.line(fmt.Sprintf("trial %*d of %d  ", len(fmt.Sprint(r.Run.Trials)), r.Run.Trial, r.Run.Trials),
		p.style.paint(pad(strings.ToUpper(string(r.Run.Verdict)), len("INTERRUPTED")), bold, color), "  ", strings.Join(said, ", "))
	for _, reason := range r.Run.Reasons {
		p.item(p.style.paint("✗", color), reason.Text)
	}
	return p.to(w)
}

// trialRecovery is the one number of a trial, or why there is none.
func trialRecovery(r drill.Report) string {
	switch {
	case r.Run.Verdict == drill.VerdictRefused:
		return "nothing was touched"
	case !r.Run.Verdict.Measured():
		return "no valid number"
	case r.Recovery == nil:
		return "recovery unknown"
	case r.Recovery.Outcome == drill.OutcomeNoImpact:
		return "no outage seen" + trialFresh(r.Recovery)
	case never(r.Recovery.Estimate.Estimate) && acknowledgedLate(r.Recovery):
		return "acknowledged after " + estimate(*r.Recovery.Answered) + ", and late ever since"
	case never(r.Recovery.Estimate.Estimate):
		return "never back"
	}
	return "back after " + estimate(r.Recovery.Estimate) + trialFresh(r.Recovery)
}

// trialFresh is how new connections fared, where that differs.
func trialFresh(rec *drill.RecoveryReport) string {
	f := rec.ByClass[drill.ClassFresh]
	switch {
	case !freshDiffers(rec):
		return ""
	case never(f.Estimate):
		return ", new connections never"
	}
	return ", new connections after " + estimate(f)
}

// Series writes what the trials of a series say together: how they ended, and the statistics that the last one holds.
func Series(w io.Writer, trials []drill.Report, o Style) error {
	p := &page{style: o}
	var verdicts []drill.Verdict
	counts := map[drill.Verdict]int{}
	for _, r := range trials {
		if counts[r.Run.Verdict]++; counts[r.Run.Verdict] == 1 {
			verdicts = append(verdicts, r.Run.Verdict)
		}
	}
	slices.Sort(verdicts)
	var said []string
	for _, v := range verdicts {
		said = append(said, fmt.Sprintf("%d %s", counts[v], v))
	}
	last := trials[len(trials)-1]
	p.line()
	p.line(p.style.paint(clean(last.Run.Drill), bold), fmt.Sprintf("  %d of %d trials: %s", len(trials), last.Run.Trials, strings.Join(said, ", ")))
	p.statistics(last.Statistics)
	p.line()
	p.line("  ", p.style.paint("drill report RUN shows the whole of a trial.", dim))
	return p.to(w)
}

// statistics is what several runs say together.
func (p *page) statistics(s *drill.StatisticsReport) {
	if s == nil {
		p.section("Statistics")
		p.row("recovery", "unknown: no trial measured it to the end")
		return
	}
	measured := max(s.Measured, s.N) // reports of format version 1 have but the latter
	p.section(fmt.Sprintf("Statistics of %s", plural(measured, "trial")))
	if s.Median != nil {
		p.row("median", withBounds(*s.Median, s.MedianBounds))
	}
	if s.P90 != nil {
		p.row("p90", seconds(*s.P90))
	}
	if s.Max != nil {
		p.row("max", withBounds(*s.Max, s.MaxBounds), tone(never(*s.Max)))
	}
	if s.Mean != nil {
		of := ""
		if s.NeverRecovered > 0 {
			of = fmt.Sprintf(", of the %d that recovered", s.N-s.NeverRecovered)
		}
		p.row("mean", seconds(*s.Mean)+of)
	}
	if s.NeverRecovered > 0 {
		p.row("never recovered", fmt.Sprint(s.NeverRecovered), bold, red)
	}
	if s.NoImpact > 0 {
		p.row("no outage seen", fmt.Sprintf("%d, counted as recovered at once", s.NoImpact))
	}
	failed := fmt.Sprintf("%d of %d", s.Failed, measured)
	if s.Aborted > 0 {
		failed += fmt.Sprintf(", %d of them aborted", s.Aborted)
	}
	p.row("failed", failed, tone(s.Failed > 0))
	p.row("what they allow", s.Text)
}

// withBounds is one of several runs' numbers with its error bar.
func withBounds(s drill.Seconds, b *drill.Bounds) string {
	switch {
	case never(s) || b == nil:
		return seconds(s)
	case never(b.Upper):
		return fmt.Sprintf("%s  [%s, never]", seconds(s), number(b.Lower))
	}
	return estimate(drill.Estimate{Estimate: s, Lower: b.Lower, Upper: b.Upper})
}
