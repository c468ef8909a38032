package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
)

// planWorld is a cluster with a database of three members, in which rights can be taken away.
type planWorld struct {
	api    *fake.Clientset
	dyn    *dynamicfake.FakeDynamicClient
	client *kube.Client
	denied map[string]bool // by verb and resource
	noSAR  bool            // nobody may ask for others' rights
}

const longNode = "ip-10-0-123-45.eu-central-1.compute.internal"

func newPlanWorld(objects ...runtime.Object) *planWorld {
	three := int32(3)
	ready := true
	objects = append(objects,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "drill-server", Namespace: kube.Namespace}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2}},
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "orders", Namespace: "shop"}, Spec: appsv1.StatefulSetSpec{Replicas: &three}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "orders-drill", Namespace: "shop"}, Data: map[string][]byte{"uri": []byte("postgres://drill:s3cret@orders.shop.svc:5432/orders")}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default"}, Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1"}, Ports: []corev1.ServicePort{{Port: 443}}}},
		&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default"}},
	)
	var endpoints []discoveryv1.Endpoint
	for i, role := range []string{"replica", "master", "replica"} {
		name := fmt.Sprintf("orders-%d", i)
		ip := fmt.Sprintf("10.244.0.%d", i+1)
		node := fmt.Sprintf("node-%d", i)
		if i == 2 {
			node = longNode
		}
		objects = append(objects,
			&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, UID: types.UID("node-uid-" + name), Labels: map[string]string{corev1.LabelTopologyZone: "zone-" + string(rune('a'+i))}}},
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID("8bdde421-a7de-4f90-adcf-f7782f3b870" + fmt.Sprint(i)),
				Labels: map[string]string{"application": "patroni", "cluster-name": "orders", "role": role}},
				Spec: corev1.PodSpec{NodeName: node},
				Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
					Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}})
		if role == "master" {
			endpoints = append(endpoints, discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: name, UID: types.UID("8bdde421-a7de-4f90-adcf-f7782f3b8701")}})
		}
	}
	port := int32(5432)
	objects = append(objects, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "orders-x", Namespace: "shop", Labels: map[string]string{discoveryv1.LabelServiceName: "orders"}},
		Endpoints: endpoints, Ports: []discoveryv1.EndpointPort{{Port: &port}}})
	w := &planWorld{api: fake.NewClientset(objects...), denied: map[string]bool{}}
	w.dyn = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{kube.Resource: "DrillRunList"})
	w.client = &kube.Client{Interface: w.api, Dynamic: w.dyn, Context: "fake"}
	w.api.PrependReactor("create", "selfsubjectreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: "alice"}}}, nil
	})
	w.api.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
		r.Status.Allowed = !w.denied["you "+r.Spec.ResourceAttributes.Verb+" "+r.Spec.ResourceAttributes.Resource]
		return true, r, nil
	})
	w.api.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if w.noSAR {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}, "", nil)
		}
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		r.Status.Allowed = r.Spec.User == "system:serviceaccount:failoverdrill:drill-runner" && !w.denied["runner "+r.Spec.ResourceAttributes.Verb+" "+r.Spec.ResourceAttributes.Resource]
		return true, r, nil
	})
	return w
}

// writes are the actions that were anything but reading and asking for rights.
func (w *planWorld) writes() []string {
	reviews := []string{"selfsubjectreviews", "selfsubjectaccessreviews", "subjectaccessreviews"}
	var all []string
	for _, a := range slices.Concat(w.api.Actions(), w.dyn.Actions()) {
		switch {
		case slices.Contains([]string{"get", "list", "watch"}, a.GetVerb()):
		case a.GetVerb() == "create" && slices.Contains(reviews, a.GetResource().Resource):
		default:
			all = append(all, a.GetVerb()+" "+a.GetResource().Resource)
		}
	}
	return all
}

