package bank

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

// lab is where a row is played.
type lab string

const (
	virtual  lab = "V" // a scripted target in virtual time, through the whole runner
	loopback lab = "L" // a real PostgreSQL pair on loopback, through the whole runner
	kind     lab = "K" // a real cluster with a real database
)

// truth is what is right to say of a set-up. It follows from the script and from MEASURING.md, never from what drill
// said once.
type truth struct {
	verdict drill.Verdict
	code    string // of one of the reasons, and after a space its objective, if it has one
	cause   drill.Cause
	outcome drill.RecoveryOutcome // empty: not looked at
	back    float64               // after how many seconds clients were served for good: the published interval must hold it; 0: no claim
	finding string                // the code of a finding that must be there
	says    string                // what the reason must say in so many words
	holds   func(drill.Report) string
}

// row is one set-up with known truth.
type row struct {
	number int // even ones are those of research/verdicts.md, odd ones their neighbours
	lab    lab
	setup  string
	truth  truth
	play   func(t *testing.T) drill.Report
	known  string // why drill is known to be wrong about it; empty: it must be right
}

// judged is a row with what came of it.
type judged struct {
	row
	got   drill.Report
	wrong []string
}

// sort tells how a row is wrong; empty when it is right.
func (j judged) sort() string {
	switch got := j.got.Run.Verdict; {
	case len(j.wrong) == 0:
		return ""
	case got == j.truth.verdict:
		return "wrong cause"
	case got == drill.VerdictPassed:
		return "false pass"
	}
	return "false failure"
}

// judge compares a report with the truth.
func (r row) judge(rep drill.Report) judged {
	j := judged{row: r, got: rep}
	miss := func(format string, args ...any) { j.wrong = append(j.wrong, fmt.Sprintf(format, args...)) }
	want := r.truth
	if rep.Run.Verdict != want.verdict {
		miss("it is %s", want.verdict)
	}
	if reasons := codes(rep); want.code != "" && !slices.Contains(reasons, want.code) {
		miss("its reason is %s", want.code)
	}
	if got := measure.Cause(rep); got != want.cause {
		miss("its cause is %s, not %s", or(want.cause), or(got))
	}
	if rec := rep.Recovery; rec != nil {
		if want.outcome != "" && rec.Outcome != want.outcome {
			miss("the outcome is %s, not %s", want.outcome, rec.Outcome)
		}
		const grain = 1e-6
		lower, upper := float64(rec.Lower), float64(rec.Upper)
		if want.back != 0 && (want.back < lower-grain || want.back > upper+grain) {
			miss("clients were back after %.2f s, not in [%.2f, %.2f]", want.back, lower, upper)
		}
	} else if want.outcome != "" || want.back != 0 {
		miss("nothing was measured")
	}
	if want.finding != "" && !slices.ContainsFunc(rep.Findings, func(f drill.Finding) bool { return f.Code == want.finding }) {
		miss("the finding %s is not told", want.finding)
	}
	if want.says != "" && !slices.ContainsFunc(rep.Run.Reasons, func(x drill.Reason) bool { return strings.Contains(x.Text, want.says) }) {
		miss("no reason says %q", want.says)
	}
	if want.holds != nil {
		if why := want.holds(rep); why != "" {
			miss("%s", why)
		}
	}
	return j
}

// codes are the reasons' codes, each with its objective.
func codes(rep drill.Report) []string {
	var all []string
	for _, r := range rep.Run.Reasons {
		all = append(all, strings.TrimSpace(r.Code+" "+r.Objective))
	}
	return all
}

func or(c drill.Cause) drill.Cause { return cmp.Or(c, "none") }

// never is the truth of clients who were not served again while drill watched.
var never = math.Inf(1)

// sheet is the table of what came of all rows.
type sheet struct{ all []judged }

