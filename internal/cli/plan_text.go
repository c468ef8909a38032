package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/report"
)

// planWidth is the most columns that a line of the plan takes.
const planWidth = 100

// sheet is a text for a terminal, in lines of at most planWidth columns.
type sheet struct{ strings.Builder }

func (s *sheet) title(format string, args ...any) {
	if s.Len() > 0 {
		s.WriteByte('\n')
	}
	fmt.Fprintf(s, format+"\n", args...)
}

// item writes a text behind a lead; its further lines stand below its first word.
func (s *sheet) item(lead, format string, args ...any) {
	text := report.Wrap(fmt.Sprintf(format, args...), planWidth-len([]rune(lead)))
	for i, line := range text {
		if i > 0 {
			lead = strings.Repeat(" ", len([]rune(lead)))
		}
		s.WriteString(strings.TrimRight(lead+line, " ") + "\n")
	}
}

// column is a text of exactly n columns, cut with an ellipsis where it is longer.
func column(text string, n int) string {
	r := []rune(report.Clean(text))
	if len(r) > n-1 {
		r = append(r[:n-2], '…')
	}
	return string(r) + strings.Repeat(" ", n-len(r))
}

// text is the plan for people.
func (p *plan) text() string {
	s := &sheet{}
	s.title("Plan of drill %q (%s) on cluster %s", p.Drill, report.Clean(p.File), report.Clean(p.Cluster))
	if p.Description != "" {
		s.item("  ", "%s", p.Description)
	}
	if len(p.Inputs.Variables) > 0 {
		s.item("  ", "with %s", report.Variables(p.Inputs.Variables))
	}
	if names := slices.Concat(p.Inputs.Env, p.Inputs.Files); len(names) > 0 {
		s.item("  ", "with the values of %s, which are not shown", strings.Join(names, ", "))
	}
	p.targetsText(s)
	p.faultsText(s)
	p.timingText(s)
	p.rulesText(s)
	p.guardsText(s)
	p.endText(s)
	return s.String()
}

func (p *plan) targetsText(s *sheet) {
	for _, t := range p.Targets {
		how := ""
		if t.Views != nil {
			how = "; roles are by label, and a run asks each of them"
		}
		s.title("Target %q (%s): %s%s", t.Name, t.Kind, count(len(t.Members), "member"), how)
		rows := make([]planRow, len(t.Members))
		for i, m := range t.Members {
			rows[i] = memberRow(m)
		}
		s.table(rows)
		if t.Views != nil && len(t.Views.Service) > 0 {
			s.item("  ", "The Service leads to %s.", names(t.Views.Service))
		}
		if r := t.Serving; r != nil {
			s.item("  ", "%d desired, %d ready, %d behind the Service.", r.Desired, len(r.Ready), len(r.Endpoints))
			for _, b := range r.Budgets {
				s.item("  ", "PodDisruptionBudget %s (%s) covers %d of them, and allows %s now.", b.Name, b.Rule, b.Covers, count(b.Allowed, "eviction"))
			}
		}
	}
	if len(p.Probes) > 0 {
		s.title("Probes beside the targets' own; each must work before the fault")
	}
	for _, i := range p.Probes {
		s.item("  ", "%s %q, every %s", i.Kind, i.Name, span(i.Every))
	}
}

// planRow is an object in a table.
type planRow struct{ who, node, zone, uid string }

func memberRow(m drill.Member) planRow {
	who := m.Namespace + "/" + m.Name
	if m.Role != drill.RoleUnknown && m.Role != "" {
		who += fmt.Sprintf(" (%s)", m.Role)
	}
	return planRow{who, m.Node, m.Zone, m.UID}
}