const plannedFile = `drill "two-faults" {
  description = "Two faults, one after the other."
  timeout     = "3m"
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni,cluster-name=orders"
    dsn       = secret("orders-drill", "uri")
  }
  probe "kubernetes" "endpoints" {
    namespace = "shop"
    service   = "orders"
  }
  steady_state {
    hold = "20s"
    assert {
      condition     = probe.endpoints.ready_endpoints >= 1
      error_message = "No endpoint."
    }
    assert {
      condition     = probe.endpoints.ready_endpoints >= 2
      error_message = "Only ${probe.endpoints.ready_endpoints} endpoints."
    }
    assert {
      condition     = target.orders.lag_seconds < 1
      error_message = "Lag."
    }
  }
  fault "kill_primary" "orders" {
    hold_down = "45s"
  }
  abort "outage" {
    condition     = target.orders.outage_seconds > duration("90s")
    for           = "5s"
    error_message = "Out."
  }
}
`

func planned(t *testing.T, source string) *drill.Drill {
	t.Helper()
	f, diags := drillfile.Load("two.hcl", []byte(source), fileKinds(), drillfile.Inputs{})
	require.False(t, diags.HasErrors(), diags)
	d := f.Drills[0]
	// A second fault as the file will have it, without its syntax.
	other := shippedDrill(t, "partition-primary.hcl").Faults[0]
	other.After = 20e9
	d.Faults = append(d.Faults, other)
	return d
}

func planOf(t *testing.T, w *planWorld, d *drill.Drill) (p *plan, text string, code int) {
	t.Helper()
	p, err := makePlan(context.Background(), w.client, &loaded{Drill: d,
		open:   drill.Inputs{Variables: map[string]json.RawMessage{"namespace": json.RawMessage(`"shop"`)}},
		secret: drill.Inputs{Variables: map[string]json.RawMessage{"token": json.RawMessage(`"s3cret"`)}, Env: map[string]string{"PASSWORD": "s3cret"}}})
	require.NoError(t, err)
	var out bytes.Buffer
	code = exitCode(p.show(&Env{Stdout: &out}, outputText))
	require.Empty(t, w.writes(), "a plan writes nothing")
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), planWidth, line)
	}
	require.NotContains(t, out.String(), "s3cret")
	return p, out.String(), code
}

// TestPlan: what is touched, in which order and when, with nothing written.
func TestPlan(t *testing.T) {
	w := newPlanWorld()
	p, text, code := planOf(t, w, planned(t, plannedFile))
	require.Empty(t, p.Refused)
	require.Zero(t, code)

	require.Len(t, p.Faults, 2)
	kill, cut := p.Faults[0], p.Faults[1]
	require.Equal(t, "orders-1", kill.Victims[0].Name)
	require.Equal(t, "zone-b", kill.Victims[0].Zone)
	require.Equal(t, drill.Seconds(45), kill.Hold)
	require.Empty(t, kill.Agents)
	require.Equal(t, drill.Seconds(20), cut.At)
	require.Equal(t, []string{longNode, "node-0", "node-1"}, cut.Agents)
	require.Equal(t, "the kernel, at once", cut.Heals.AgentKilled)
	require.Contains(t, kill.Heals.RunnerLost, "the server")
	require.Len(t, p.Nodes, 3)
	require.Empty(t, kill.Nodes, "it is held down, and no node is touched")
	require.Contains(t, p.Nodes, plannedNode{Name: "node-1", UID: "node-uid-orders-1", Zone: "zone-b"})

	require.Equal(t, []moment{{0, "inject", "orders"}, {20, "inject", "cut"}, {45, "revert", "orders"}, {65, "revert", "cut"}, {80, "observed", ""}}, p.Timing.Moments)
	require.Equal(t, drill.Seconds(100), p.Timing.Least)

	var states []string
	for _, a := range p.SteadyState {
		states = append(states, a.State)
	}
	require.Equal(t, []string{stateHolds, stateBroken, stateUnknown}, states)
	require.Equal(t, "Only 1 endpoints.", p.SteadyState[1].Message)
	require.Equal(t, drill.Seconds(5), p.Aborts[0].For)
	require.Contains(t, text, `2. network_partition "cut" at T+20s: Cut pod shop/orders-1`)
	require.Contains(t, text, "A run could start now. Nothing was touched.")

	require.Equal(t, []string{"PASSWORD"}, p.Inputs.Env)
	require.Contains(t, text, `with namespace = "shop", token = (sensitive)`)

	raw, err := json.Marshal(p)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "s3cret")
	require.NotContains(t, string(raw), "null", "lists are lists, also when they are empty")
}

