package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/report"
	"github.com/failoverdrill/drill/internal/schedule"
)

func scheduleListCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var output string
	c := &cobra.Command{
		Use: "list", Short: "Show the scheduled drills: when they run next, what came of the last run, what was missed",
		Long: `Show every scheduled drill, with its next time in your time zone, the verdict of its newest run, and how many due times had no
run since it was installed. What is wrong with a schedule is said below.`,
		Example: "  drill schedule list\n  drill schedule list --output json | jq -r '.schedules[] | .drill, .next'",
		Args:    exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			list, err := listSchedules(c.Context(), client)
			if err != nil {
				return err
			}
			return list.show(env.Stdout, output, time.Now())
		},
	}
	cluster.add(c)
	outputFlag(c, &output)
	return c
}

// scheduleList is what drill schedule list shows.
type scheduleList struct {
	Schedules []listedSchedule         `json:"schedules"`
	Problems  []schedule.SourceProblem `json:"problems"`
}

type listedSchedule struct {
	schedule.Entry
	Verdict    drill.Verdict `json:"verdict,omitempty"` // of the newest run, or the worst of its trials; empty while it goes on, or when its record is gone
	InProgress bool          `json:"in_progress"`
}

func listSchedules(ctx context.Context, client *kube.Client) (*scheduleList, error) {
	runs, err := kube.NewRuns(client.Dynamic, kube.Namespace).ListScheduled(ctx)
	if err != nil {
		return nil, err
	}
	store := kube.NewSchedules(client, kube.Namespace)
	installed, err := store.List(ctx)
	if err != nil {
		return nil, err
	}
	book, err := readBook(ctx, store)
	if err != nil {
		return nil, err
	}
	list := &scheduleList{Schedules: []listedSchedule{}, Problems: append([]schedule.SourceProblem{}, book.Problems...)}
	for _, e := range book.Entries {
		one := listedSchedule{Entry: e}
		one.Problem = e.Trouble(time.Now())
		if at := e.Overdue(time.Now()); !at.IsZero() && one.Problem == "" && !e.Paused {
			one.Problem = fmt.Sprintf("it was due at %s, and nothing has happened. Does drill's server run? See: kubectl -n %s get pods",
				at.Local().Format("2 Jan 15:04 MST"), kube.Namespace)
		}
		one.Verdict, one.InProgress = cameOf(runs, e)
		list.Schedules = append(list.Schedules, one)
	}
	for _, cm := range installed {
		source := kube.ScheduleSource(cm.Name)
		if !slices.ContainsFunc(book.Entries, func(e schedule.Entry) bool { return e.Source == source }) &&
			!slices.ContainsFunc(book.Problems, func(p schedule.SourceProblem) bool { return p.Source == source }) {
			list.Problems = append(list.Problems, schedule.SourceProblem{Source: source, Text: fmt.Sprintf(
				"drill's server has not taken it up. Does it run? See: kubectl -n %s get pods", kube.Namespace)})
		}
	}
	return list, nil
}

// cameOf is what came of a schedule's newest due time: of all its trials the worst verdict, when none of them goes on.
func cameOf(runs []*kube.DrillRun, e schedule.Entry) (verdict drill.Verdict, inProgress bool) {
	var all []drill.Verdict
	for _, r := range runs {
		if series, _ := r.Trial(); series != e.LastRun {
			continue
		}
		if !r.Finished() {
			return "", true
		}
		all = append(all, r.Status.Verdict)
	}
	return drill.Worst(all...), false
}

func (l *scheduleList) show(w io.Writer, output string, now time.Time) error {
	if output == outputJSON {
		raw, err := json.MarshalIndent(l, "", "  ")
		if err != nil {
			return fmt.Errorf("write the schedules: %w", err)
		}
		fmt.Fprintf(w, "%s\n", raw)
		return nil
	}
	if len(l.Schedules)+len(l.Problems) == 0 {
		fmt.Fprintln(w, "No drill is scheduled. Schedule one with drill schedule add FILE.")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(l.Schedules) > 0 {
		fmt.Fprintln(table, "DRILL\tCRON\tTIME ZONE\tNEXT\tLAST\tVERDICT\tMISSED\tREQUESTER")
	}
	for _, s := range l.Schedules {
		next, last, verdict := when(s.Next, now), "-", "-"
		if s.Paused {
			next = "paused"
		}
		if !s.Last.IsZero() {
			last = when(s.Last, now)
			switch {
			case s.Verdict != "":
				verdict = string(s.Verdict)
			case s.InProgress:
				verdict = "in progress"
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			cleanArgs([]any{s.Drill, s.Schedule.Cron, s.Schedule.Timezone, next, last, verdict, s.Missed, s.Requester})...)
	}
	_ = table.Flush()
	for _, s := range l.Schedules {
		if len(s.Variables) > 0 {
			fmt.Fprintf(w, "\n%s: with %s.", drill.Clean(s.Drill), report.Variables(s.Variables))
		}
		if s.Newest != nil {
			fmt.Fprintf(w, "\n%s: missed %s: %s.", drill.Clean(s.Drill), when(s.Newest.At, now), drill.Clean(s.Newest.Reason))
		}
		if s.Problem != "" {
			fmt.Fprintf(w, "\n%s: %s.", drill.Clean(s.Drill), drill.Clean(s.Problem))
		}
	}
	for _, p := range l.Problems {
		fmt.Fprintf(w, "\n%s: %s.", drill.Clean(p.Source), drill.Clean(p.Text))
	}
	if len(l.Problems) > 0 || slices.ContainsFunc(l.Schedules, func(s listedSchedule) bool { return s.Newest != nil || s.Problem != "" || len(s.Variables) > 0 }) {
		fmt.Fprintln(w)
	}
	return nil
}

// when is a time in the reader's zone, and how far away it is.
func when(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	d := at.Sub(now).Round(time.Second)
	format, far := "in %s", d
	if d < 0 {
		format, far = "%s ago", -d
	}
	return at.In(now.Location()).Format("Mon 2 Jan 2006 15:04 MST") + " (" + fmt.Sprintf(format, roughly(far)) + ")"
}

func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
