package report

import (
	"fmt"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// unavailable is how long clients went without an answer in time, and the rules by which that was counted.
func (p *page) unavailable(rec *drill.RecoveryReport) {
	text := "0 s"
	if rec.Unavailable > 0 {
		text = fmt.Sprintf("%s in all: %s failed, %s slow", seconds(rec.Unavailable), seconds(rec.Failed), seconds(rec.Slow))
		switch {
		case never(rec.LongestOutage):
			text += "; the last outage did not end"
		case rec.LongestOutage > 0:
			text += "; longest outage " + seconds(rec.LongestOutage)
			if longestInPieces(rec) {
				text += ", in pieces"
			}
		}
		if rec.Flaps > 0 || !never(rec.LongestOutage) {
			text += "; " + plural(rec.Flaps, "relapse")
		}
	}
	p.row("unavailable", text)
	if late := rec.LateRatio; matters(late.Before) || matters(late.After) {
		since := "since the recovery"
		if acknowledgedLate(rec) {
			since = "since requests are answered again"
		}
		p.row("late answers", fmt.Sprintf("%s %s, %s before the fault", share(late.After), since, share(late.Before)))
	}
	if a := rec.Answered; a != nil && !never(a.Estimate) && a.Upper < rec.Lower && !acknowledgedLate(rec) {
		p.row("answered again", estimate(*a)+", if late answers count")
	}
	if rec.Blip > 0 && rec.UpWithin > 0 {
		p.row("counted as up", fmt.Sprintf("an answer within %s; less than %s without one is a blip and no outage",
			limitText(rec.UpWithin), seconds(rec.Blip)), dim)
	}
}

// longestInPieces reports whether the longest outage had answers in time between its down slots, so that it is longer
// than the down slots together.
func longestInPieces(rec *drill.RecoveryReport) bool {
	for _, o := range rec.Outages {
		if o.Seconds == rec.LongestOutage {
			return o.Kind == drill.OutagePieces
		}
	}
	return false
}

// matters reports whether a share of late answers is worth a line: one in a thousand.
func matters(ratio *float64) bool { return ratio != nil && *ratio >= 0.001 }

// share writes a ratio in percent.
func share(ratio *float64) string {
	if ratio == nil {
		return "an unknown share"
	}
	percent := 100 * *ratio
	switch {
	case percent > 0 && percent < 10:
		return fmt.Sprintf("%.2g %%", percent)
	case percent > 99 && percent < 100:
		return fmt.Sprintf("%.1f %%", min(percent, 99.9))
	}
	return fmt.Sprintf("%.0f %%", percent)
}

// limitText writes the longest time that an answer may take to count as up.
func limitText(s drill.Seconds) string {
	if s >= 1 {
		return precise(s)
	}
	return fmt.Sprintf("%.3g ms", 1000*float64(s))
}

// className says what a class of probes stands for.
func className(c drill.Class) string {
	switch c {
	case drill.ClassFresh:
		return "new connections"
	case drill.ClassPooled:
		return "pooled"
	}
	return string(c)
}

// classTime is a recovery time that is no headline.
func classTime(e drill.Estimate) string {
	switch {
	case never(e.Estimate):
		return fmt.Sprintf("never; last seen failing %s after the fault", seconds(e.Lower))
	case e.Estimate == 0:
		return fmt.Sprintf("no outage was seen; one shorter than %s could have been missed", seconds(e.Upper))
	}
	return estimate(e)
}

// outageCount is how many there were. A record in the cluster has room for ten (kube.Fit); relapses tell of the others.
func outageCount(rec *drill.RecoveryReport) int {
	if n := len(rec.Outages); n != shownOutages {
		return n
	}
	return max(shownOutages, rec.Flaps+1) // the first outage is no relapse
}

// shownOutages is how many rows the table of outages has before it leaves some out. The last one always has a row: the
// recovery is its end.
const shownOutages = 10

// kindText says what clients got.
var kindText = map[drill.OutageKind]string{
	drill.OutageFailed: "no answer, or a refusal", drill.OutageSlow: "late answers", drill.OutageReadOnly: "read-only refusals",
	drill.OutagePieces: "in pieces: some answers in time",
}

// outages lists them when there are several, or when one has no sharp end. Of several faults each row names its own.
func (p *page) outages(rec *drill.RecoveryReport, several bool) {
	all := rec.Outages
	if len(all) == 0 || len(all) == 1 && all[0].Kind != drill.OutagePieces {
		return
	}
	p.line()
	p.line("  ", p.style.paint(pad("Outage", 10), bold),
		p.style.paint(right("from", 10)+right("until", 11)+right("length", 11)+right("down slots", 12)+"   what clients got", dim))
	total := outageCount(rec)
	for i, o := range all {
		last := i == len(all)-1
		if i >= shownOutages-1 && !last {
			continue
		}
		number := i + 1
		if last && total > number || last && total > shownOutages {
			number = total
			p.line("    ", p.style.paint(fmt.Sprintf("and %d more", total-min(len(all), shownOutages)), dim))
		}
		until, length := seconds(o.Start+o.Seconds), seconds(o.Seconds)
		if never(o.Seconds) {
			until, length = "the end", "–"
		}
		what := kindText[o.Kind]
		if what == "" {
			what = clean(strings.ReplaceAll(string(o.Kind), "_", " "))
		}
		if several && o.Fault != "" {
			what += ", after " + o.Fault
		}
		head := pad(fmt.Sprint(number), 8) + right(seconds(o.Start), 10) + right(until, 11) + right(length, 11) +
			right(fmt.Sprint(o.DownSlots), 12) + "   "
		for k, l := range wrap(what, width-4-columns(head)) {
			if k > 0 {
				head = strings.Repeat(" ", columns(head))
			}
			p.line("    ", head, l)
		}
	}
}
