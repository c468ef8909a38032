package deploy_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestT13EveryPolicyIsInstalledAndProved: a leader admits nothing while a policy that it proves is not there, and one that
// it does not prove may be away for long.
func TestT13EveryPolicyIsInstalledAndProved(t *testing.T) {
	objects, err := deploy.Manifests("image")
	require.NoError(t, err)
	var installed, bound []string
	for _, o := range objects {
		switch o.GetKind() {
		case "ValidatingAdmissionPolicy":
			installed = append(installed, o.GetName())
		case "ValidatingAdmissionPolicyBinding":
			actions, _, err := unstructured.NestedStringSlice(o.Object, "spec", "validationActions")
			require.NoError(t, err)
			require.Equal(t, []string{"Deny"}, actions, o.GetName())
			name, _, err := unstructured.NestedString(o.Object, "spec", "policyName")
			require.NoError(t, err)
			bound = append(bound, name)
		}
	}
	require.ElementsMatch(t, installed, bound)
	// Those about bindings of pods: the runner proves the one before it holds a member, and the other bounds that proof.
	proved := append(kube.Policies(), "held-members.failoverdrill.io", "held-members-proof.failoverdrill.io")
	require.ElementsMatch(t, installed, proved)
}
