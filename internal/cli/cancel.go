package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// How the end of runs is waited for. A revert is tried for two minutes, and reading back takes up to three.
const (
	endEvery   = 500 * time.Millisecond
	endTimeout = 5 * time.Minute
)

func cancelCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var all, noWait bool
	var timeout time.Duration
	c := &cobra.Command{
		Use: "cancel RUN...", Short: "End runs now: revert, and record them as interrupted",
		Long: `Ask runs to end, and wait until everything that they broke is reverted. It works without drill's server, as long as the
runner is alive; for one that is not: drill recover RUN.
The exit code is 0 when every run has ended and nothing is left, 14 when something could not be reverted (someone must act),
1 when a run has not ended in time, 11 when you may not cancel.`,
		Example: "  drill cancel 2026-03-01t10-00-00z-orders-1f2e\n  drill cancel --all",
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return withCode(exitUsage, "name the runs to cancel, or say --all. See 'drill cancel --help'")
			}
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			return cancelRuns(c.Context(), env, kube.NewRuns(client.Dynamic, kube.Namespace), args, ending{timeout: timeout, noWait: noWait})
		},
		ValidArgsFunction: func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return inFlight(c.Context(), &cluster), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cluster.add(c)
	c.Flags().BoolVar(&all, "all", false, "every run that has not ended")
	addWaiting(c, &noWait, &timeout)
	return c
}

func addWaiting(c *cobra.Command, noWait *bool, timeout *time.Duration) {
	c.Flags().BoolVar(noWait, "no-wait", false, "do not wait until the runs have ended")
	c.Flags().DurationVar(timeout, "timeout", endTimeout, "how long to wait until the runs have ended")
}

// inFlight names the runs that have not ended, for the shell; none when the cluster does not say.
func inFlight(ctx context.Context, cluster *clusterFlags) []string {
	client, err := cluster.connect()
	if err != nil {
		return nil
	}
	runs, err := unfinished(ctx, kube.NewRuns(client.Dynamic, kube.Namespace))
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range runs {
		names = append(names, fmt.Sprintf("%s\t%s of %s", r.Name, phaseOf(r), drill.Clean(r.Spec.Drill)))
	}
	return names
}

func unfinished(ctx context.Context, runs *kube.Runs) ([]*kube.DrillRun, error) {
	all, err := runs.List(ctx)
	if err != nil {
		return nil, err
	}
	var open []*kube.DrillRun
	for _, r := range all {
		if !r.Finished() {
			open = append(open, r)
		}
	}
	return open, nil
}

func phaseOf(r *kube.DrillRun) string {
	if r.Status.Phase == "" {
		return "pending"
	}
	return strings.ToLower(string(r.Status.Phase))
}

// ending says how the end of runs is waited for.
type ending struct {
	timeout time.Duration
	noWait  bool
}

func cancelRuns(ctx context.Context, env *Env, runs *kube.Runs, names []string, how ending) error {
	var todo []*kube.DrillRun
	if len(names) == 0 {
		var err error
		if todo, err = unfinished(ctx, runs); err != nil {
			return err
		}
		if len(todo) == 0 {
			fmt.Fprintln(env.Stdout, "Nothing to cancel: no run is in flight.")
			return nil
		}
	}
	for _, name := range names {
		run, err := runs.Get(ctx, name)
		if apierrors.IsNotFound(err) {
			return withCode(exitUsage, "there is no run %s. See drill history", name)
		}
		if err != nil {
			return err
		}
		todo = append(todo, run)
	}
	for _, run := range todo {
		if run.Finished() {
			continue
		}
		if err := runs.Cancel(ctx, run.Name); apierrors.IsForbidden(err) {
			return &drill.Refusal{Code: "forbidden", Err: err, Text: fmt.Sprintf(
				"you may not cancel run %s. Ask for the ClusterRole drill-operator in namespace %s", run.Name, runs.Namespace())}
		} else if err != nil {
			return err
		}
		env.status("Run %s is asked to end.", run.Name)
	}
	return awaitEnds(ctx, env, runs, todo, how)
}

// awaitEnds waits for the runs' ends, and says of each what was reverted. Its error has the exit code of the worst.
func awaitEnds(ctx context.Context, env *Env, runs *kube.Runs, todo []*kube.DrillRun, how ending) error {
	if how.noWait {
		return nil
	}
	residue, unended := false, false
	giveUp := time.Now().Add(how.timeout)
	for _, run := range todo {
		run, err := awaitEnd(ctx, runs, run.Name, giveUp)
		switch {
		case apierrors.IsNotFound(err): // deleted, which the finalizer allows when nothing is left
			fmt.Fprintf(env.Stdout, "Run %s: its record is gone, and nothing was left of it.\n", run.Name)
		case err != nil:
			return err
		case !run.Finished():
			unended = true
			env.status("Run %s has not ended within %s. If its runner is dead and drill's server does not run: drill recover %s", run.Name, how.timeout, run.Name)
		default:
			residue = residue || len(run.Unreverted()) > 0
			fmt.Fprintf(env.Stdout, "Run %s: %s.\n", run.Name, drill.Clean(outcomeOf(run)))
		}
	}
	switch {
	case residue:
		return silent{exitResidue}
	case unended:
		return silent{exitError}
	}
	return nil
}

// awaitEnd returns the record as it was read last. An API server that is away is waited for, too.
func awaitEnd(ctx context.Context, runs *kube.Runs, name string, giveUp time.Time) (*kube.DrillRun, error) {
	last := &kube.DrillRun{}
	last.Name = name
	for {
		run, err := runs.Get(ctx, name)
		switch {
		case err == nil:
			last = run
		case !kube.Retriable(err):
			return last, err
		}
		if last.Finished() || time.Now().After(giveUp) {
			return last, nil
		}
		select {
		case <-time.After(endEvery):
		case <-ctx.Done():
			return last, context.Cause(ctx)
		}
	}
}

// outcomeOf is what an ended run leaves, in a few words.
func outcomeOf(run *kube.DrillRun) string {
	verdict := string(run.Status.Verdict)
	if len(run.Status.Faults) == 0 {
		return verdict + "; nothing was touched"
	}
	var reverted, left []string
	for _, f := range run.Status.Faults {
		if f.Phase == kube.FaultReverted {
			reverted = append(reverted, f.String())
		} else {
			left = append(left, fmt.Sprintf("%s (%s)", f, strings.Join(f.Residue, "; ")))
		}
	}
	if len(left) > 0 {
		return verdict + "; NOT reverted: " + strings.Join(left, ", ") + ". Someone must act: drill recover " + run.Name
	}
	return verdict + "; reverted " + strings.Join(reverted, ", ")
}
