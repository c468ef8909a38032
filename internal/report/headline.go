package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// old reports whether a report was measured by the rules of format version 1, which knew neither outages nor blips.
func old(r drill.Report) bool { return r.FormatVersion == "1" }

// nouns are the words of the headline: of a target that takes writes, or of a service that answers requests.
type nouns struct{ clients, back, was, one, taken, many string }

func nounsOf(r drill.Report) nouns {
	if r.Endpoints != nil {
		return nouns{"The service", "Service back", "was", "request", "served", "requests"}
	}
	clients := "Writes"
	if r.Recovery != nil && freshDiffers(r.Recovery) {
		clients = "Writes over open sessions"
	}
	return nouns{clients, clients + " back", "were", "write", "accepted", "writes"}
}

// headline is the one number that everyone asks for with its error bar. Below it stands what a reader must know not to
// misread it: most readers stop here.
func (p *page) headline(r drill.Report) {
	rec := r.Recovery
	p.line()
	if r.Run.Verdict == drill.VerdictRefused {
		p.line("  Nothing was touched.")
		return
	}
	if rec == nil {
		p.line("  Recovery time: ", p.style.paint("unknown", bold))
		return
	}
	n := nounsOf(r)
	switch {
	case rec.Outcome == drill.OutcomeNoImpact:
		p.unhurt(r)
	case never(rec.Estimate.Estimate):
		p.unrecovered(r, n)
	default:
		p.line("  ", n.back, " after ", p.style.paint(seconds(rec.Estimate.Estimate), bold), interval(rec.Estimate),
			"   ", p.style.paint(outcome(rec.Outcome), bold))
	}
	p.fresh(rec)
	p.note(outTimes(r, n))
	if slower(r) {
		p.note(fmt.Sprintf("Since then, %s of the %s took longer than %s; before the fault it was %s.",
			share(rec.LateRatio.After), n.many, limitText(rec.UpWithin), share(rec.LateRatio.Before)))
	}
	if len(rec.Outages) == 0 && rec.Flaps > 0 && rec.FirstSuccess != nil {
		p.note(fmt.Sprintf("The first %s was %s after %s; then there were %s.",
			n.one, n.taken, seconds(*rec.FirstSuccess), plural(rec.Flaps, "relapse")))
	}
	wide := rec.Outcome != drill.OutcomeNoImpact && !never(rec.Upper) && rec.Upper > rec.Estimate.Estimate+atOnce
	if wide && found(r, "blind_stretch") {
		p.note(fmt.Sprintf("drill could not watch for a while: an outage until %s could have been missed.", seconds(rec.Upper)))
	}
	for _, text := range caveats(r) {
		p.note("! "+text, bold, yellow)
	}
	if rec.Blips.Count > 1 || rec.Blips.Count == 1 && rec.Outcome != drill.OutcomeNoImpact {
		p.note(blips(rec.Blips), dim)
	}
	if old(r) {
		p.note("Measured by the rules of format version 1: a single late answer counted as an outage.", dim)
	}
	if r.Run.Verdict == drill.VerdictInvalid {
		p.note("The run is invalid: do not rely on these numbers.", bold, yellow)
	}
}

// note is a line below the headline, wrapped.
func (p *page) note(text string, inks ...ink) {
	for _, l := range wrap(text, width-2) {
		p.line("  ", p.style.paint(l, inks...))
	}
}

// unhurt is the headline of a run in which clients lost nothing but blips.
func (p *page) unhurt(r drill.Report) {
	rec := r.Recovery
	none := "No outage was seen"
	if freshDiffers(rec) {
		none += " over open sessions"
	}
	missed := fmt.Sprintf("one shorter than %s could have been missed", seconds(rec.Upper))
	if rec.Blips.Count > 0 {
		missed = fmt.Sprintf("the longest blip took %s; %s", seconds(rec.Blips.Longest), missed)
	}
	p.line("  ", p.style.paint(none, bold), "; ", missed)
	if r.Primaries == nil {
		return
	}
	if r.Primaries.LeaderChanges == 0 {
		p.note("Nothing failed over: the same member leads.", bold)
	} else {
		p.note("Another member took over.", bold)
	}
}

