package cli

import (
	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
)

func serveCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var listen, image, namespace string
	c := &cobra.Command{
		Use: "serve", Short: "Admit runs, start their runner pods, and put back what a lost runner left",
		Long: `Serve is what drill's Deployment runs. Several replicas may run; one of them leads.
The HTTP port is read-only: /metrics, /healthz, /readyz. Runs are requested through the Kubernetes API alone.`,
		Args: exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := env.interruptible(c.Context(), func() {}, func() {})
			defer stop()
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			return server.Run(ctx, server.Options{Client: client, Namespace: namespace, Image: image, Listen: listen,
				Log: logger(env), Check: admission(env), Revert: revert(client), FaultKind: firstFault})
		},
	}
	cluster.add(c)
	c.Flags().StringVar(&listen, "listen", ":8080", "address of /metrics, /healthz and /readyz")
	c.Flags().StringVar(&image, "image", env.Getenv("DRILL_IMAGE"), "the image of runner pods")
	c.Flags().StringVar(&namespace, "namespace", kube.Namespace, "drill's own namespace")
	return c
}
