package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// tone is red for what must not be.
func tone(bad bool) ink {
	if bad {
		return red
	}
	return plain
}

func (p *page) writes(w *drill.WritesReport) {
	p.section("Writes")
	if w == nil {
		p.row("ledger", "unknown")
		return
	}
	switch {
	case w.Lost == nil:
		p.row("lost", "unknown: the ledger could not be read back", yellow)
	case *w.Lost == 0:
		p.row("lost", "none", green)
	default:
		p.row("lost", fmt.Sprintf("%d acknowledged, %s of writes", *w.Lost, known(w.LostSpan)), bold, red)
	}
	p.row("sent", fmt.Sprintf("%d, of them %d acknowledged and %d failed; %d slots not sent", w.Sent, w.Acked, w.Failed, w.Unsent))
	if doubt := w.Sent - w.Acked - w.Failed; doubt == 0 {
		p.row("in doubt", "none")
	} else if w.Lost == nil {
		p.row("in doubt", fmt.Sprintf("%d, of which it is unknown whether they are there", doubt))
	} else {
		p.row("in doubt", fmt.Sprintf("%d, of them %d are there and %d are not", doubt, w.IndeterminatePresent, w.IndeterminateAbsent))
	}
	if w.Phantom+w.Fabricated+w.Duplicate > 0 {
		p.row("unexpected", fmt.Sprintf("%d reported as failed and there, %d never sent and there, %d there twice",
			w.Phantom, w.Fabricated, w.Duplicate), bold, red)
	}
	for _, m := range slices.Sorted(maps.Keys(w.Stale)) {
		if late := w.Stale[m]; late.Max != nil && late.Max.Upper > 1 {
			p.row("stale", fmt.Sprintf("%d acknowledged came late on %s, half of them by %s, at worst by %s", late.Writes, m, bounds(late.P50), bounds(late.Max)))
		}
	}
}

func (p *page) lag(l *drill.LagReport) {
	p.section("Replication lag")
	if l == nil {
		p.row("lag", "unknown")
		return
	}
	p.row("before", bounds(l.Before))
	p.row("at the fault", bounds(l.AtFault))
	var peak strings.Builder
	peak.WriteString(bounds(l.Peak))
	if l.Peak != nil {
		for _, m := range slices.Sorted(maps.Keys(l.ByMember)) {
			if l.ByMember[m] == *l.Peak && l.Peak.Lower > 0 {
				peak.WriteString(", " + m)
				break
			}
		}
	}
	p.row("peak", peak.String())
	if l.Unknown > 0 {
		p.row("unknown", fmt.Sprintf("for %s some replica could not be read", seconds(l.Unknown)), yellow)
	}
	if l.EngineDisagreement != nil {
		p.row("exporter off by", seconds(*l.EngineDisagreement), tone(*l.EngineDisagreement > 1))
	}
}

func (p *page) primaries(r *drill.PrimariesReport) {
	p.section("Primaries")
	if r == nil {
		p.row("primaries", "unknown")
		return
	}
	if r.DualPrimary > 0 {
		p.row("two at once", fmt.Sprintf("for %s", seconds(r.DualPrimary)), bold, red)
	} else {
		p.row("two at once", "never seen to accept writes")
	}
	if r.ZombieTail > 0 {
		p.row("zombie", fmt.Sprintf("the old primary went on accepting writes for %s", seconds(r.ZombieTail)), bold, red)
	}
	if r.EpochForks+r.EpochRegressions > 0 {
		p.row("epochs", fmt.Sprintf("%d with two histories; %d acknowledgements of an older epoch after a newer one", r.EpochForks, r.EpochRegressions), bold, red)
	}
	p.row("leader changes", fmt.Sprint(r.LeaderChanges))
	const most = 5
	for i, d := range r.Disagreements {
		name := "views differ"
		if i > 0 {
			name = ""
		}
		if i == most && len(r.Disagreements) > most+1 {
			p.row(name, fmt.Sprintf("and %d more times", len(r.Disagreements)-most))
			break
		}
		p.row(name, fmt.Sprintf("%s from %s on: label %s, service %s, member %s", seconds(d.Seconds), seconds(d.Start),
			d.Views["label"], d.Views["service"], d.Views["member"]))
	}
}

func (p *page) objectives(os []drill.ObjectiveReport) {
	if len(os) == 0 {
		return
	}
	p.section("Objectives")
	names := 20
	for _, o := range os {
		names = max(names, min(len(o.Name), 28))
	}
	values := 12
	for _, o := range os {
		values = max(values, min(columns(objectiveValue(o)), 20))
	}
	for _, o := range os {
		mark, color := "✓", green
		if !o.Met {
			mark, color = "✗", red
		}
		if o.Condition != "" || o.Text != "" {
			p.asserted(o, p.style.paint(mark, bold, color), names, values)
			continue
		}
		value, limit := objectiveValue(o), "limit "+objectiveLimit(o)
		if o.Want != "" {
			limit = "wanted: " + objectiveLimit(o)
		}
		p.line("    ", p.style.paint(mark, bold, color), " ", pad(clean(o.Name), names), right(value, values), "  ",
			p.style.paint(pad(limit, max(18, min(columns(limit), 40))), dim), p.style.paint(judgedBy(o, value), dim))
	}
}