// unrecovered is the headline of a run that ended before the last outage did.
func (p *page) unrecovered(r drill.Report, n nouns) {
	rec := r.Recovery
	verdict := r.Run.Verdict
	what, inks := n.clients+" never came back", []ink{bold, red}
	switch {
	case acknowledgedLate(rec):
		p.acknowledged(r, n)
		return
	case backAtTheEnd(rec) && verdict != drill.VerdictFailed:
		what, inks = fmt.Sprintf("%s %s back at the end, but watched too briefly", n.clients, n.was), []ink{bold}
	case verdict == drill.VerdictInterrupted || verdict == drill.VerdictError:
		what, inks = fmt.Sprintf("%s %s not back for good when the run ended", n.clients, n.was), []ink{bold}
	case verdict == drill.VerdictAborted:
		what = fmt.Sprintf("%s %s not back for good when the run was aborted", n.clients, n.was)
	case backAtTheEnd(rec) || rec.Flaps > 0 || partly(rec):
		what += " for good"
	}
	text := what + fmt.Sprintf("; last seen failing %s after the fault", seconds(rec.Lower))
	if columns(text) > width-2 {
		p.note(text, inks...)
		return
	}
	p.line("  ", p.style.paint(what, inks...), text[len(what):])
}

// backAtTheEnd reports whether the last outage had ended, though too late to call it the last one.
func backAtTheEnd(rec *drill.RecoveryReport) bool {
	n := len(rec.Outages)
	return n > 0 && !never(rec.Outages[n-1].Seconds)
}

// partly reports whether some requests were answered in time in the last outage.
func partly(rec *drill.RecoveryReport) bool {
	n := len(rec.Outages)
	return n > 0 && rec.Outages[n-1].Kind == drill.OutagePieces
}

// acknowledgedLate reports whether every request is answered again, but not in time.
func acknowledgedLate(rec *drill.RecoveryReport) bool {
	return rec.Answered != nil && never(rec.Estimate.Estimate) && !never(rec.Answered.Estimate)
}

// acknowledged is the headline of a target that is slower for ever, and not gone.
func (p *page) acknowledged(r drill.Report, n nouns) {
	rec := r.Recovery
	again, but := n.clients+" are acknowledged again", "but take"
	if r.Endpoints != nil {
		again, but = n.clients+" answers again", "but takes"
	}
	if after := rec.LateRatio.After; after != nil && *after < 0.95 {
		but = fmt.Sprintf("but %s of them take", share(after))
		if r.Endpoints != nil {
			but = fmt.Sprintf("but %s of the answers take", share(after))
		}
	}
	if rec.Answered.Estimate == 0 { // nothing was gone, not even for a while
		p.line("  ", n.clients, map[bool]string{true: " answers all the time, ", false: " are acknowledged all the time, "}[r.Endpoints != nil],
			p.style.paint(but+fmt.Sprintf(" longer than %s ever since", limitText(rec.UpWithin)), bold, red))
		return
	}
	when := []string{again, " after ", p.style.paint(seconds(rec.Answered.Estimate), bold), interval(*rec.Answered), ", "}
	but += fmt.Sprintf(" longer than %s ever since", limitText(rec.UpWithin))
	length := columns(again + " after " + seconds(rec.Answered.Estimate) + interval(*rec.Answered) + ", " + but)
	if length > width-2 {
		p.line("  ", when[0], when[1], when[2], when[3], ",")
		p.note(but, bold, red)
		return
	}
	p.line("  ", when[0], when[1], when[2], when[3], when[4], p.style.paint(but, bold, red))
}

// freshDiffers reports whether new connections fared so differently from pooled ones that one number cannot stand for
// both: never against some day, or an interval that lies wholly after the other.
func freshDiffers(rec *drill.RecoveryReport) bool {
	f, ok := rec.ByClass[drill.ClassFresh]
	if !ok || rec.HeadlineClass == drill.ClassFresh {
		return false
	}
	return never(f.Estimate) != never(rec.Estimate.Estimate) || f.Lower > rec.Upper
}

// fresh says how new connections fared where pooled ones fared otherwise.
func (p *page) fresh(rec *drill.RecoveryReport) {
	if !freshDiffers(rec) {
		return
	}
	f := rec.ByClass[drill.ClassFresh]
	switch {
	case never(f.Estimate):
		p.line("  ", p.style.paint("New connections never could write again", bold, red),
			fmt.Sprintf("; last seen failing %s after the fault", seconds(f.Lower)))
	case never(rec.Estimate.Estimate):
		p.line("  New connections could write after ", p.style.paint(seconds(f.Estimate), bold), interval(f))
	default:
		p.line("  New connections could write only after ", p.style.paint(seconds(f.Estimate), bold, red), interval(f))
	}
}

// atOnce is how soon an outage begins that needs no word about its beginning.
const atOnce = drill.Seconds(1)

// outWord says what clients were in an outage.
func outWord(k drill.OutageKind) string {
	switch k {
	case drill.OutageSlow:
		return "too slow"
	case drill.OutageReadOnly:
		return "read-only"
	case drill.OutagePieces:
		return "out in pieces"
	}
	return "out"
}

