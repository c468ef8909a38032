package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/internal/report"
)

type compareOptions struct {
	cluster clusterFlags
	output  string
	local   bool
	choice  history.Choice
}

// choiceFlags say whose runs of a drill are meant.
func choiceFlags(c *cobra.Command, choice *history.Choice) {
	c.Flags().StringVar(&choice.By, "by", "", `whose runs of a drill: "schedule", a requester's name, or "all"; without it the schedule's, if the drill has any`)
	c.Flags().StringVar(&choice.Targets, "targets", "", "only runs whose targets are in these namespaces, with commas between them")
}

func compareCommand(env *Env) *cobra.Command {
	var o compareOptions
	c := &cobra.Command{
		Use: "compare BASE NEW", Short: "Say whether new runs do worse than older ones: slower, failing more often, losing more",
		Long: `Compare two sets of runs by rank tests, and say what so few runs allow to claim.

A set is a list, separated by commas, of
  a report in JSON, or a directory of them, as drill run --report json= writes them; these need no cluster;
  a run's id; that of a series' first trial stands for all its trials;
  a drill's name, for all its runs; NAME:12 for the newest 12 that measured something;
  NAME@FROM/TO for those that began then (dates, or times like 2026-11-21T10:00:00Z; either may be left out).

The exit code is 0 when there is no evidence of a regression, 10 when there is a regression, and 11 when there are too few
runs to tell any difference from chance.`,
		Example: `  drill compare reports/main reports/branch
  drill compare kill-primary@2026-11-01/2026-11-15 kill-primary@2026-11-15/
  drill compare 2026-11-01t10-00-00z-kill-primary-7f3a kill-primary:9 --output json`,
		Args: exactArgs(2, "a base and a new set of runs"),
		RunE: func(c *cobra.Command, args []string) error { return compareSets(c.Context(), env, args[0], args[1], o) },
	}
	o.cluster.add(c)
	outputFlag(c, &o.output)
	c.Flags().BoolVar(&o.local, "local", false, "take runs from this machine's own history; needs no cluster")
	choiceFlags(c, &o.choice)
	return c
}

func compareSets(ctx context.Context, env *Env, base, next string, o compareOptions) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	p := picker{env: env, choice: o.choice, load: func() ([]history.Stored, error) {
		if o.local {
			return localStored(env)
		}
		return clusterReports(ctx, o.cluster)
	}}
	a, err := p.set(base)
	if err != nil {
		return err
	}
	b, err := p.set(next)
	if err != nil {
		return err
	}
	for _, rep := range slices.Concat(a, b) {
		if !drill.Readable(rep.FormatVersion) {
			return withCode(exitUsage, "this version of drill cannot compare run %s: its report has format_version %q, and it must be \"1\" or %q",
				rep.Run.ID, rep.FormatVersion, drill.FormatVersion)
		}
	}
	for _, rep := range a {
		if slices.ContainsFunc(b, func(r drill.Report) bool { return r.Run.ID == rep.Run.ID }) {
			return withCode(exitUsage, "run %s is in both sets. Choose sets that have no run in common", rep.Run.ID)
		}
	}
	c := measure.Compare(trialsOf(a), trialsOf(b))
	c.Base.Name, c.Base.Drills = base, drillsOf(a)
	c.New.Name, c.New.Drills = next, drillsOf(b)
	if o.output == outputJSON {
		e := json.NewEncoder(env.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(c)
	} else {
		err = report.Comparison(env.Stdout, c, report.Style{Color: env.color(env.Stdout)})
	}
	if err != nil {
		return err
	}
	switch c.Result {
	case drill.ComparedRegression:
		return silent{exitFailed}
	case drill.ComparedTooLittle:
		return silent{exitRefused}
	}
	return nil
}

func trialsOf(reports []drill.Report) []drill.Trial {
	var all []drill.Trial
	for _, r := range reports {
		all = append(all, r.Trial())
	}
	return all
}

func drillsOf(reports []drill.Report) []string {
	all := []string{}
	for _, r := range reports {
		all = append(all, r.Run.Drill)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// localStored are the reports of this machine, which are all of whoever uses it.
func localStored(env *Env) ([]history.Stored, error) {
	reports, err := localReports(env)
	var all []history.Stored
	for _, rep := range reports {
		all = append(all, history.Stored{Report: rep, Key: kube.SeriesKey{Drill: rep.Run.Drill}})
	}
	return all, err
}

func clusterReports(ctx context.Context, cluster clusterFlags) ([]history.Stored, error) {
	runs, err := recordedRuns(ctx, cluster)
	if err != nil {
		return nil, err
	}
	var all []history.Stored
	for _, r := range runs {
		if !r.Finished() {
			continue
		}
		rep, err := history.Report(r)
		if err != nil {
			return nil, err
		}
		all = append(all, history.Stored{Report: rep, Key: history.KeyOf(r)})
	}
	return all, nil
}

// picker finds the reports that a user means. The stored ones are loaded only when they are asked for: files need no
// cluster.
type picker struct {
	env    *Env
	choice history.Choice
	load   func() ([]history.Stored, error)
	loaded bool
	stored []history.Stored // the newest first
	noted  string
}

// set finds the reports of a comma-separated list, each once.
func (p *picker) set(list string) ([]drill.Report, error) {
	var all []drill.Report
	for item := range strings.SplitSeq(list, ",") {
		found, err := p.item(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		for _, rep := range found {
			if !slices.ContainsFunc(all, func(r drill.Report) bool { return r.Run.ID == rep.Run.ID }) {
				all = append(all, rep)
			}
		}
	}
	return all, nil
}

func (p *picker) item(item string) ([]drill.Report, error) {
	if item == "" {
		return nil, withCode(exitUsage, "a set of runs is empty. Name files, runs or a drill; see 'drill compare --help'")
	}
	if info, err := os.Stat(item); err == nil {
		return reportFiles(item, info.IsDir())
	}
	if strings.ContainsRune(item, filepath.Separator) && !strings.Contains(item, "@") || filepath.Ext(item) == ".json" {
		return nil, withCode(exitUsage, "there is no file or directory %s", item)
	}
	if !p.loaded {
		var err error
		if p.stored, err = p.load(); err != nil {
			return nil, err
		}
		p.loaded = true
	}
	found, note, err := history.Pick(p.stored, item, p.choice)
	if err != nil {
		return nil, withCode(exitUsage, "%w", err)
	}
	if note != "" && note != p.noted { // once for both sets
		p.env.status("%s", report.Clean(note))
		p.noted = note
	}
	return found, nil
}

// reportFiles reads a report, or every *.json of a directory.
func reportFiles(path string, directory bool) ([]drill.Report, error) {
	files := []string{path}
	if directory {
		var err error
		if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil {
			return nil, fmt.Errorf("list %s: %w", path, err)
		}
		if len(files) == 0 {
			return nil, withCode(exitUsage, "directory %s holds no report (*.json)", path)
		}
	}
	var all []drill.Report
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, withCode(exitUsage, "read %s: %w", file, cause(err))
		}
		var rep drill.Report
		if err := json.Unmarshal(raw, &rep); err != nil {
			return nil, withCode(exitUsage, "read %s: %w", file, err)
		}
		if rep.Run.ID == "" || rep.FormatVersion == "" {
			return nil, withCode(exitUsage, "%s is no report of a run", file)
		}
		all = append(all, rep)
	}
	return all, nil
}
