package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// Text writes the report for people, the verdict first, in at most 100 columns. What is not known is called unknown,
// and what never happened never.
func Text(w io.Writer, r drill.Report, o Style) error {
	p := &page{style: o}
	p.header(r)
	p.headline(r)
	p.reasons(r.Run)
	p.expected(r.Run)
	p.faults(r.Faults)
	if r.Recovery != nil {
		p.phases(r.Recovery.Phases)
		p.recovery(r)
	}
	// A refused run has mostly measured nothing, which the list of what is unknown says once.
	refused := r.Run.Verdict == drill.VerdictRefused
	if r.Endpoints == nil {
		p.ledger(r, refused)
	} else if !refused {
		p.endpoints(r.Endpoints)
	}
	if r.Invariants != nil && !refused {
		p.invariants(r.Invariants)
	}
	if !refused {
		p.objectives(r.Objectives)
	}
	p.probes(r.Probes)
	p.findings(r)
	if r.Run.Trials > 1 {
		p.statistics(r.Statistics)
	}
	return p.to(w)
}

// ledger is what drill's own writes told, of a target that takes them.
func (p *page) ledger(r drill.Report, refused bool) {
	if r.Writes != nil || !refused {
		p.writes(r.Writes)
	}
	if r.ReplicationLag != nil || !refused {
		p.lag(r.ReplicationLag)
	}
	if r.Primaries != nil || !refused {
		p.primaries(r.Primaries)
	}
}

// page gathers the text.
type page struct {
	bytes.Buffer
	style Style
}