// run plays rows one after the other and adds them to the sheet. A row that is not known to be wrong must be right.
func (s *sheet) run(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(fmt.Sprintf("%s%d", r.lab, r.number), func(t *testing.T) {
			j := r.judge(r.play(t))
			s.all = append(s.all, j)
			switch {
			case len(j.wrong) > 0 && r.known == "":
				t.Errorf("%s: %s: %s\n%s", j.sort(), r.setup, strings.Join(j.wrong, "; "), told(j.got))
			case len(j.wrong) == 0 && r.known != "":
				t.Errorf("%s is right by now, and no longer known to be wrong: %s", r.setup, r.known)
			}
		})
	}
}

// told is what a report says of a run, in a few lines.
func told(rep drill.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  verdict %s", rep.Run.Verdict)
	if rec := rep.Recovery; rec != nil {
		fmt.Fprintf(&b, ", %s, %.3f s [%.3f, %.3f], L %.3f s, flaps %d, blips %+v, late %s", rec.Outcome,
			rec.Estimate.Estimate, rec.Lower, rec.Upper, rec.UpWithin, rec.Flaps, rec.Blips, ratios(rec.LateRatio))
		for _, o := range rec.Outages {
			fmt.Fprintf(&b, "\n  outage %+v", o)
		}
		if a := rec.Answered; a != nil {
			fmt.Fprintf(&b, "\n  answered %+v", *a)
		}
		fmt.Fprintf(&b, "\n  by class %+v", rec.ByClass)
		for _, p := range rec.Phases {
			fmt.Fprintf(&b, "\n  phase %+v", p)
		}
	}
	if p := rep.Primaries; p != nil {
		fmt.Fprintf(&b, "\n  primaries: dual %.2f s, zombie tail %.2f s, %d changes, %d forks", p.DualPrimary, p.ZombieTail, p.LeaderChanges, p.EpochForks)
	}
	for _, r := range rep.Run.Reasons {
		fmt.Fprintf(&b, "\n  reason %s %s: %s", r.Code, r.Objective, r.Text)
	}
	for _, f := range rep.Findings {
		fmt.Fprintf(&b, "\n  finding %s: %s", f.Code, f.Text)
	}
	return b.String()
}

func ratios(l drill.LateRatio) string {
	text := func(r *float64) string {
		if r == nil {
			return "-"
		}
		return fmt.Sprintf("%.4f", *r)
	}
	return text(l.Before) + " -> " + text(l.After)
}

// String is the table and its score.
func (s *sheet) String() string {
	var b strings.Builder
	line := func(number, lab, setup, want, got, ok string) {
		fmt.Fprintf(&b, "%4s %-3s %-76s %-46s %-46s %s\n", number, lab, setup, want, got, ok)
	}
	line("#", "lab", "set-up", "right", "drill says", "")
	score := map[string]int{}
	var known []string
	for _, j := range s.all {
		w, ok := j.truth, "ok"
		if sort := j.sort(); sort != "" {
			ok = strings.ToUpper(sort)
			if j.known != "" {
				ok = "known: " + sort
				known = append(known, fmt.Sprintf("  %d: %s", j.number, j.known))
			}
			score[sort]++
		}
		want := fmt.Sprintf("%s %s %s", w.verdict, or2(w.code), or(w.cause))
		got := fmt.Sprintf("%s %s %s", j.got.Run.Verdict, or2(theirs(j.got, w.code)), or(measure.Cause(j.got)))
		line(fmt.Sprint(j.number), string(j.lab), j.setup, short(want), short(got), ok)
	}
	if len(known) > 0 {
		fmt.Fprintf(&b, "known to be wrong:\n%s\n", strings.Join(known, "\n"))
	}
	fmt.Fprintf(&b, "false passes / false failures / wrong cause: %d / %d / %d of %d rows",
		score["false pass"], score["false failure"], score["wrong cause"], len(s.all))
	return b.String()
}

// theirs is the reason to show: the right one if it is there, and else the first.
func theirs(rep drill.Report, right string) string {
	all := codes(rep)
	if slices.Contains(all, right) {
		return right
	}
	if len(all) > 0 {
		return all[0]
	}
	return ""
}

func or2(code string) string {
	return cmp.Or(strings.ReplaceAll(code, "objective_missed ", ""), "-")
}

func short(s string) string {
	if len(s) > 46 {
		return s[:45] + "…"
	}
	return s
}
