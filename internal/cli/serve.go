package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/failoverdrill/drill/internal/child"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
)

func serveCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var keep int
	var keepFor time.Duration
	var listen, image, namespace, directory, budget, pageAuth, metricsAuth string
	var startDeadline time.Duration
	c := &cobra.Command{
		Use: "serve", Short: "Schedule drills, admit runs, start their runner pods, and put back what a lost runner left",
		Long: `Serve is what drill's Deployment runs. Several replicas may run; one of them leads.
The HTTP port is read-only: a page for people at /, and /metrics, /healthz, /readyz. Runs are requested through the Kubernetes API alone.

Drills that drill schedule add installed run when they are due. With --drills, so do those in a directory, such as a
mounted volume: in the name of the server's own account, which must be granted what they do.`,
		Args: exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := env.interruptible(c.Context(), func() {}, func() {})
			defer stop()
			room, err := resource.ParseQuantity(budget)
			if err != nil || room.Sign() < 0 {
				return withCode(exitUsage, "--detail-budget takes a size such as 64Mi, or 0 for no limit; not %q", budget)
			}
			if keep < 0 || keepFor < 0 {
				return withCode(exitUsage, "--keep and --keep-for take 0 or more")
			}
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			divertKlog(env)
			log := logger(env)
			defer func() { _ = log.Sync() }()
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find drill's own program, which reads the drill files: %w", err)
			}
			files := newReader(child.New(self, "read"), env.Stderr)
			return server.Run(ctx, server.Options{Client: client, Namespace: namespace, Image: image, Listen: listen,
				PageAuth: pageAuth, MetricsAuth: metricsAuth,
				Log: log, Check: files.check, Revert: revert(client), Keep: keep, KeepFor: keepFor,
				Drills: files.drills, Directory: directory, DetailBudget: room.Value(), StartDeadline: startDeadline})
		},
	}
	cluster.add(c)
	c.Flags().StringVar(&listen, "listen", ":8080", "address of the page at /, of /metrics, /healthz and /readyz")
	c.Flags().StringVar(&pageAuth, "page-auth", server.AuthToken, "who may see the pages: token, who shows a token of the cluster and may list drillruns; or anonymous")
	c.Flags().StringVar(&metricsAuth, "metrics-auth", server.AuthAnonymous, "who may read /metrics: anonymous; or token, who shows one and may get /metrics")
	c.Flags().StringVar(&image, "image", env.Getenv("DRILL_IMAGE"), "the image of runner pods")
	c.Flags().StringVar(&directory, "drills", env.Getenv("DRILL_DRILLS"), "a directory of drill files to schedule in the server's own name")
	c.Flags().StringVar(&namespace, "namespace", kube.Namespace, "drill's own namespace")
	c.Flags().DurationVar(&startDeadline, "start-deadline", server.StartDeadline,
		"how old a request may be when its run begins; a run that is asked for before that is refused, 0 lets it be any age")
	c.Flags().StringVar(&budget, "detail-budget", resource.NewQuantity(kube.DetailBudget, resource.BinarySI).String(),
		"how much the details of runs may take in the cluster; the oldest are removed, 0 keeps them all")
	c.Flags().IntVar(&keep, "keep", defaultKeep, "how many finished runs of each drill are kept; the oldest are removed and stay in the totals, 0 keeps them all")
	c.Flags().DurationVar(&keepFor, "keep-for", defaultKeepFor, "how long finished runs are kept; 0 keeps them for ever")
	return c
}

// What a server keeps unless it is told otherwise: more than a year of a drill that runs each week.
const (
	defaultKeep    = 100
	defaultKeepFor = 400 * 24 * time.Hour
)
