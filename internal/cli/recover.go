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
	"github.com/failoverdrill/drill/internal/server"
)

func recoverCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	c := &cobra.Command{
		Use: "recover [RUN]", Short: "Put back what a run left, when neither it nor the server does",
		Long: `Take over a run, revert its faults from its record, and end it. Without RUN, every run that left something and whose
runner is silent: one that renews its locks is left alone unless it is named. A run that is alive and named loses its
right to inject; it does not matter how often this is called.`,
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
	alive := 0
	if len(names) == 0 {
		var err error
		if todo, alive, err = silentRuns(ctx, env, client, runs, todo); err != nil {
			return err
		}
	}
	if len(todo) == 0 && alive > 0 {
		return nil
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
	journal = journal.By("drill recover")
	taken := time.Now()
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
	if err := lookAgain(ctx, env, client, run, taken); err != nil {
		failed = append(failed, err)
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

// pulseWithin is how long the locks of runs are watched before their runners are taken for silent: three renewals.
const pulseWithin = 16 * time.Second

// silentRuns leaves out the runs that are alive, by their locks: their runners revert by themselves.
func silentRuns(ctx context.Context, env *Env, client *kube.Client, runs *kube.Runs, todo []*kube.DrillRun) (silent []*kube.DrillRun, alive int, err error) {
	pulses := map[string]*kube.Pulse{}
	for _, r := range todo {
		if r.Finished() {
			silent = append(silent, r)
		} else {
			pulses[r.Name] = kube.NewPulse(client, runs.Namespace(), r.Name)
		}
	}
	if len(pulses) > 0 {
		env.status("Watching for %v whether the runs that have not ended are alive.", pulseWithin)
	}
	for begun := time.Now(); len(pulses) > 0; {
		for _, r := range todo {
			pulse := pulses[r.Name]
			if pulse == nil {
				continue
			}
			silence, err := pulse.Silence(ctx)
			switch {
			case err != nil:
				return nil, 0, err
			case silence >= pulseWithin-time.Second:
				silent = append(silent, r)
				delete(pulses, r.Name)
			case time.Since(begun) >= pulseWithin:
				alive++
				delete(pulses, r.Name)
				env.status("Run %s is alive: it renews its locks. To end it: kubectl patch its spec.cancel, or drill recover %s", r.Name, r.Name)
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
	return silent, alive, nil
}

// lookAgain reverts once more what was being injected when a live run was taken over, after the last moment at which a
// request of its runner can arrive.
func lookAgain(ctx context.Context, env *Env, client *kube.Client, run *kube.DrillRun, taken time.Time) error {
	var failed []error
	said := false
	for _, f := range run.Unreverted() {
		if run.Finished() || f.Phase != kube.FaultInjecting {
			continue
		}
		if !said {
			said = true
			env.status("Run %s: looking again in %v, when nothing more can come of its runner.", run.Name, server.LateWithin)
		}
		select {
		case <-time.After(server.LateWithin - time.Since(taken)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		one, cancel := context.WithTimeout(ctx, time.Minute)
		err := revert(client)(one, f, run.Name)
		cancel()
		if err != nil {
			failed = append(failed, fmt.Errorf("look again at %s: %w", f, err))
		}
	}
	return errors.Join(failed...)
}
