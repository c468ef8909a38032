package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/deploy"
)

func installCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var image string
	var allow []string
	var timeout, keepFor time.Duration
	var keep int
	limits := limitFlags{}
	c := &cobra.Command{
		Use: "install", Short: "Install or update drill in a cluster",
		Long: `Install drill's namespace, resource, roles, admission policy and server, by server-side apply. It may be repeated.
Drill can touch a namespace only after --allow has named it; what was allowed before stays allowed.

Limits bound every drill, whatever its file says. They are in ConfigMap drill-limits, which only administrators may change. A limit that is not
given stays as it is; one that is given replaces what was set, and an empty text sets the default again.`,
		Example: "  drill install --allow shop\n  drill install --max-timeout 1h --max-hold 5m --kinds shop=pod_kill,kill_primary --kinds '*='",
		Args:    exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := env.interruptible(c.Context(), func() {}, func() {})
			defer stop()
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			set, err := limits.given(c)
			if err != nil {
				return err
			}
			if keep < 0 || keepFor < 0 {
				return withCode(exitUsage, "--keep and --keep-for take 0 or more")
			}
			flags := map[string]string{}
			if c.Flags().Changed("keep") {
				flags["--keep"] = fmt.Sprint(keep)
			}
			if c.Flags().Changed("keep-for") {
				flags["--keep-for"] = keepFor.String()
			}
			return deploy.Apply(ctx, client, deploy.Options{Image: image, Allow: allow, Timeout: timeout, Out: env.Stderr, Limits: set, Flags: flags})
		},
	}
	cluster.add(c)
	c.Flags().StringVar(&image, "image", "failoverdrill/drill:"+version, "drill's image")
	c.Flags().StringSliceVar(&allow, "allow", nil, "a namespace that drills may touch (repeatable)")
	c.Flags().DurationVar(&timeout, "timeout", 2*time.Minute, "how long to wait for the server to be ready")
	c.Flags().IntVar(&keep, "keep", defaultKeep, "how many finished runs of each drill the server keeps; 0 keeps them all. What is not given stays as it is")
	c.Flags().DurationVar(&keepFor, "keep-for", defaultKeepFor, "how long the server keeps finished runs; 0 keeps them for ever")
	limits.add(c)
	return c
}

func uninstallCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var force bool
	c := &cobra.Command{
		Use: "uninstall", Short: "Remove drill, and its records, from a cluster",
		Long: `Remove everything that drill install made, with the records of all runs. It refuses while a run is in progress,
because the run's record is what puts the fault back; --force removes it all the same.`,
		Args: exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := env.interruptible(c.Context(), func() {}, func() {})
			defer stop()
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			return deploy.Delete(ctx, client, deploy.DeleteOptions{Force: force, Out: env.Stderr})
		},
	}
	cluster.add(c)
	c.Flags().BoolVar(&force, "force", false, "also while a run is in progress")
	return c
}