// outTimes says when clients were out, where the headline alone would read as one outage from the fault on.
func outTimes(r drill.Report, n nouns) string {
	all := r.Recovery.Outages
	if len(all) == 0 || acknowledgedLate(r.Recovery) {
		return ""
	}
	first, last := all[0], all[len(all)-1]
	spell := func(o drill.OutageReport) string {
		switch {
		case never(o.Seconds):
			return fmt.Sprintf("from %s on, to the end", seconds(o.Start))
		case len(r.Faults) > 1 && o.Fault != "":
			return fmt.Sprintf("for %s after %s", seconds(o.Seconds), clean(o.Fault))
		case o.Start <= atOnce:
			return fmt.Sprintf("for %s by the fault", seconds(o.Seconds))
		}
		return fmt.Sprintf("for %s from %s on", seconds(o.Seconds), seconds(o.Start))
	}
	was := outWord(first.Kind)
	was = strings.ToUpper(was[:1]) + was[1:]
	switch {
	case len(all) == 1 && first.Kind == drill.OutagePieces:
		return fmt.Sprintf("%s %s: %d %s failed or came late, with answers in time between them.",
			was, spell(first), first.DownSlots, n.many)
	case len(all) == 1 && first.Start <= atOnce:
		return ""
	case len(all) == 1:
		return fmt.Sprintf("%s %s.", was, spell(first))
	case len(all) == 2:
		again := "again"
		if last.Kind != first.Kind {
			again = outWord(last.Kind)
		}
		return fmt.Sprintf("%s %s, and %s %s.", was, spell(first), again, spell(last))
	case never(last.Seconds):
		return fmt.Sprintf("Out %d times, at last from %s on, to the end.", outageCount(r.Recovery), seconds(last.Start))
	}
	return fmt.Sprintf("Out %d times: the longest for %s, the last for %s from %s on.",
		outageCount(r.Recovery), seconds(r.Recovery.LongestOutage), seconds(last.Seconds), seconds(last.Start))
}

// slower reports whether the run found that answers are late more often than before.
func slower(r drill.Report) bool {
	late := r.Recovery.LateRatio
	return late.Before != nil && late.After != nil && !acknowledgedLate(r.Recovery) && found(r, "slower_than_before")
}

func found(r drill.Report, code string) bool {
	return slices.ContainsFunc(r.Findings, func(f drill.Finding) bool { return f.Code == code })
}

// caveats are what a passed or failed run says against the target in no objective: who reads only the verdict and the
// headline must not believe that all is well.
func caveats(r drill.Report) []string {
	var all []string
	judged := func(objective string) bool {
		return slices.ContainsFunc(r.Objectives, func(o drill.ObjectiveReport) bool { return o.Name == objective })
	}
	if !r.Run.Verdict.Measured() {
		return nil
	}
	rec := r.Recovery
	whole := rec.Redundancy == nil || !never(*rec.Redundancy) || never(rec.Estimate.Estimate)
	if !whole && !judged(drill.ObjectiveRedundancyTime) {
		all = append(all, "Redundancy never came back while drill watched: the next fault may be fatal.")
	}
	if w := r.Writes; w != nil && !judged(drill.ObjectiveLostWrites) {
		switch {
		case w.Lost == nil:
			all = append(all, "It is unknown whether acknowledged writes are lost.")
		case *w.Lost == 1:
			all = append(all, "1 acknowledged write is lost.")
		case *w.Lost > 1:
			all = append(all, fmt.Sprintf("%d acknowledged writes are lost.", *w.Lost))
		}
	}
	told := judged(drill.ObjectiveDualPrimary) ||
		slices.ContainsFunc(r.Run.Reasons, func(why drill.Reason) bool { return why.Code == "two_primaries" })
	if pr := r.Primaries; pr != nil && pr.DualPrimary > 0 && !told {
		all = append(all, fmt.Sprintf("Two members accepted writes at the same time, for %s.", seconds(pr.DualPrimary)))
	}
	return all
}

// blips counts what was too short to be an outage.
func blips(b drill.BlipsReport) string {
	if b.Count == 1 {
		return fmt.Sprintf("1 blip, %s", seconds(b.Longest))
	}
	return fmt.Sprintf("%s, %s together, the longest %s", plural(b.Count, "blip"), seconds(b.Seconds), seconds(b.Longest))
}

func outcome(o drill.RecoveryOutcome) string {
	switch o {
	case drill.OutcomeFailedOver:
		return "failed over to another member"
	case drill.OutcomeRestartedInPlace:
		return "the same member came back"
	case drill.OutcomeReplaced:
		return "others serve in the place of the victims"
	case "":
		return "the leader is unknown"
	}
	return string(o)
}