// to writes the page out.
func (p *page) to(w io.Writer) error {
	if _, err := w.Write(p.Bytes()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (p *page) line(parts ...string) {
	p.WriteString(strings.TrimRight(strings.Join(parts, ""), " ") + "\n")
}

// section begins a part of the page.
func (p *page) section(title string) {
	p.line()
	p.line("  ", p.style.paint(title, bold))
}

// item writes a text under a mark, wrapped.
func (p *page) item(mark, text string) {
	for i, l := range wrap(text, width-6) {
		if i > 0 {
			mark = strings.Repeat(" ", 1)
		}
		p.line("    ", mark, " ", l)
	}
}

// label is the width of a row's name.
const label = 16

// row writes a name and what there is to say of it, wrapped.
func (p *page) row(name, text string, inks ...ink) {
	for i, l := range wrap(text, width-label-4) {
		if i > 0 {
			name = ""
		}
		p.line("    ", p.style.paint(pad(name, label), dim), p.style.paint(l, inks...))
	}
}

var verdictInk = map[drill.Verdict]ink{
	drill.VerdictPassed: green, drill.VerdictFailed: red, drill.VerdictError: red,
}

func (p *page) header(r drill.Report) {
	verdict := strings.ToUpper(string(r.Run.Verdict))
	color, ok := verdictInk[r.Run.Verdict]
	if !ok {
		color = yellow
	}
	// The run's id is what one needs to find the record again: it is never cut.
	id := clean(r.Run.ID)
	name := clean(r.Run.Drill)
	room := width - columns(verdict) - 2
	if columns(name)+2+columns(id) <= room {
		gap := strings.Repeat(" ", room-columns(name)-columns(id))
		p.line(p.style.paint(verdict, bold, color), "  ", p.style.paint(name, bold), gap, p.style.paint(id, dim))
	} else {
		p.line(p.style.paint(verdict, bold, color), "  ", p.style.paint(pad(name, min(columns(name), room)), bold))
		for _, l := range wrap(id, width-2) {
			p.line("  ", p.style.paint(l, dim))
		}
	}
	if r.Run.Trials > 1 || r.Run.Stagger != nil {
		p.line("  ", fmt.Sprintf("trial %d of %d%s", r.Run.Trial, r.Run.Trials, delayed(r.Run)))
	}
	if len(r.Run.Variables) > 0 {
		for _, l := range wrap("with "+Variables(r.Run.Variables), width-2) {
			p.line("  ", p.style.paint(l, dim))
		}
	}
}

// delayed tells of the random delay before the fault.
func delayed(run drill.RunReport) string {
	if run.Stagger == nil {
		return ""
	}
	return ", after a random delay of " + seconds(*run.Stagger)
}

func (p *page) reasons(run drill.RunReport) {
	if len(run.Reasons) == 0 {
		return
	}
	p.line()
	color := yellow
	if run.Verdict == drill.VerdictFailed || run.Verdict == drill.VerdictError {
		color = red
	}
	for _, r := range run.Reasons {
		mark := p.style.paint("✗", color)
		if r.Code == "residue" {
			mark = p.style.paint("!", bold, red)
		}
		text := r.Text
		if text == "" {
			text = strings.ReplaceAll(r.Code, "_", " ")
		}
		p.item(mark, text)
	}
	if what := causeText[cause(run)]; what != "" {
		p.line("    ", p.style.paint("Cause: "+what, dim))
	}
}

// causeText says what must be mended.
var causeText = map[drill.Cause]string{
	drill.CauseSplit:      "split: two members took writes",
	drill.CauseLoss:       "loss: what was acknowledged is not what is there",
	drill.CauseFresh:      "fresh: new connections were served later than open sessions, or never",
	drill.CauseRelapse:    "relapse: clients were served again, and then lost it",
	drill.CauseServe:      "serve: the member that clients reach answers too late, or only a part of the requests",
	drill.CauseRoute:      "route: clients were led to a member that cannot serve them",
	drill.CausePromote:    "promote: the failure was detected, and no member took over, or it did so late",
	drill.CauseDetect:     "detect: the failure was not detected, or late",
	drill.CauseMembership: "membership: a lost member did not come back, or late",
	drill.CauseLag:        "lag: a replica was behind, or its lag is unknown",
}

// cause is the gravest of the reasons' causes.
func cause(run drill.RunReport) drill.Cause {
	for _, c := range drill.Causes() {
		if slices.ContainsFunc(run.Reasons, func(r drill.Reason) bool { return r.Cause == c }) {
			return c
		}
	}
	return drill.CauseNone
}

// expected is what the drill's file says of itself. It stands below the result and names its source: among the first
// lines "no acknowledged write is lost" would read as a result.
func (p *page) expected(run drill.RunReport) {
	if run.Description == "" {
		return
	}
	p.line()
	for _, l := range wrap("The drill expects: "+run.Description, width-2) {
		p.line("  ", p.style.paint(l, dim))
	}
}

func (p *page) faults(faults []drill.FaultReport) {
	if len(faults) == 0 {
		return
	}
	several := len(faults) > 1
	if several {
		p.section("Faults, in this order")
	} else {
		p.section("Fault")
	}
	for i, f := range faults {
		var victims []string
		for _, v := range f.Victims {
			at := v.Name
			if v.Node != "" {
				at += " on " + v.Node
			}
			victims = append(victims, at)
		}
		text := f.Name
		if f.Method != "" {
			text += ", " + f.Method
		}
		text += ": " + strings.Join(victims, ", ")
		if len(f.Spared) > 0 {
			text += "; of these spared: " + strings.Join(memberNames(f.Spared), ", ")
		}
		if f.InjectedOffset == nil {
			p.row(f.Kind, text+"; not injected")
			p.residue(f) // of its preparation, or of an injection that failed
			continue
		}
		text += fmt.Sprintf("; injected at %s", seconds(*f.InjectedOffset))
		switch {
		case !f.Confirmed:
			text += "; not confirmed"
		case f.ConfirmedBy != "":
			text += "; confirmed: " + f.ConfirmedBy
		default:
			text += "; confirmed"
		}
		switch {
		case f.Reverted && several && f.RevertedOffset != nil:
			text += "; reverted at " + seconds(*f.RevertedOffset)
		case f.Reverted:
			text += "; reverted"
		default:
			text += "; NOT reverted"
		}
		if several {
			next := slices.ContainsFunc(faults[i+1:], func(f drill.FaultReport) bool { return f.InjectedOffset != nil })
			text += aftermath(f, !next)
		}
		p.row(f.Kind, text)
		p.residue(f)
	}
}

func (p *page) residue(f drill.FaultReport) {
	if len(f.Residue) > 0 {
		p.row("residue", strings.Join(f.Residue, "; "), bold, red)
	}
}

// aftermath is how the target came back from one of several faults; last says that no other was injected after it.
func aftermath(f drill.FaultReport, last bool) string {
	switch {
	case f.Recovery == nil && last:
		return ""
	case f.Recovery == nil:
		return "; the next one came before it was over"
	case never(f.Recovery.Estimate):
		return "; never back for good"
	case f.Recovery.Estimate == 0:
		return "; no outage was seen"
	}
	return fmt.Sprintf("; back %s after it [%s, %s]", seconds(f.Recovery.Estimate), number(f.Recovery.Lower), number(f.Recovery.Upper))
}

func memberNames(ms []drill.Member) []string {
	var names []string
	for _, m := range ms {
		names = append(names, m.Name)
	}
	return names
}

// bar is the width of the longest possible phase.
const bar = 20

func (p *page) phases(phases []drill.Phase) {
	if len(phases) == 0 {
		return
	}
	var total drill.Seconds
	for _, ph := range phases {
		total += ph.Seconds
	}
	p.line()
	p.line("  ", p.style.paint(pad("Phase", label+2), bold), p.style.paint(right("took", 10)+right("until", 11), dim))
	fault := ""
	for _, ph := range phases {
		if ph.Fault != "" && ph.Fault != fault {
			fault = ph.Fault
			p.line("    ", p.style.paint(clean("after "+fault), dim))
		}
		name := strings.ReplaceAll(ph.Name, "_", " ")
		cells := 0
		if total > 0 {
			cells = int(math.Round(bar * float64(ph.Seconds/total)))
		}
		indent := label + 4 + 10 + 11 + 2 + bar + 2
		lines := append(wrap(ph.Signal, width-indent), "")
		p.line("    ", pad(name, label), right(seconds(ph.Seconds), 10), right(seconds(ph.Start+ph.Seconds), 11), "  ",
			p.style.paint(strings.Repeat("█", cells), dim), strings.Repeat(" ", bar-cells), "  ", lines[0])
		for _, l := range lines[1:] {
			if l != "" {
				p.line(strings.Repeat(" ", indent), l)
			}
		}
	}
}

// recovery is what stands beside the headline.
func (p *page) recovery(r drill.Report) {
	rec := r.Recovery
	p.line()
	p.row("redundancy", known(rec.Redundancy), tone(rec.Redundancy != nil && never(*rec.Redundancy)))
	if old(r) {
		p.row("unavailable", fmt.Sprintf("%s in all, of that %s answered too late or read-only; %s",
			seconds(rec.Unavailable), seconds(rec.Degraded), plural(rec.Flaps, "relapse")))
	} else {
		p.unavailable(rec)
	}
	for _, class := range []drill.Class{drill.ClassFresh, drill.ClassPooled} {
		if e, ok := rec.ByClass[class]; ok && class != rec.HeadlineClass {
			p.row(className(class), classTime(e))
		}
	}
	p.outages(rec, len(r.Faults) > 1)
}
