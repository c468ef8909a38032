package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/report"
)

type historyOptions struct {
	cluster clusterFlags
	drill   string
	limit   int
	output  string
	local   bool
	choice  history.Choice
}

func historyCommand(env *Env) *cobra.Command {
	var o historyOptions
	c := &cobra.Command{
		Use: "history", Short: "List runs, the newest first",
		Long: `List the runs that are recorded in the cluster, or with --local those that were run from this machine. A number that is
not known, or cannot be vouched for, is left out. drill report RUN prints a run's whole report.

The name of a drill is anybody's to choose, so the column WHOSE says who made a run and where its targets are. With --drill,
runs of a schedule are listed alone when the drill has any; --by and --targets choose others.`,
		Example: `  drill history --drill kill-primary --limit 12
  drill history --output json | jq '.[].recovery.upper_seconds'`,
		Args: exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error { return listHistory(c.Context(), env, o) },
	}
	o.cluster.add(c)
	outputFlag(c, &o.output)
	c.Flags().StringVar(&o.drill, "drill", "", "only this drill's runs")
	c.Flags().IntVar(&o.limit, "limit", 20, "at most so many runs; 0 for all")
	c.Flags().BoolVar(&o.local, "local", false, "from this machine's own history; needs no cluster")
	choiceFlags(c, &o.choice)
	return c
}

