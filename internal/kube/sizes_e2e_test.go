//go:build e2e

package kube_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/failoverdrill/drill/internal/kube"
)

func objectOf(t *testing.T, ns string, spec kube.Spec) *unstructured.Unstructured {
	t.Helper()
	raw, err := json.Marshal(kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "size-", Namespace: ns}, Spec: spec})
	require.NoError(t, err)
	u := new(unstructured.Unstructured)
	require.NoError(t, u.UnmarshalJSON(raw))
	return u
}

// TestT4ARecordIsBoundedInBytes: the resource counts characters, and 1 MiB of UTF-8 passed.
func TestT4ARecordIsBoundedInBytes(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	alice := requester(t, c, ns, "alice@example.com")
	me, err := alice.WhoAmI(t.Context())
	require.NoError(t, err)
	runs := kube.NewRuns(alice.Dynamic, ns)
	ask := func(spec kube.Spec) error {
		spec.Drill, spec.File, spec.Requester = "d", "f.hcl", me
		_, err := runs.Create(t.Context(), spec)
		return err
	}
	_, err = alice.Dynamic.Resource(kube.Resource).Namespace(ns).Create(t.Context(), objectOf(t, ns, kube.Spec{Drill: "d", File: "f", Source: strings.Repeat("😀", 200<<10), Requester: me}), metav1.CreateOptions{})
	require.ErrorContains(t, err, "a drill file has at most 256 KiB")
	_, err = alice.Dynamic.Resource(kube.Resource).Namespace(ns).Create(t.Context(), objectOf(t, ns, kube.Spec{Drill: "d", File: "f", Source: strings.Repeat("x", 256<<10), Requester: me}), metav1.CreateOptions{})
	require.NoError(t, err)

	many := map[string]string{}
	for i := range 300 {
		many[fmt.Sprint("v", i)] = "1"
	}
	require.ErrorContains(t, ask(kube.Spec{Source: "x", Inputs: kube.Inputs{Variables: many}}), "at most 256 variables")
	require.ErrorContains(t, ask(kube.Spec{Source: "x", Inputs: kube.Inputs{Variables: map[string]string{"a": strings.Repeat("ö", 70<<10)}}}), "at most 128 KiB together")
	require.ErrorContains(t, ask(kube.Spec{Source: "x", Inputs: kube.Inputs{Variables: map[string]string{strings.Repeat("n", 300): "1"}}}), "names of at most 256")
	require.NoError(t, ask(kube.Spec{Source: "x", Inputs: kube.Inputs{Variables: map[string]string{"a": strings.Repeat("x", 120<<10)}}}))
}
