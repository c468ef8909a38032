//go:build e2e

package e2e

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

// serverImage is the image of the server that is installed.
func serverImage(t *testing.T, c *kube.Client) string {
	t.Helper()
	d, err := c.AppsV1().Deployments(kube.Namespace).Get(context.Background(), "drill-server", metav1.GetOptions{})
	require.NoError(t, err)
	return d.Spec.Template.Spec.Containers[0].Image
}

// TestNotAllowed takes away the runner's rights in the target's namespace: the run is refused, and says what to do.
func TestNotAllowed(t *testing.T) {
	c := cluster(t)
	image := serverImage(t, c)
	require.NoError(t, c.RbacV1().RoleBindings(shop).DeleteCollection(context.Background(), metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: kube.LabelManagedBy + "=" + kube.ManagedBy}))
	t.Cleanup(func() { run(t, "install", "--image", image, "--allow", shop) })
	code, said := run(t, "run", "drills/kill-primary.hcl")
	require.Equal(t, 11, code)
	require.Contains(t, said, "delete pods in namespace shop")
	require.Contains(t, said, "drill install --allow shop")
	bindings, err := c.RbacV1().RoleBindings(shop).List(context.Background(), metav1.ListOptions{LabelSelector: kube.LabelManagedBy + "=" + kube.ManagedBy})
	require.NoError(t, err)
	require.Empty(t, bindings.Items)
}

// TestInstall goes through an installation's life. It comes last: it takes the records of the other tests away.
func TestInstall(t *testing.T) {
	c := cluster(t)
	image := serverImage(t, c)
	t.Cleanup(func() { run(t, "install", "--image", image, "--allow", shop) })

	code, _ := run(t, "uninstall")
	require.Zero(t, code)
	code, _ = run(t, "uninstall")
	require.Zero(t, code, "twice does no harm")
	code, said := run(t, "run", "drills/kill-primary.hcl")
	require.Equal(t, 11, code)
	require.Contains(t, said, "drill install")

	// A registry on the node's own loopback: nobody is asked where it is, and nothing leaves the machine.
	code, said = run(t, "install", "--image", "127.0.0.1:1/no-such-image:1", "--timeout", "60s")
	require.Equal(t, 1, code)
	require.Contains(t, said, "no-such-image", "it says why the server does not start")

	code, _ = run(t, "install", "--image", image, "--allow", shop)
	require.Zero(t, code)
	code, _ = run(t, "install", "--image", image)
	require.Zero(t, code, "what was allowed before stays allowed")
	code, said = run(t, "plan", "drills/kill-primary.hcl")
	require.Zero(t, code, said)
}
