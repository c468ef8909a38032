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

// TestT4ARecordIsBoundedInBytes: the resource counts characters, and 1 MiB of UTF-8 passed. Of what JSON escapes, so did 1.5 MB.
func TestT4ARecordIsBoundedInBytes(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	alice := requester(t, c, ns, "alice@example.com")
	me, err := alice.WhoAmI(t.Context())
	require.NoError(t, err)
	ask := func(spec kube.Spec, edit ...func(*kube.DrillRun)) error {
		spec.Drill, spec.File, spec.Requester = "d", "f.hcl", me
		run := kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
			ObjectMeta: metav1.ObjectMeta{GenerateName: "size-", Namespace: ns}, Spec: spec}
		for _, e := range edit {
			e(&run)
		}
		raw, err := json.Marshal(run)
		require.NoError(t, err)
		u := new(unstructured.Unstructured)
		require.NoError(t, u.UnmarshalJSON(raw))
		_, err = alice.Dynamic.Resource(kube.Resource).Namespace(ns).Create(t.Context(), u, metav1.CreateOptions{})
		return err
	}
	variables := func(n, size int) kube.Spec {
		many := map[string]string{}
		for i := range n {
			many[fmt.Sprintf("v%04d", i)] = strings.Repeat("1", size)
		}
		return kube.Spec{Source: "x", Inputs: kube.Inputs{Variables: many}}
	}
	one := func(name, value string) kube.Spec {
		return kube.Spec{Source: "x", Inputs: kube.Inputs{Variables: map[string]string{name: value}}}
	}
	annotated := func(r *kube.DrillRun) { r.Annotations = map[string]string{"example.com/x": strings.Repeat("<", 1<<10)} }
	for name, why := range map[string]struct {
		spec kube.Spec
		text string
	}{
		"262,144 characters of four bytes": {spec: kube.Spec{Source: strings.Repeat("😀", 256<<10)}, text: "a drill file has at most 256 KiB"},
		"what JSON writes as \\u003c":      {spec: kube.Spec{Source: strings.Repeat("<", 250<<10)}, text: "384 KiB as JSON"},
		"what is no text":                  {spec: kube.Spec{Source: strings.Repeat("\x01", 1<<10)}, text: "control character"},
		"a value that is no text":          {spec: one("a", "\x02"), text: "control character"},
		"1,024 variables":                  {spec: variables(1024, 1), text: "at most 256 variables"},
		"256 variables of 600 KB":          {spec: variables(256, 600_000/256), text: "at most 128 KiB together"},
		"a value of two bytes a character": {spec: one("a", strings.Repeat("ö", 70<<10)), text: "at most 128 KiB together"},
		"a value that JSON escapes":        {spec: one("a", strings.Repeat("&", 30<<10)), text: "at most 128 KiB together"},
		"a long name":                      {spec: one(strings.Repeat("n", 257), "1"), text: "names of at most 256"},
	} {
		require.ErrorContains(t, ask(why.spec), why.text, name)
	}
	require.NoError(t, ask(kube.Spec{Source: "drill \"d\" {\n\tobjective = \"< 30 s & > 1\"\n}\n"}), "a normal one")
	largest := variables(256, 131072/256-5)
	largest.Source = strings.Repeat("\"", 256<<10) // two bytes each as JSON
	require.NoError(t, ask(largest, annotated), "the largest that there is")
	require.NoError(t, ask(one(strings.Repeat("n", 256), "1")))
}