func listHistory(ctx context.Context, env *Env, o historyOptions) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	if o.limit < 0 {
		return withCode(exitUsage, "--limit takes 0 or more, not %d", o.limit)
	}
	entries := []history.Entry{}
	if o.local {
		reports, err := localReports(env)
		if err != nil {
			return err
		}
		for _, rep := range reports {
			entries = append(entries, history.Of(rep))
		}
	} else {
		runs, err := recordedRuns(ctx, o.cluster)
		if err != nil {
			return err
		}
		for _, r := range runs {
			entries = append(entries, history.OfRecord(r))
		}
	}
	entries = slices.DeleteFunc(entries, func(e history.Entry) bool { return o.drill != "" && e.Drill != o.drill })
	entries = ofChoice(env, entries, o)
	if o.limit > 0 {
		entries = entries[:min(o.limit, len(entries))]
	}
	if o.output == "json" {
		e := json.NewEncoder(env.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(entries)
	}
	if len(entries) == 0 {
		env.status("There is no run yet.")
		return nil
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	header := []string{"RUN", "DRILL", "STARTED", "VERDICT", "RECOVERY", "LOST", "REDUNDANCY"}
	series := slices.ContainsFunc(entries, func(e history.Entry) bool { return e.Trial > 1 || e.Trials > 1 })
	if series {
		header = slices.Insert(header, trialColumn, "TRIAL")
	}
	whose := slices.ContainsFunc(entries, func(e history.Entry) bool { return e.By != "" })
	if whose {
		header = append(header, "WHOSE")
	}
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, e := range entries {
		row := historyRow(e)
		if series {
			row = slices.Insert(row, trialColumn, historyTrial(e))
		}
		if whose {
			row = append(row, report.Clean(e.Key().Whose()))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// ofChoice leaves out the runs of a drill that are not meant, and says which.
func ofChoice(env *Env, entries []history.Entry, o historyOptions) []history.Entry {
	if o.local || o.drill == "" && o.choice == (history.Choice{}) {
		return entries
	}
	choice := o.choice
	if o.drill == "" && choice.By == "" {
		choice.By = history.ByAll // of many drills
	}
	keys := make([]kube.SeriesKey, len(entries))
	for i, e := range entries {
		keys[i] = e.Key()
	}
	meant, others := choice.Among(keys)
	kept := slices.DeleteFunc(slices.Clone(entries), func(e history.Entry) bool { return !slices.Contains(meant, e.Key()) })
	if o.choice.By == "" && o.choice.Targets == "" && len(others) > 0 {
		env.status("Only the runs by schedule are listed. --by all shows %d more, which others made.", len(entries)-len(kept))
	}
	return kept
}

// trialColumn is where a run's place in its series stands, when any of the runs has one.
const trialColumn = 2

func historyTrial(e history.Entry) string {
	switch {
	case e.Trials > 1:
		return fmt.Sprintf("%d of %d", e.Trial, e.Trials)
	case e.Trial > 1:
		return fmt.Sprint(e.Trial)
	}
	return "–"
}

// historyRow is an entry for people. Names come from a cluster that the terminal must not obey.
func historyRow(e history.Entry) []string {
	verdict := string(e.Verdict)
	if e.Phase != kube.PhaseFinished {
		verdict = strings.ToLower(string(e.Phase))
	}
	if len(e.Residue) > 0 {
		verdict += ", residue"
	}
	recovery, lost, redundancy := e.RecoveryText(), "–", "–"
	if e.Lost != nil {
		lost = fmt.Sprint(*e.Lost)
	}
	if e.Redundancy != nil {
		redundancy = report.Seconds(*e.Redundancy)
	}
	row := []string{e.Run, e.Drill, e.Started.UTC().Format(time.DateTime) + "Z", verdict, recovery, lost, redundancy}
	for i := range row {
		row[i] = report.Clean(row[i])
	}
	return row
}

func reportCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var format string
	var local, recompute bool
	c := &cobra.Command{
		Use: "report RUN", Short: "Print the report of an earlier run again",
		Long: `Print the report of a run that is over. RUN is its id, the beginning of it if no other run's begins so, or "last".
The exit code is 0 when it was printed, whatever the run's verdict.

With --recompute the report is not read but computed again from the run's detail: every event and every slot, as they were
recorded. RUN may then be a file with a detail, too. When it differs from the recorded report, both values are shown and
the exit code is 1. Between a record of format version 1 and this version of drill the definition of recovery has changed:
then they are shown as well, and the exit code is 0.`,
		Example: `  drill report last
  drill report 2026-11-21t10-04 --format json
  drill report last --format junit > junit.xml
  drill report last --recompute
  drill report ~/.local/state/drill/history/2026-11-21t10-04-05z-kill-primary-7f3a.detail --recompute`,
		Args: exactArgs(1, "one run"),
		RunE: func(c *cobra.Command, args []string) error {
			write, ok := reportFormats[format]
			if !ok {
				return withCode(exitUsage, "--format takes text, json or junit, not %q", format)
			}
			var rep drill.Report
			var again computed
			var err error
			switch {
			case recompute && isDetailFile(args[0]):
				again, err = recomputeFile(args[0])
			case recompute:
				again, err = recomputeRun(c.Context(), env, cluster, args[0], local)
			default:
				rep, err = findReport(c.Context(), env, cluster, args[0], local)
			}
			if err != nil {
				return err
			}
			if recompute {
				rep = again.report
			}
			if format == "text" {
				err = report.Text(env.Stdout, rep, report.Style{Color: env.color(env.Stdout)})
			} else {
				err = write(env.Stdout, rep)
			}
			if err == nil && recompute {
				err = again.verdict(env)
			}
			return err
		},
	}
	cluster.add(c)
	c.Flags().StringVar(&format, "format", "text", "text, json or junit")
	c.Flags().BoolVar(&local, "local", false, "from this machine's own history; needs no cluster")
	c.Flags().BoolVar(&recompute, "recompute", false, "compute the report again from the run's detail, and compare it with the recorded one")
	return c
}

// finishedRun is the one of the records, the newest first, that a user means.
func finishedRun(runs []*kube.DrillRun, meant string) (*kube.DrillRun, error) {
	byID := map[string]*kube.DrillRun{}
	var ids []string
	for _, r := range runs {
		if r.Finished() {
			ids = append(ids, r.Name)
			byID[r.Name] = r
		} else if r.Name == meant {
			return nil, withCode(exitUsage, "run %s is not over yet: it is %s", r.Name, strings.ToLower(string(r.Status.Phase)))
		}
	}
	id, err := history.Find(ids, meant)
	if err != nil {
		return nil, withCode(exitUsage, "%w", err)
	}
	return byID[id], nil
}

func findReport(ctx context.Context, env *Env, cluster clusterFlags, meant string, local bool) (drill.Report, error) {
	if !local {
		runs, err := recordedRuns(ctx, cluster)
		if err != nil {
			return drill.Report{}, err
		}
		run, err := finishedRun(runs, meant)
		if err != nil {
			return drill.Report{}, err
		}
		return history.Report(run)
	}
	all, err := localReports(env)
	if err != nil {
		return drill.Report{}, err
	}
	var ids []string
	for _, rep := range all {
		ids = append(ids, rep.Run.ID)
	}
	id, err := history.Find(ids, meant)
	if err != nil {
		return drill.Report{}, withCode(exitUsage, "%w", err)
	}
	return all[slices.Index(ids, id)], nil
}

func recordedRuns(ctx context.Context, cluster clusterFlags) ([]*kube.DrillRun, error) {
	client, err := cluster.connect()
	if err != nil {
		return nil, err
	}
	return kube.NewRuns(client.Dynamic, kube.Namespace).List(ctx)
}

func localReports(env *Env) ([]drill.Report, error) {
	folder, err := history.DefaultFolder(env.Getenv)
	if err != nil {
		return nil, err
	}
	reports, problems, err := folder.List()
	for _, p := range problems {
		env.status("Not readable in the local history: %s", p)
	}
	return reports, err
}

// remember stores a report on this machine, and the run's detail where there is one. That it cannot is no reason to say
// that the run failed.
func remember(env *Env, rep drill.Report, recorded []byte) {
	folder, err := history.DefaultFolder(env.Getenv)
	if err == nil {
		err = folder.Save(rep)
	}
	if err == nil && recorded != nil {
		err = folder.SaveDetail(rep.Run.ID, recorded)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		env.status("The run is recorded in the cluster, but not on this machine: %v", err)
	}
}