// TestPlanRefuses: everything that would refuse a run, at once.
func TestPlanRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*planWorld, *drill.Drill)
		code  string
		says  string
	}{
		"not available": {func(_ *planWorld, d *drill.Drill) {
			d.Unavailable = []drill.Unavailable{{Text: "Notices are not available yet.", File: "two.hcl", Line: 7}}
		}, "not_available", "two.hcl:7: Notices are not available yet."},
		"the requester lacks a right":      {func(w *planWorld, _ *drill.Drill) { w.denied["you inject faults"] = true }, "requester_rights", "You may not inject faults.failoverdrill.io kill_primary in namespace shop"},
		"the requester may ask for no run": {func(w *planWorld, _ *drill.Drill) { w.denied["you create drillruns"] = true }, "requester_rights", "You may not create drillruns"},
		"the requester may make no Secret": {func(w *planWorld, _ *drill.Drill) { w.denied["you create secrets"] = true }, "requester_rights", "You may not create secrets in namespace failoverdrill"},
		"the runner lacks a right":         {func(w *planWorld, _ *drill.Drill) { w.denied["runner delete pods"] = true }, "missing_rights", "drill install --allow shop"},
		"a guard of namespaces":            {func(_ *planWorld, d *drill.Drill) { d.Guard.Namespaces = []string{"bank"} }, "guard", `the guard allows "bank"`},
		"a guard of victims":               {func(_ *planWorld, d *drill.Drill) { d.Guard.MaxTargets = 1 }, "guard", "the guard allows 1"},
		"a precondition":                   {func(_ *planWorld, d *drill.Drill) { d.Preconditions = d.SteadyState.Asserts[1:2] }, "precondition", "Only 1 endpoints."},
		"not installed": {func(w *planWorld, _ *drill.Drill) {
			require.NoError(t, w.api.Tracker().Delete(appsv1.SchemeGroupVersion.WithResource("deployments"), kube.Namespace, "drill-server"))
		}, "not_installed", "drill install --allow shop"},
		"no server": {func(w *planWorld, _ *drill.Drill) {
			server := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "drill-server", Namespace: kube.Namespace}}
			require.NoError(t, w.api.Tracker().Update(appsv1.SchemeGroupVersion.WithResource("deployments"), server, kube.Namespace))
		}, "no_server", "nobody would admit the run"},
		"no namespace": {func(w *planWorld, _ *drill.Drill) {
			require.NoError(t, w.api.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("namespaces"), "", "shop"))
		}, "no_namespace", `There is no namespace "shop"`},
		"no primary": {func(w *planWorld, _ *drill.Drill) {
			pod, err := w.api.CoreV1().Pods("shop").Get(t.Context(), "orders-1", metav1.GetOptions{})
			require.NoError(t, err)
			pod.Labels["role"] = "replica"
			require.NoError(t, w.api.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod, "shop"))
		}, "no_one_primary", "0 members are labelled primary"},
	} {
		t.Run(name, func(t *testing.T) {
			w, d := newPlanWorld(), planned(t, plannedFile)
			tc.spoil(w, d)
			w.api.ClearActions()
			p, text, code := planOf(t, w, d)
			require.Equal(t, exitRefused, code)
			require.True(t, slices.ContainsFunc(p.Refused, func(r refused) bool { return r.Code == tc.code }), "%+v", p.Refused)
			require.Contains(t, strings.Join(strings.Fields(text), " "), tc.says)
			require.Contains(t, text, "Abort conditions", "the rest is shown all the same")
		})
	}
}