// judgedBy says which of a number's bounds was compared with the limit, and whose number it is.
func judgedBy(o drill.ObjectiveReport, value string) string {
	by := ""
	if strings.HasSuffix(strings.TrimSuffix(o.JudgedBy, "_seconds"), "upper") && value != "never" {
		by = "by its worse bound"
	}
	if strings.Contains(o.JudgedBy, string(drill.ClassFresh)) {
		return strings.TrimSuffix("new connections, "+by, ", ")
	}
	return by
}

// asserted is an objective that is a condition; why one does not hold is among the reasons of the verdict.
func (p *page) asserted(o drill.ObjectiveReport, mark string, names, values int) {
	value := "holds"
	switch {
	case o.Met:
	case o.JudgedBy == "unknown":
		value = "unknown"
	default:
		value = "fails"
	}
	head, indent := pad(clean(o.Name), names)+right(value, values)+"  ", 6+names+values+2
	for i, l := range append(wrap(strings.Join(strings.Fields(o.Condition), " "), width-indent), "") {
		switch {
		case i == 0:
			p.line("    ", mark, " ", head, p.style.paint(l, dim))
		case l != "":
			p.line(strings.Repeat(" ", indent), p.style.paint(l, dim))
		}
	}
}

func (p *page) probes(ps []drill.ProbeReport) {
	if len(ps) == 0 {
		return
	}
	p.line()
	p.line("  ", p.style.paint(pad("Probe", 28), bold), p.style.paint(pad("class", 7)+right("rate", 7)+right("slots", 8)+right("failed", 8)+
		right("unsent", 8)+right("outage", 10)+right("p50", 10)+right("p99", 10), dim))
	for _, r := range ps {
		outage, class := "–", string(r.Class)
		if r.ValueName != "" {
			class = "–" // it says nothing of what clients of a class see
		}
		if r.Outage != nil {
			outage = seconds(*r.Outage)
		}
		p.line("    ", pad(clean(r.Name), 25), " ", pad(class, 7), right(fmt.Sprintf("%.4g Hz", r.RateHz), 7), right(fmt.Sprint(r.Slots), 8),
			right(fmt.Sprint(r.Failed), 8), right(fmt.Sprint(r.Unsent+r.Blocked), 8), right(outage, 10),
			right(millis(r.LatencyP50), 10), right(millis(r.LatencyP99), 10))
		if r.ValueName != "" {
			p.line("      ", p.style.paint(reading(r), dim))
		}
		if len(r.FailuresBySignal) > 0 {
			var signals []string
			for _, s := range slices.Sorted(maps.Keys(r.FailuresBySignal)) {
				signals = append(signals, fmt.Sprintf("%s %d", s, r.FailuresBySignal[s]))
			}
			for _, l := range wrap("failed by "+strings.Join(signals, ", "), width-6) {
				p.line("      ", p.style.paint(l, dim))
			}
		}
	}
}

// reading is what a numeric probe read.
func reading(r drill.ProbeReport) string {
	last := "unknown at the end"
	if r.ValueLast != nil {
		last = fmt.Sprintf("%.6g at the end", *r.ValueLast)
	}
	if r.ValueMin == nil || r.ValueMax == nil {
		return clean(r.ValueName) + " never had a reading"
	}
	return fmt.Sprintf("%s %s, from %.6g to %.6g", clean(r.ValueName), last, *r.ValueMin, *r.ValueMax)
}

func (p *page) findings(r drill.Report) {
	if r.Abort.Fired {
		p.section("Abort")
		latency := "what it put back, and when, is unknown"
		if r.Abort.Latency != nil {
			latency = fmt.Sprintf("everything was put back within %s", seconds(*r.Abort.Latency))
		}
		if r.Abort.Decision != nil {
			latency += fmt.Sprintf(", and the decision took %s of that", millis(r.Abort.Decision))
		}
		p.row(clean(r.Abort.Rule), strings.TrimSuffix(strings.TrimSpace(r.Abort.Text), ".")+"; "+latency)
	}
	if len(r.Findings) > 0 {
		p.section("Findings")
		for _, f := range r.Findings {
			mark := p.style.paint("!", bold, yellow)
			if f.Severity == "info" {
				mark = "·"
			}
			p.item(mark, f.Text)
		}
	}
	if len(r.Unknown) > 0 && r.Run.Verdict != drill.VerdictRefused {
		p.section("Unknown")
		for _, l := range wrap(strings.Join(r.Unknown, ", "), width-4) {
			p.line("    ", l)
		}
	}
}
