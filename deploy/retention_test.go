package deploy

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/kube"
)

func TestAnInstallationKeepsTheServersFlags(t *testing.T) {
	args := func(api *fake.Clientset, set map[string]string) []string {
		objects, err := Manifests("drill:x")
		require.NoError(t, err)
		i := &installer{client: &kube.Client{Interface: api}}
		require.NoError(t, i.keepFlags(t.Context(), objects, set))
		for _, o := range objects {
			if o.GetKind() == "Deployment" {
				containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
				got, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
				return got[2:]
			}
		}
		return nil
	}
	require.Empty(t, args(fake.NewClientset(), nil))
	require.Equal(t, []string{"--keep=7"}, args(fake.NewClientset(), map[string]string{"--keep": "7"}))
	there := fake.NewClientset(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: serverName, Namespace: namespace}, Spec: appsv1.DeploymentSpec{
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Args: []string{"serve", "--keep=3", "--keep-for=48h", "--other=1"}}}}}}})
	require.Equal(t, []string{"--keep=3", "--keep-for=48h"}, args(there, nil))
	require.Equal(t, []string{"--keep=9", "--keep-for=48h"}, args(there, map[string]string{"--keep": "9"}))
}
