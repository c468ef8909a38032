package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

type holdOptions struct {
	cluster       clusterFlags
	until, reason string
	how           ending
}

func holdCommand(env *Env) *cobra.Command {
	var o holdOptions
	c := &cobra.Command{
		Use: "hold", Short: "Stop everything: what is in flight reverts and ends, nothing starts until drill resume",
		Long: `Put drill on hold in the whole cluster. Every run in flight reverts and ends as interrupted, with the reason. Runs that are asked
for are refused. Scheduled runs count as missed. It works without drill's server: each runner looks for the hold every second.
drill resume ends the hold; with --until it ends by itself, by the cluster's clock.
The exit code is 0 when the hold is in force and everything is reverted, 14 when something could not be reverted (someone must
act), 1 when a run has not ended in time, 11 when you may not.`,
		Example: "  drill hold --reason 'incident 4711'\n  drill hold --until 2h --reason 'Black Friday'\n  drill hold --until 2026-11-30T08:00:00Z",
		Args:    exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := o.cluster.connect()
			if err != nil {
				return err
			}
			return hold(c.Context(), env, client, o)
		},
	}
	o.cluster.add(c)
	c.Flags().StringVar(&o.until, "until", "", "when it ends by itself: a duration such as 2h, or a time such as 2026-11-30T08:00:00Z (default: with drill resume)")
	c.Flags().StringVar(&o.reason, "reason", "", "why; refused, interrupted and missed runs say it")
	addWaiting(c, &o.how.noWait, &o.how.timeout)
	return c
}

func resumeCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	c := &cobra.Command{
		Use: "resume", Short: "End the hold, so that runs may start again",
		Long: "End the hold that drill hold began. Runs that were refused or missed do not come back.",
		Args: exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			was, err := kube.NewHolds(client, kube.Namespace).End(c.Context())
			switch {
			case err != nil:
				return err
			case was:
				fmt.Fprintln(env.Stdout, "The hold has ended: runs may start again.")
			default:
				fmt.Fprintln(env.Stdout, "There was no hold.")
			}
			return nil
		},
	}
	cluster.add(c)
	return c
}

// untilTime reads --until, against the cluster's clock.
func untilTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d, err := time.ParseDuration(text)
		if err != nil {
			return time.Time{}, withCode(exitUsage, "--until takes a duration such as 2h or a time such as 2026-11-30T08:00:00Z, not %q", text)
		}
		at = now.Add(d).Round(time.Second)
	}
	if !at.After(now) {
		return time.Time{}, withCode(exitUsage, "--until %s is in the past: the cluster's clock says %s", text, now.UTC().Format(time.RFC3339))
	}
	return at, nil
}

func hold(ctx context.Context, env *Env, client *kube.Client, o holdOptions) error {
	holds, runs := kube.NewHolds(client, kube.Namespace), kube.NewRuns(client.Dynamic, kube.Namespace)
	now, err := holds.Now(ctx)
	if err != nil {
		return err
	}
	until, err := untilTime(o.until, now)
	if err != nil {
		return err
	}
	who, err := client.WhoAmI(ctx)
	if err != nil {
		return err
	}
	h := kube.Hold{Reason: o.reason, By: who.User, Since: now, Until: until}
	if err := holds.Set(ctx, h); err != nil {
		return err
	}
	end := "drill resume ends it"
	if !until.IsZero() {
		end = fmt.Sprintf("it ends at %s, or with drill resume", until.Local().Format("15:04:05 MST on Mon 2 Jan 2006"))
	}
	fmt.Fprintf(env.Stdout, "On hold: nothing starts in this cluster; %s.\n", end)
	open, err := unfinished(ctx, runs)
	if err != nil {
		return err
	}
	// What no runner has claimed has touched nothing, and the server, or the runner that starts, refuses it.
	open = slices.DeleteFunc(open, func(r *kube.DrillRun) bool { return r.Status.Phase != kube.PhaseRunning })
	if len(open) == 0 {
		fmt.Fprintln(env.Stdout, "No run is in flight.")
		return nil
	}
	for _, r := range open {
		env.status("Run %s (%s) is in flight, and reverts now.", r.Name, drill.Clean(r.Spec.Drill))
	}
	return awaitEnds(ctx, env, runs, open, o.how)
}