// table writes rows in columns, or each on two lines where their names are too long for that.
func (s *sheet) table(rows []planRow) {
	if len(rows) == 0 {
		return
	}
	rows = append([]planRow{{"pod", "node", "zone", "uid"}}, rows...)
	var w [4]int
	for _, r := range rows {
		for i, text := range []string{r.who, r.node, r.zone, r.uid} {
			w[i] = max(w[i], len([]rune(text)))
		}
	}
	if 2+w[0]+2+w[1]+2+w[2]+2+w[3] <= planWidth {
		for _, r := range rows {
			line := fmt.Sprintf("  %-*s  %-*s  %-*s  %s", w[0], report.Clean(r.who), w[1], report.Clean(r.node), w[2], report.Clean(r.zone), report.Clean(r.uid))
			s.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		return
	}
	for _, r := range rows[1:] {
		s.item("  ", "%s", r.who)
		var rest []string
		for _, part := range []struct{ what, value string }{{"node", r.node}, {"zone", r.zone}, {"uid", r.uid}} {
			if part.value != "" {
				rest = append(rest, part.what+" "+part.value)
			}
		}
		s.item("      ", "%s", strings.Join(rest, ", "))
	}
}

// victims writes whom the faults hurt, and on which nodes.
func (p *plan) victims(s *sheet) {
	var rows []planRow
	for i, f := range p.Faults {
		for _, v := range f.Victims {
			r := memberRow(v)
			if len(p.Faults) > 1 {
				r.who = fmt.Sprintf("%d. %s", i+1, r.who)
			}
			rows = append(rows, r)
		}
	}
	for _, n := range p.Nodes {
		who := "node " + n.Name
		if n.Cordoned {
			who += " (cordoned already)"
		}
		rows = append(rows, planRow{who, "", n.Zone, n.UID})
	}
	if len(rows) > 0 {
		s.title("The victims, and the nodes that the faults are on, as of now")
		s.table(rows)
	}
}

func (p *plan) faultsText(s *sheet) {
	s.title("What is broken, in this order (T is the first injection)")
	for i, f := range p.Faults {
		at := "T"
		if f.At > 0 {
			at = "T+" + span(f.At)
		}
		lead := fmt.Sprintf("  %d. ", i+1)
		if f.NotNow != "" {
			s.item(lead, "%s %q at %s cannot be planned: %s", f.Kind, f.Name, at, f.NotNow)
			continue
		}
		s.item(lead, "%s %q at %s: %s.", f.Kind, f.Name, at, strings.TrimSuffix(f.Sentence, "."))
		if i > 0 {
			s.item("     ", "Whom it meets is looked up again when its turn comes; should that be somebody else by then, it is planned anew, and may hurt no more members than here.")
		}
		for _, b := range f.Beside {
			s.item("     beside the victims: ", "%s", b)
		}
		s.item("     undo: ", "%s", f.Undo)
		for _, h := range []struct{ lost, by string }{
			{"an agent is killed", f.Heals.AgentKilled}, {"an agent hangs", f.Heals.AgentHung}, {"the runner is lost", f.Heals.RunnerLost},
			{"the API server is lost", f.Heals.APIServerLost}, {"the node is lost", f.Heals.NodeLost},
		} {
			if h.by != "" {
				s.item("     if "+h.lost+": ", "%s", h.by)
			}
		}
	}
	p.victims(s)
	if len(p.Faults) > 1 {
		s.item("  ", "Where a fault changed who the victims of a later one are, those are found anew at its turn. They are never more than here.")
	}
	s.title("What drill makes for it")
	for _, m := range p.Makes {
		s.item("  - ", "%s", m)
	}
}

func (p *plan) timingText(s *sheet) {
	t := p.Timing
	s.title("When, at the earliest")
	for _, line := range t.picture(p.Faults) {
		s.WriteString("  " + line + "\n")
	}
	if t.Hold > 0 {
		s.item("  ", "Before T the steady state must hold for %s without a break; a run that does not see that within %s is refused.", span(t.Hold), span(t.SteadyTimeout))
	}
	if t.Stagger > 0 {
		s.item("  ", "Then a random delay of up to %s.", span(t.Stagger))
	}
	if t.Delay > 0 {
		s.item("  ", "The first fault comes %s after that.", span(t.Delay))
	}
	for i, f := range p.Faults {
		if f.Hold > 0 {
			s.item("  ", "T+%s: fault %d is reverted.", span(f.At+f.Hold), i+1)
		}
	}
	s.item("  ", "T+%s: the earliest end of the observation; it goes on until clients have been without an outage for 10s. Then redundancy is waited for, and what members hold is read back.", span(t.Observed))
	if t.Blip != inSeconds(drill.DefaultBlip) {
		s.item("  ", "An outage is %s or more without timely answers, in a row or within a second. What is less is a blip, and counted beside.", span(t.Blip))
	}
	s.item("  ", "%s after its beginning the run ends in any case, and everything is put back.", span(t.Timeout))
	if t.Trials > 1 {
		s.item("  ", "All this %d times, one run after the other, each from its own steady state.", t.Trials)
	}
}

func (p *plan) rulesText(s *sheet) {
	list := func(title string, rules []plannedRule, broken string) {
		if len(rules) == 0 {
			return
		}
		s.title("%s", title)
		for _, r := range rules {
			switch r.State {
			case stateHolds:
				s.item("  holds    ", "%s", r.Condition)
			case stateBroken:
				s.item("  broken   ", "%s", r.Condition)
				s.item("           ", "%s %s", sentence(r.Message), broken)
			default:
				s.item("  runner   ", "%s", r.Condition)
			}
		}
	}
	list("Preconditions (runner: its values are known in the run only)", p.Preconditions, "The run would be refused.")
	list("Steady state (runner: its values are known in the run only)", p.SteadyState, "A run waits for it.")
	if len(p.Aborts) == 0 {
		s.title("Abort conditions: none. Only its timeout, or a person, ends the run early.")
		return
	}
	s.title("Abort conditions")
	for _, a := range p.Aborts {
		s.item("  "+a.Name+": ", "%s%s", a.Condition, a.terms())
	}
	s.item("  ", "An abort ends the run at once and does what each undo above says, the newest fault first. What was lost until then stays lost.")
}

// terms says when an abort condition counts.
func (r plannedRule) terms() string {
	var parts []string
	if r.For > 0 {
		parts = append(parts, "for "+span(r.For))
	}
	if r.Grace > 0 {
		parts = append(parts, "not in the first "+span(r.Grace)+" after T")
	}
	if r.OnUnknown == drill.UnknownBreach {
		parts = append(parts, "also while a value has no reading")
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

func (p *plan) guardsText(s *sheet) {
	s.title("Guards and rights, now")
	for _, g := range p.Guards {
		s.item(fmt.Sprintf("  %-9s", g.State), "%s", g.Text)
	}
	for _, r := range p.Rights {
		who := map[string]string{"you": "You", "runner": "The runner"}[r.Who]
		if r.User != "" {
			who += " (" + r.User + ")"
		}
		switch {
		case r.Unknown != "":
			s.item("  unknown  ", "%s: %s.", who, r.Unknown)
		case len(r.Missing) > 0:
			s.item("  missing  ", "%s may not %s.", who, strings.Join(r.Missing, ", nor "))
		default:
			s.item("  holds    ", "%s may do all %d things that are needed.", who, r.Needed)
		}
	}
}

func (p *plan) endText(s *sheet) {
	if len(p.Unknown) > 0 {
		s.title("Not known from here")
		for _, u := range p.Unknown {
			s.item("  - ", "%s", u)
		}
	}
	blind := slices.ContainsFunc(p.Faults, func(f plannedFault) bool { return f.NotNow != "" })
	switch {
	case len(p.Refused) > 0:
	case blind:
		s.title("Nothing that can be seen from here keeps a run from starting. Nothing was touched.")
		return
	default:
		s.title("A run could start now. Nothing was touched.")
		return
	}
	s.title("A run would be refused now. Nothing was touched.")
	for _, r := range p.Refused {
		s.item("  - ", "%s", r)
	}
}
