package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/report"
)

// view shows a run while it goes on, and its report at the end.
type view interface {
	Observe(drill.Event)
}

// newView returns the view for --output: json is one event a line on standard output, text is for people.
func newView(env *Env, output string) view {
	if output == "json" {
		return &jsonView{w: env.Stdout}
	}
	return &textView{env: env}
}

// jsonView writes every event as a line, without the slots, which only the record has.
type jsonView struct{ w io.Writer }

func (v *jsonView) Observe(e drill.Event) {
	if e.Type == drill.EventSamples || e.Type == drill.EventReadBack {
		return
	}
	line, err := json.Marshal(e)
	if err != nil {
		line, _ = json.Marshal(drill.Event{Seq: e.Seq, At: e.At, Type: e.Type, Text: "event cannot be written: " + err.Error()})
	}
	_, _ = v.w.Write(append(line, '\n'))
}

// textView writes one line per change of state. The progress line is rewritten in place on a terminal, and otherwise
// written now and then, so that a log shows that the run is alive.
type textView struct {
	env      *Env
	brief    bool // whoever made it shows the report
	progress bool // the cursor stands behind a progress line
	shown    drill.Offset
}

// progressEvery is how often the progress is written where it cannot be rewritten.
const progressEvery = 10 * time.Second

func (v *textView) Observe(e drill.Event) {
	switch e.Type {
	case drill.EventProgress:
		v.showProgress(e)
	case drill.EventReport:
		v.clear()
		if v.brief {
			return
		}
		style := report.Style{Color: v.env.color(v.env.Stdout)}
		fmt.Fprintln(v.env.Stderr)
		_ = report.Text(v.env.Stdout, *e.Report, style)
	default:
		for _, line := range lines(e) {
			v.clear()
			indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
			fmt.Fprintf(v.env.Stderr, "%7.1fs  %s%s\n", e.At.Seconds(), indent, drill.Clean(line))
		}
	}
}

func (v *textView) showProgress(e drill.Event) {
	if v.env.TTY {
		fmt.Fprintf(v.env.Stderr, "\r\033[K%7.1fs  %s", e.At.Seconds(), drill.Clean(e.Text))
		v.progress = true
		return
	}
	if e.At.Sub(v.shown) >= progressEvery {
		v.shown = e.At
		v.env.status("%7.1fs  … %s", e.At.Seconds(), e.Text)
	}
}

// clear removes a progress line, so that the next line stands alone.
func (v *textView) clear() {
	if v.progress {
		fmt.Fprint(v.env.Stderr, "\r\033[K")
		v.progress = false
	}
}

// stepTexts says what a step does.
var stepTexts = map[drill.Step]string{
	drill.StepPlan:       "Planning: finding the members and the victim",
	drill.StepPrepare:    "Preparing the fault; nothing is touched yet",
	drill.StepProbes:     "Starting probes",
	drill.StepConditions: "Judging the preconditions",
	drill.StepSteady:     "Waiting for the steady state",
	drill.StepHold:       "The steady state holds: taking the baseline",
	drill.StepInject:     "Injecting",
	drill.StepObserve:    "Watching what clients see",
	drill.StepRevert:     "Putting back what is left to put back",
	drill.StepRedundancy: "Waiting for every member to be back and caught up",
	drill.StepReadBack:   "Reading the ledger back from every member",
}

// lines is an event for people; most have one line, some none.
func lines(e drill.Event) []string {
	switch e.Type {
	case drill.EventStep:
		return []string{cmp.Or(e.Text, stepTexts[e.Step])}
	case drill.EventPlan:
		var out []string
		for _, p := range e.Plans {
			out = append(out, "  will: "+p.Sentence, "  undo: "+p.Undo)
		}
		return out
	case drill.EventFault:
		f := e.Fault
		text := fmt.Sprintf("Fault %s %q: %s", f.Kind, f.Name, f.State)
		if f.By != "" {
			text += " (" + f.By + ")"
		}
		if len(f.Residue) > 0 {
			text += ": " + strings.Join(f.Residue, "; ")
		}
		return []string{text}
	case drill.EventViews:
		v := e.Views
		return []string{fmt.Sprintf("Primary by label %s, by service %s, by its own word %s", names(v.Label), names(v.Service), names(v.Member))}
	case drill.EventMembers:
		return []string{readiness(*e.Readiness)}
	case drill.EventRule:
		return ruling(*e.Rule)
	case drill.EventFinding:
		return []string{e.Finding.Severity + ": " + e.Finding.Text}
	default: // why the run ended is the report's to say
		return nil
	}
}

// ruling is what an abort condition or a precondition says; whether an objective was met is the report's to say.
func ruling(r drill.RuleChange) []string {
	switch {
	case r.Kind == drill.RulePrecondition && r.Truth == drill.True:
		return []string{fmt.Sprintf("Precondition %q holds", r.Name)}
	case r.Kind != drill.RuleAbort || r.Truth != drill.True && !r.Breach:
		return nil // that a precondition does not hold is why the run is refused
	case r.Fired:
		return []string{fmt.Sprintf("Abort condition %q fires: %s", r.Name, r.Message)}
	case r.Grace > r.Since:
		return []string{fmt.Sprintf("Abort condition %q holds, and does not count before %.1f s: %s", r.Name, r.Grace.Seconds(), r.Message)}
	}
	return []string{fmt.Sprintf("Abort condition %q holds: %s", r.Name, r.Message)}
}

func readiness(r drill.Readiness) string {
	var led []string
	for _, m := range r.Endpoints {
		led = append(led, m.Name)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d endpoints ready, %d pods Ready", len(r.Endpoints), r.Desired, len(r.Ready))
	for _, b := range r.Budgets {
		fmt.Fprintf(&text, ", budget %s allows %d", b.Name, b.Allowed)
	}
	return text.String() + ": " + names(led)
}

func names(members []string) string {
	if len(members) == 0 {
		return "none"
	}
	return strings.Join(members, "+")
}
