package deploy_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
)

func manifests(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	objects, err := deploy.Manifests("registry/drill:1", "shop")
	require.NoError(t, err)
	all := map[string]*unstructured.Unstructured{}
	for _, o := range objects {
		require.Equal(t, kube.ManagedBy, o.GetLabels()[kube.LabelManagedBy], o.GetName())
		all[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()] = o
	}
	require.Len(t, all, len(objects), "no name twice")
	return all
}

func field[T any](t *testing.T, o *unstructured.Unstructured, path ...string) T {
	t.Helper()
	value, found, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	require.NoError(t, err)
	require.True(t, found, path)
	typed, ok := value.(T)
	require.True(t, ok, "%v is %T", path, value)
	return typed
}

func TestTheImageIsTheServersAndTheRunners(t *testing.T) {
	server := manifests(t)["Deployment failoverdrill/drill-server"]
	c := field[[]any](t, server, "spec", "template", "spec", "containers")[0].(map[string]any)
	require.Equal(t, "registry/drill:1", c["image"])
	require.Contains(t, c["env"], map[string]any{"name": "DRILL_IMAGE", "value": "registry/drill:1"})
}

func TestOnlyAllowedNamespacesAreBound(t *testing.T) {
	for name, o := range manifests(t) {
		switch {
		case o.GetKind() == "RoleBinding" && o.GetNamespace() == "shop":
			require.Equal(t, "drill-runner-target", field[string](t, o, "roleRef", "name"))
		case o.GetKind() == "ClusterRoleBinding":
			require.Contains(t, []string{"drill-server", "drill-server-pages", "drill-runner"}, field[string](t, o, "roleRef", "name"), name)
		}
	}
	for _, name := range []string{"drill-server", "drill-server-pages", "drill-runner"} { // what is held in every namespace
		for _, rule := range field[[]any](t, manifests(t)["ClusterRole /"+name], "rules") {
			verbs := rule.(map[string]any)["verbs"].([]any)
			for _, resource := range rule.(map[string]any)["resources"].([]any) {
				switch resource {
				case "namespaces":
					require.Equal(t, []any{"get"}, verbs)
				default:
					require.Contains(t, []string{"nodes", "subjectaccessreviews", "tokenreviews"}, resource)
				}
			}
		}
	}
}

func TestThePolicyNamesEveryPropertyOfTheSpec(t *testing.T) {
	all := manifests(t)
	version := field[[]any](t, all["CustomResourceDefinition /drillruns.failoverdrill.io"], "spec", "versions")[0].(map[string]any)
	properties, found, err := unstructured.NestedMap(version, "schema", "openAPIV3Schema", "properties", "spec", "properties")
	require.NoError(t, err)
	require.True(t, found)
	var text strings.Builder
	for _, v := range field[[]any](t, all["ValidatingAdmissionPolicy /drillruns.failoverdrill.io"], "spec", "validations") {
		text.WriteString(v.(map[string]any)["expression"].(string))
	}
	require.Len(t, properties, 7)
	for name := range properties {
		require.Contains(t, text.String(), "oldObject.spec."+name)
	}
}

// cluster is one that exists in memory only.
func cluster(t *testing.T, runs ...kube.Status) *kube.Client {
	t.Helper()
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{kube.Resource: "DrillRunList"})
	for i, status := range runs {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "failoverdrill.io/v1alpha1", "kind": "DrillRun",
			"metadata": map[string]any{"name": "run" + string(rune('a'+i)), "namespace": kube.Namespace, "finalizers": []any{kube.Finalizer}},
			"status":   map[string]any{"phase": string(status.Phase)}}}
		_, err := dyn.Resource(kube.Resource).Namespace(kube.Namespace).Create(t.Context(), o, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	return &kube.Client{Interface: fake.NewClientset(), Dynamic: dyn}
}

