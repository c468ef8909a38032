package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

func recoverCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	c := &cobra.Command{
		Use: "recover [RUN]", Short: "Put back what a run left, when neither it nor the server does",
		Long: `Take over a run, revert its faults from its record, and end it. Without RUN, every run that left something.
A run that is alive loses its right to inject; it does not matter how often this is called.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return withCode(exitUsage, "drill recover takes at most one run, got %d. See 'drill recover --help'", len(args))
			}
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			return recoverRuns(c.Context(), env, client, args)
		},
	}
	cluster.add(c)
	return c
}

func recoverRuns(ctx context.Context, env *Env, client *kube.Client, names []string) error {
	runs := kube.NewRuns(client.Dynamic, kube.Namespace)
	var todo []*kube.DrillRun
	if len(names) == 1 {
		run, err := runs.Get(ctx, names[0])
		if err != nil {
			return err
		}
		todo = append(todo, run)
	} else {
		all, err := runs.List(ctx)
		if err != nil {
			return err
		}
		for _, r := range all {
			switch {
			case len(r.Unreverted()) > 0:
				todo = append(todo, r)
			case !r.Finished(): // it may be alive, and there is nothing to put back
				env.status("Run %s has not ended. To end it without its runner: drill recover %s", r.Name, r.Name)
			}
		}
	}
	if len(todo) == 0 {
		fmt.Fprintln(env.Stdout, "Nothing to put back: every fault of every recorded run is reverted.")
		return nil
	}
	residue := false
	for _, r := range todo {
		if err := recoverRun(ctx, env, client, runs, r); err != nil {
			env.status("Run %s: %v", r.Name, err)
			residue = true
		}
	}
	if residue {
		return silent{exitResidue}
	}
	return nil
}

func recoverRun(ctx context.Context, env *Env, client *kube.Client, runs *kube.Runs, r *kube.DrillRun) error {
	if r.Status.Runner.UID == "" {
		fmt.Fprintf(env.Stdout, "Run %s never started: nothing to put back.\n", drill.Clean(r.Name))
		return nil
	}
	run, journal, err := runs.TakeOver(ctx, r.Name)
	if err != nil {
		return err
	}
	var failed []error
	var done []string
	for _, f := range run.Unreverted() {
		one, cancel := context.WithTimeout(ctx, time.Minute)
		err := revert(client)(one, f, run.Name)
		cancel()
		var left []string
		if err != nil {
			failed, left = append(failed, fmt.Errorf("%s: %w", f, err)), []string{err.Error()}
		} else {
			done = append(done, f.String())
		}
		if err := journal.Reverted(ctx, f.Kind, f.Name, left); err != nil {
			failed = append(failed, err)
		}
	}
	if err := kube.ReleaseLocks(ctx, client, runs.Namespace(), run.Name); err != nil {
		failed = append(failed, err)
	}
	if !run.Finished() {
		err := journal.Finish(ctx, kube.Outcome{Verdict: "error", Message: "Ended by drill recover."})
		if err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	what := "nothing was left"
	if len(done) > 0 {
		what = "reverted " + strings.Join(done, ", ")
	}
	fmt.Fprintf(env.Stdout, "Run %s: %s.\n", run.Name, drill.Clean(what))
	return nil
}