// TestPlanOfALockedScope: a run that is not over holds what this one needs.
func TestPlanOfALockedScope(t *testing.T) {
	other := "kill-primary-1"
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lock-namespace-shop-" + "x", Namespace: kube.Namespace}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &other}}
	w := newPlanWorld()
	w.api.PrependReactor("get", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if strings.HasPrefix(a.(clienttesting.GetAction).GetName(), "lock-namespace-shop-") {
			return true, lease, nil
		}
		return false, nil, nil
	})
	_, _, code := planOf(t, w, planned(t, plannedFile))
	require.Zero(t, code, "a run of which there is no record is over")
	record := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "failoverdrill.io/v1alpha1", "kind": "DrillRun",
		"metadata": map[string]any{"name": other, "namespace": kube.Namespace}, "status": map[string]any{"phase": "Running"}}}
	require.NoError(t, w.dyn.Tracker().Create(kube.Resource, record, kube.Namespace))
	p, _, code := planOf(t, w, planned(t, plannedFile))
	require.Equal(t, exitRefused, code)
	require.Equal(t, []refused{{Code: "locked", Text: "Run kill-primary-1 holds the lock of namespace/shop. Wait for its end, or cancel it."}}, p.Refused)
}

// TestPlanSaysWhatItCannotKnow: what a requester may not ask is unknown, and refuses nothing.
func TestPlanSaysWhatItCannotKnow(t *testing.T) {
	w, d := newPlanWorld(), planned(t, plannedFile)
	w.noSAR = true
	for _, resource := range []string{"nodes", "leases", "deployments"} {
		w.api.PrependReactor("*", resource, func(a clienttesting.Action) (bool, runtime.Object, error) {
			if resource == "nodes" && a.GetVerb() == "get" {
				return false, nil, nil
			}
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", nil)
		})
	}
	d.Guard = drill.Guard{NoAlert: []string{"DatabaseDown"}, Prometheus: "http://no-such-prometheus.invalid:1"}
	p, text, code := planOf(t, w, d)
	require.Zero(t, code, "%+v", p.Refused)
	unknown := map[string]bool{}
	for _, g := range p.Guards {
		unknown[g.Guard] = g.State == stateUnknown
	}
	require.Equal(t, map[string]bool{"installed": true, "limit": false, "locked": true, "guard.no_alert": true}, unknown)
	require.NotEmpty(t, p.Rights[1].Unknown)
	require.Contains(t, text, "you may not list nodes")
}

// TestPlanOfWhatYouMayNotSee: what is hidden from you is not hidden from the runner.
func TestPlanOfWhatYouMayNotSee(t *testing.T) {
	w := newPlanWorld()
	w.api.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)
	})
	p, text, code := planOf(t, w, planned(t, plannedFile))
	require.Zero(t, code, "%+v", p.Refused)
	require.Contains(t, p.Faults[0].NotNow, "could not be looked at")
	require.Contains(t, strings.Join(p.Unknown, " "), `Who the members of target "orders" are`)
	require.Contains(t, text, "Nothing that can be seen from here keeps a run from starting.")
	require.NotContains(t, text, "A run could start now")

	w.denied = map[string]bool{"you create drillruns": true, "you watch drillruns": true}
	p, _, code = planOf(t, w, planned(t, plannedFile))
	require.Equal(t, exitRefused, code)
	require.Equal(t, []string{"create, watch drillruns.failoverdrill.io in namespace failoverdrill"}, p.Rights[0].Missing)
}

func TestPlanPicture(t *testing.T) {
	d := planned(t, plannedFile)
	d.Stagger = 30e9
	fs := []plannedFault{{Name: "orders", Hold: 45}, {Name: "cut", At: 20, Hold: 45}, {Name: "at-once", At: 20}}
	timing := timingOf(d, fs)
	require.Equal(t, `
steady state              ==========
random delay, up to                 ????????????????
1 orders                                            #######################
2 cut                                                         #######################
3 at-once                                                     #
observation, at least                               ----------------------------------------->
                               |         |          |         |         |          |
                               T-40s     T-20s      T         T+20s     T+40s      T+1m`, "\n"+strings.Join(timing.picture(fs), "\n"))
	require.Equal(t, drill.Seconds(0.25), timing.Blip)
	var usual, changed sheet
	(&plan{Timing: timing}).timingText(&usual)
	require.NotContains(t, usual.String(), "blip")
	timing.Blip = 0.1
	(&plan{Timing: timing}).timingText(&changed)
	require.Contains(t, changed.String(), "An outage is 100ms or more without timely answers")
	long := timingOf(d, []plannedFault{{Name: "orders", Hold: 90}, {Name: "cut", At: 20, Hold: 45}})
	require.Equal(t, drill.Seconds(90), long.Observed, "no run ends while a fault lasts")
	require.Equal(t, "1m30s", span(90))
	require.Equal(t, "2h", span(7200))
	require.Equal(t, "500ms", span(0.5))
}