func TestUninstallRefusesWhileARunIsInProgress(t *testing.T) {
	c := cluster(t, kube.Status{Phase: kube.PhaseFinished}, kube.Status{Phase: kube.PhaseRunning})
	err := deploy.Delete(t.Context(), c, deploy.DeleteOptions{})
	var refusal *drill.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "run_in_progress", refusal.Code)
	require.Contains(t, refusal.Text, "runb")
	require.NotContains(t, refusal.Text, "runa")
	require.NoError(t, deploy.Delete(t.Context(), c, deploy.DeleteOptions{Force: true, Timeout: 5 * time.Second}))
	left, err := kube.NewRuns(c.Dynamic, "").List(t.Context())
	require.NoError(t, err)
	for _, run := range left {
		require.Empty(t, run.Finalizers, "or the custom resource would never go")
	}
}

// TestUninstallLeavesThePolicyOfHeldMembers: without it an API server would read no ConfigMap for the next installation's.
func TestUninstallLeavesThePolicyOfHeldMembers(t *testing.T) {
	c := cluster(t)
	policies := c.Dynamic.Resource(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"})
	for _, name := range []string{kube.HeldPolicy, "drillruns.failoverdrill.io"} {
		_, err := policies.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{"apiVersion": "admissionregistration.k8s.io/v1",
			"kind": "ValidatingAdmissionPolicy", "metadata": map[string]any{"name": name}}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, deploy.Delete(t.Context(), c, deploy.DeleteOptions{Timeout: 5 * time.Second}))
	_, err := policies.Get(t.Context(), kube.HeldPolicy, metav1.GetOptions{})
	require.NoError(t, err)
	_, err = policies.Get(t.Context(), "drillruns.failoverdrill.io", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))
}

// TestUninstallLetsGoOfRecordsEverywhere: one record with a finalizer, wherever it is, keeps the custom resource for ever.
func TestUninstallLetsGoOfRecordsEverywhere(t *testing.T) {
	c := cluster(t)
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "failoverdrill.io/v1alpha1", "kind": "DrillRun",
		"metadata": map[string]any{"name": "stray", "namespace": "elsewhere", "finalizers": []any{kube.Finalizer}}}}
	_, err := c.Dynamic.Resource(kube.Resource).Namespace("elsewhere").Create(t.Context(), o, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, deploy.Delete(t.Context(), c, deploy.DeleteOptions{Timeout: 5 * time.Second}))
	left, err := c.Dynamic.Resource(kube.Resource).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, record := range left.Items {
		require.Empty(t, record.GetFinalizers(), record.GetName())
	}
}

func TestInstallNamesTheNamespaceThatIsNotThere(t *testing.T) {
	c := cluster(t)
	_, err := c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	err = deploy.Apply(context.WithoutCancel(t.Context()), c, deploy.Options{Image: "i", Allow: []string{"shop", "sohp"}})
	var refusal *drill.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Contains(t, refusal.Text, "sohp")
}

func TestTheRunnerMayDoWhatEveryFaultNeeds(t *testing.T) {
	all := manifests(t)
	granted := map[string]bool{}
	for role, namespace := range map[string]string{"ClusterRole /drill-runner": "", "ClusterRole /drill-runner-target": "shop",
		"Role failoverdrill/drill-runner": "failoverdrill", "Role failoverdrill-agents/drill-runner": "failoverdrill-agents"} {
		for _, r := range field[[]any](t, all[role], "rules") {
			rule := r.(map[string]any)
			for _, group := range rule["apiGroups"].([]any) {
				for _, resource := range rule["resources"].([]any) {
					for _, verb := range rule["verbs"].([]any) {
						p := drill.Permission{Verb: verb.(string), Group: group.(string), Resource: resource.(string), Namespace: namespace}
						names, ok := rule["resourceNames"].([]any)
						if !ok {
							granted[p.String()] = true
						}
						for _, name := range names {
							p.Name = name.(string)
							granted[p.String()] = true
						}
					}
				}
			}
		}
	}
	for _, kind := range faults.Kinds() {
		for _, p := range kind.Permissions("shop") {
			require.NotEqual(t, "nodes", p.Resource, "T7: %s needs a right on nodes", kind.Name)
			require.True(t, granted[p.String()], "%s needs %s: add it to manifests/30-rbac.yaml", kind.Name, p)
		}
	}
}

// TestT7NobodyChangesNodes: what cordons and taints is nobody's of drill's.
func TestT7NobodyChangesNodes(t *testing.T) {
	for name, o := range manifests(t) {
		if o.GetKind() == "ClusterRole" || o.GetKind() == "Role" {
			for _, verb := range rights(t, o, "nodes") {
				require.Contains(t, []string{"get", "list"}, verb, name)
			}
		}
	}
}

