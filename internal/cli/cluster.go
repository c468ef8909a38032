package cli

import (
	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/kube"
)

// clusterFlags choose the cluster, as kubectl's do.
type clusterFlags struct{ kubeconfig, context string }

func (f *clusterFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "the kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, then the pod's own account)")
	c.Flags().StringVar(&f.context, "context", "", "the context in the kubeconfig (default: its current one)")
}

func (f *clusterFlags) connect() (*kube.Client, error) { return kube.Connect(f.kubeconfig, f.context) }
