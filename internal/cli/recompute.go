package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/internal/report"
)

// computed is a report that was computed again from the run's detail, with what makes it another than the recorded one.
type computed struct {
	report   drill.Report
	compared bool // there is a recorded one
	older    bool // which is of format version 1
	// differences are the values of both, by the path in the JSON.
	differences []string
}

// isDetailFile tells a file from a run's id, which is never a path.
func isDetailFile(meant string) bool {
	if strings.ContainsRune(meant, os.PathSeparator) {
		return true
	}
	info, err := os.Stat(meant)
	return err == nil && info.Mode().IsRegular()
}

// recomputeFile computes the report of a detail in a file, and compares it with the one that lies beside it, if any.
func recomputeFile(path string) (computed, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return computed{}, withCode(exitUsage, "read %s: %w", path, cause(err))
	}
	c, err := compute(raw)
	if err != nil {
		return computed{}, fmt.Errorf("%s: %w", path, err)
	}
	beside := strings.TrimSuffix(path, history.DetailExt) + ".json"
	recorded, err := os.ReadFile(beside)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return computed{}, fmt.Errorf("read the recorded report: %w", err)
	}
	return c.compare(recorded)
}

// recomputeRun computes the report of a recorded run.
func recomputeRun(ctx context.Context, env *Env, cluster clusterFlags, meant string, local bool) (computed, error) {
	if local {
		return recomputeLocal(ctx, env, meant)
	}
	run, raw, err := clusterDetail(ctx, cluster, meant)
	if err != nil {
		return computed{}, err
	}
	c, err := compute(raw)
	if err != nil {
		return computed{}, err
	}
	return c.compare(run.Status.Report)
}

// clusterDetail is a recorded run with its detail.
func clusterDetail(ctx context.Context, cluster clusterFlags, meant string) (*kube.DrillRun, []byte, error) {
	client, err := cluster.connect()
	if err != nil {
		return nil, nil, err
	}
	runs, err := kube.NewRuns(client.Dynamic, kube.Namespace).List(ctx)
	if err != nil {
		return nil, nil, err
	}
	run, err := finishedRun(runs, meant)
	if err != nil {
		return nil, nil, err
	}
	raw, err := kube.NewDetails(client, kube.Namespace).Load(ctx, run)
	return run, raw, err
}

func recomputeLocal(ctx context.Context, env *Env, meant string) (computed, error) {
	recorded, raw, err := localDetail(ctx, env, meant)
	if err != nil {
		return computed{}, err
	}
	c, err := compute(raw)
	if err != nil {
		return computed{}, err
	}
	text, err := json.Marshal(recorded.JSON())
	if err != nil {
		return computed{}, err
	}
	return c.compare(text)
}

// localDetail is a report in this machine's own history with its detail.
func localDetail(ctx context.Context, env *Env, meant string) (drill.Report, []byte, error) {
	recorded, err := findReport(ctx, env, clusterFlags{}, meant, true)
	if err != nil {
		return recorded, nil, err
	}
	folder, err := history.DefaultFolder(env.Getenv)
	if err != nil {
		return recorded, nil, err
	}
	raw, err := folder.Detail(recorded.Run.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return recorded, nil, fmt.Errorf("there is no detail of run %s on this machine. If it is in the cluster, leave out --local", recorded.Run.ID)
	}
	return recorded, raw, err
}

func compute(raw []byte) (computed, error) {
	rec, err := detail.Read(raw)
	if err != nil {
		return computed{}, err
	}
	return computed{report: measure.Report(rec)}, nil
}

// compare tells in what the recorded report differs. A record in the cluster may be shortened, and then the computed one
// is, too.
func (c computed) compare(recorded []byte) (computed, error) {
	whole, err := json.Marshal(c.report)
	if err != nil {
		return c, err
	}
	if c.compared = len(recorded) > 0; !c.compared {
		return c, nil
	}
	var of struct {
		FormatVersion string `json:"format_version"`
	}
	if err := json.Unmarshal(recorded, &of); err != nil {
		return c, fmt.Errorf("read the recorded report: %w", err)
	}
	c.older = of.FormatVersion == "1"
	if c.differences, err = difference(recorded, whole); err != nil || len(c.differences) == 0 {
		return c, err
	}
	fitted, err := kube.Fit(&c.report)
	if err != nil {
		return c, err
	}
	if same, err := difference(recorded, fitted); err != nil || len(same) == 0 {
		c.differences = nil
		return c, err
	}
	return c, nil
}

// absent stands for a value that is in one of two reports only.
const absent = "absent"

// difference lists the values in which two JSON texts differ, by their paths.
func difference(recorded, recomputed []byte) ([]string, error) {
	var a, b any
	if err := errors.Join(json.Unmarshal(recorded, &a), json.Unmarshal(recomputed, &b)); err != nil {
		return nil, fmt.Errorf("compare the recorded report: %w", err)
	}
	left, right := map[string]string{}, map[string]string{}
	values(left, "", a)
	values(right, "", b)
	var all []string
	paths := maps.Clone(left)
	maps.Copy(paths, right)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		was, had := left[path]
		is, has := right[path]
		if !had {
			was = absent
		}
		if !has {
			is = absent
		}
		if was != is {
			all = append(all, fmt.Sprintf("%s: recorded %s, computed again %s", path, was, is))
		}
	}
	return all, nil
}

// values notes every value of a JSON text under its path, the empty lists and objects, too.
func values(into map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			values(into, strings.TrimPrefix(path+"."+key, "."), value)
		}
		if len(v) > 0 {
			return
		}
	case []any:
		for i, value := range v {
			values(into, fmt.Sprintf("%s[%d]", path, i), value)
		}
		if len(v) > 0 {
			return
		}
	}
	text, _ := json.Marshal(v) // it came from JSON
	into[path] = string(text)
}

// mostDifferences is how many of them are shown: two reports of two rules may differ everywhere.
const mostDifferences = 30

// verdict says whether the report is the recorded one; a difference ends the command with an error. A record of format
// version 1 was measured by another definition, so what differs from it is told, and is no error.
func (c computed) verdict(env *Env) error {
	switch {
	case !c.compared:
		env.status("Computed again from the detail. There is no recorded report beside it to compare with.")
		return nil
	case len(c.differences) == 0:
		env.status("Computed again from the detail: the same as recorded.")
		return nil
	}
	if c.older {
		env.status("Computed again from the detail, by the definition of recovery of format 2. The record is of format 1, and the definition changed in between: " +
			"there any single late answer moved the recovery, here an outage is more than a blip. So it is no sign of damage that these differ:")
	} else {
		env.status("Computed again from the detail, the report DIFFERS from the recorded one:")
	}
	for _, d := range c.differences[:min(mostDifferences, len(c.differences))] {
		env.status("  %s", report.Clean(d))
	}
	if more := len(c.differences) - mostDifferences; more > 0 {
		env.status("  and %d more", more)
	}
	env.status("The run was recorded by drill %s; this is drill %s.", report.Clean(c.report.Run.DrillVersion), version)
	if c.older {
		return nil
	}
	return silent{exitError}
}