// rights lists the verbs that a role has on a resource in drill's namespace, whatever its name.
func rights(t *testing.T, role *unstructured.Unstructured, resource string) (verbs []string) {
	t.Helper()
	for _, r := range field[[]any](t, role, "rules") {
		rule := r.(map[string]any)
		for _, of := range rule["resources"].([]any) {
			if of == resource && rule["resourceNames"] == nil {
				for _, v := range rule["verbs"].([]any) {
					verbs = append(verbs, v.(string))
				}
			}
		}
	}
	return verbs
}

// TestWhoMayDoWhatWithDetails: the runner makes them and can change or delete nobody's ConfigMap, the server removes old
// ones, and whoever asks for runs may read theirs. They go with the record, and the record says where they are.
func TestWhoMayDoWhatWithDetails(t *testing.T) {
	all := manifests(t)
	require.Equal(t, []string{"create"}, rights(t, all["Role failoverdrill/drill-runner"], "configmaps"))
	var named []any
	for _, rule := range field[[]any](t, all["Role failoverdrill/drill-runner"], "rules") {
		if r := rule.(map[string]any); slices.Contains(r["resources"].([]any), any("configmaps")) && r["resourceNames"] != nil {
			named = append(named, r["resourceNames"].([]any)[0], r["verbs"].([]any))
		}
	}
	require.Equal(t, []any{"drill-held-members", []any{"get", "patch"}, kube.LimitsMap, []any{"get"}}, named)
	require.Subset(t, rights(t, all["Role failoverdrill/drill-server"], "configmaps"), []string{"list", "delete"})
	require.Equal(t, []string{"get"}, rights(t, all["ClusterRole /drill-requester"], "configmaps"))

	version := field[[]any](t, all["CustomResourceDefinition /drillruns.failoverdrill.io"], "spec", "versions")[0].(map[string]any)
	stored, found, err := unstructured.NestedMap(version, "schema", "openAPIV3Schema", "properties", "status", "properties", "detail", "properties")
	require.NoError(t, err)
	require.True(t, found)
	raw, err := json.Marshal(kube.DetailRecord{SHA256: "0", Bytes: 1, Parts: 1, Problem: "p"})
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(raw, &fields))
	for name := range fields {
		require.Contains(t, stored, name, "the API server drops what the schema does not name")
	}
}

// TestWhoMayDoWhatWithInputs: requesters make a run's Secret and read none; the runner reads none either, because it is mounted
// into its pod; the role is bound in drill's namespace alone, where the policy is.
func TestWhoMayDoWhatWithInputs(t *testing.T) {
	all := manifests(t)
	require.Equal(t, []string{"create"}, rights(t, all["Role failoverdrill/drill-inputs"], "secrets"))
	require.NotContains(t, all, "ClusterRole /drill-inputs")
	require.Empty(t, rights(t, all["ClusterRole /drill-requester"], "secrets"))
	require.NotContains(t, rights(t, all["Role failoverdrill/drill-runner"], "secrets"), "get")
	require.Subset(t, []string{"create", "get", "delete"}, rights(t, all["Role failoverdrill/drill-server"], "secrets"), "to list them is to read them all")
	policy := all["ValidatingAdmissionPolicy /inputs.failoverdrill.io"]
	labels := field[map[string]any](t, policy, "spec", "matchConstraints", "namespaceSelector", "matchLabels")
	require.Equal(t, map[string]any{"kubernetes.io/metadata.name": kube.Namespace}, labels, "it is nobody else's business")

	version := field[[]any](t, all["CustomResourceDefinition /drillruns.failoverdrill.io"], "spec", "versions")[0].(map[string]any)
	stored, found, err := unstructured.NestedMap(version, "schema", "openAPIV3Schema", "properties", "spec", "properties", "inputs", "properties")
	require.NoError(t, err)
	require.True(t, found)
	raw, err := json.Marshal(kube.Inputs{Variables: map[string]string{"v": "1"}, Secret: "0"})
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(raw, &fields))
	for name := range fields {
		require.Contains(t, stored, name, "the API server drops what the schema does not name")
	}
}