// TestHealingIsDocumented: the plan says in short what the table of docs/faults says and proves.
func TestHealingIsDocumented(t *testing.T) {
	page := content(t, "../../docs/faults/README.md")
	for _, k := range faults.Kinds() {
		for _, p := range []drill.FaultPlan{{}, {Hold: 1}} {
			h := k.Healing(p)
			for _, cell := range []string{h.RunnerLost, h.APIServerLost, h.NodeLost} {
				require.NotEmpty(t, cell, "%s: say so when nothing heals", k.Name)
			}
			for _, cell := range []string{h.AgentKilled, h.AgentHung, h.RunnerLost, h.APIServerLost, h.NodeLost} {
				require.Contains(t, page, cell, k.Name)
			}
		}
	}
}

// TestPlanWithoutAClusterOfWhatIsNotAvailable: no cluster could make such a drill run.
func TestPlanWithoutAClusterOfWhatIsNotAvailable(t *testing.T) {
	written(t, map[string]string{
		"later.hcl": strings.Replace(validDrill("later"), "{}", "{\n    method = \"sigkill\"\n  }", 1), "now.hcl": validDrill("now"),
	})
	code, out, errs := call(t, "plan", "later.hcl", "--kubeconfig", "none")
	require.Equal(t, exitRefused, code)
	require.Empty(t, out)
	require.Contains(t, errs, "\n  later.hcl:9: method = \"sigkill\" belongs to the drill language")
	require.Contains(t, errs, "The cluster could not be looked at: ")

	code, out, _ = call(t, "plan", "later.hcl", "--kubeconfig", "none", "--output", "json")
	require.Equal(t, exitRefused, code)
	require.NotContains(t, out, "null")
	var p plan
	require.NoError(t, json.Unmarshal([]byte(out), &p))
	require.Len(t, p.Refused, 1)
	require.Equal(t, refused{"not_available", p.Refused[0].Text, "later.hcl", 9}, p.Refused[0])
	require.Len(t, p.Unknown, 1)

	code, _, errs = call(t, "plan", "now.hcl", "--kubeconfig", "none")
	require.Equal(t, exitError, code, "without a cluster there is nothing to say of it")
	require.Contains(t, errs, "none")
	code, _, errs = call(t, "run", "later.hcl", "--kubeconfig", "none")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errs, "later.hcl:9: ")
}

// TestPlanOfSeveralTargets: all of them are looked at, a fault is judged by its own alone, and a run is refused.
func TestPlanOfSeveralTargets(t *testing.T) {
	source := strings.Replace(plannedFile, "  steady_state {", `  target "deployment" "queue" {
    namespace = "shop"
    selector  = "app=queue"
  }
  probe "tcp" "clients" {
    address = "queue.shop:7000"
  }
  steady_state {`, 1)
	p, _, code := planOf(t, newPlanWorld(), planned(t, source))
	require.Equal(t, exitRefused, code)
	require.Len(t, p.Targets, 2)
	require.Len(t, p.Targets[0].Members, 3)
	require.Equal(t, "not_available", p.Refused[0].Code)
	require.Contains(t, p.Refused[0].String(), "two.hcl:13: ")
	require.Equal(t, "no_members", p.Refused[1].Code)
	require.Len(t, p.Faults[0].Victims, 1, "the other target keeps nothing from being planned")
}
