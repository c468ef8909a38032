package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// crew is a target of n pods. Nothing here stands in for the API server's own rules: those are tested against the lab.
type crew struct {
	kube    *fake.Clientset
	members []drill.Member
	answers map[string]bool // by UID
	deps    Deps

	mu          sync.Mutex
	connected   []string                    // names that a connection was asked for
	connections map[string]drill.Connection // by UID; open until Since
}

func (c *crew) Members(context.Context) ([]drill.Member, error) { return c.members, nil }
func (c *crew) Answers(_ context.Context, m drill.Member) bool  { return c.answers[m.UID] }

func (c *crew) Connect(_ context.Context, m drill.Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected = append(c.connected, m.Name)
	slices.Sort(c.connected)
}

func (c *crew) Connection(m drill.Member) drill.Connection {
	now := c.connections[m.UID]
	if time.Now().Before(now.Since) {
		return drill.Connection{State: drill.ConnectionOpen}
	}
	return now
}

var podsResource = corev1.SchemeGroupVersion.WithResource("pods")

func (c *crew) delete(t *testing.T, name string) {
	t.Helper()
	require.NoError(t, c.kube.Tracker().Delete(podsResource, "shop", name))
}

func (c *crew) change(t *testing.T, name string, f func(*corev1.Pod)) {
	t.Helper()
	pod, err := c.kube.CoreV1().Pods("shop").Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	f(pod)
	require.NoError(t, c.kube.Tracker().Update(podsResource, pod, "shop"))
}

func readyPod(name string, born time.Time) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.Time{Time: born}},
		Spec:   corev1.PodSpec{NodeName: "n-" + name, TerminationGracePeriodSeconds: new(int64(15))},
		Status: corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
}

// newCrew has pods c, a, b, d, e … by age: c is the oldest.
func newCrew(n int) *crew {
	c := &crew{answers: map[string]bool{}, kube: fake.NewClientset()}
	born := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for i, name := range []string{"c", "a", "b", "d", "e", "f", "g"}[:n] {
		_ = c.kube.Tracker().Add(readyPod(name, born.Add(time.Duration(i)*time.Minute)))
		role := drill.RoleReplica
		if name == "b" {
			role = drill.RolePrimary
		}
		c.members = append(c.members, drill.Member{Namespace: "shop", Name: name, UID: "uid-" + name, Node: "n-" + name, IP: "10.0.0.1", Role: role})
	}
	slices.SortFunc(c.members, func(a, b drill.Member) int { return int(a.Name[0]) - int(b.Name[0]) })
	c.deps = Deps{Run: "run-1", Kube: c.kube, Target: func(name string) (Target, bool) { return c, name == "checkout" }}
	return c
}

func decodePodKill(t *testing.T, body string) (any, Kind) {
	t.Helper()
	f, diags := hclparse.NewParser().ParseHCL([]byte(body), "x.hcl")
	require.False(t, diags.HasErrors(), diags)
	kind, ok := Find("pod_kill")
	require.True(t, ok)
	spec, decoded := kind.Decode(f.Body, nil)
	diags = decoded.Diagnostics
	require.False(t, diags.HasErrors(), diags)
	return spec, kind
}

func (c *crew) plan(t *testing.T, body string) (*Fault, json.RawMessage, drill.FaultPlan, error) {
	t.Helper()
	spec, kind := decodePodKill(t, body)
	f := kind.Bind(c.deps, "checkout", spec)
	state, plan, err := f.Plan(t.Context())
	return f, state, plan, err
}

func names(ms []drill.Member) (all string) {
	for _, m := range ms {
		all += m.Name
	}
	return all
}

func TestPodKillChooses(t *testing.T) {
	for _, tc := range []struct {
		body string
		of   int
		want string
	}{
		{``, 3, "c"},
		{`count = 2`, 3, "ca"},
		{`count = 3`, 3, "cab"},
		{`count = 9`, 3, "cab"},
		{`all = true`, 5, "cabde"},
		{`percent = 50`, 3, "ca"},
		{`percent = 1`, 3, "c"},
		{`percent = 33`, 3, "c"},
		{`percent = 34`, 3, "ca"},
		{`percent = 100`, 3, "cab"},
		{`percent = 50`, 4, "ca"},
		{`role = "primary"`, 3, "b"},
		{"role = \"replica\"\nall = true", 4, "cad"},
		{"role = \"replica\"\ncount = 9", 3, "ca"},
		{"role = \"replica\"\npercent = 50", 4, "ca"},
	} {
		t.Run(fmt.Sprintf("%s of %d", tc.body, tc.of), func(t *testing.T) {
			_, _, plan, err := newCrew(tc.of).plan(t, tc.body)
			require.NoError(t, err)
			require.Equal(t, tc.want, names(plan.Victims), "the oldest first")
			require.Empty(t, plan.Nodes, "no node is touched")
			for _, v := range plan.Victims {
				require.Contains(t, plan.Sentence, v.UID)
			}
		})
	}
	c := newCrew(2) // nobody is primary
	_, _, _, err := c.plan(t, `role = "primary"`)
	var refusal *drill.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "no_victim", refusal.Code)
}

func TestPodKillArguments(t *testing.T) {
	kind, _ := Find("pod_kill")
	for body, want := range map[string]string{
		`method = "sigkill"`:              "Unknown method",
		`count = 0`:                       "Count out of range",
		`percent = 0`:                     "Percent out of range",
		`percent = 101`:                   "Percent out of range",
		`all = false`:                     "all = false",
		"count = 1\nall = true":           "Two ways to say how many",
		"percent = 10\ncount = 1":         "Two ways to say how many",
		`role = "leader"`:                 "Unknown role",
		`counts = 1`:                      "Unsupported argument",
		"all = true\npercent = 5\n\n\n#x": "Two ways to say how many",
	} {
		f, diags := hclparse.NewParser().ParseHCL([]byte(body), "x.hcl")
		require.False(t, diags.HasErrors())
		_, decoded := kind.Decode(f.Body, nil)
		diags = decoded.Diagnostics
		require.Len(t, diags, 1, body)
		require.Equal(t, want, diags[0].Summary, body)
		if want == "Two ways to say how many" {
			require.Equal(t, 2, diags[0].Subject.Start.Line, "the second one is too many")
		}
	}
}

func TestPodKillRecheck(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *crew){
		"gone":        func(t *testing.T, c *crew) { c.delete(t, "c") },
		"another uid": func(t *testing.T, c *crew) { c.change(t, "c", func(p *corev1.Pod) { p.UID = "uid-new" }) },
		"not Ready": func(t *testing.T, c *crew) {
			c.change(t, "c", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse })
		},
		"on its way out": func(t *testing.T, c *crew) {
			c.change(t, "c", func(p *corev1.Pod) {
				p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
				p.Finalizers = []string{"x"}
			})
		},
		"another role":    func(_ *testing.T, c *crew) { c.members[2].Role = drill.RolePrimary },
		"no member again": func(_ *testing.T, c *crew) { c.members = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrew(3)
			f, state, _, err := c.plan(t, `role = "replica"`)
			require.NoError(t, err)
			require.NoError(t, f.Recheck(t.Context(), state))
			change(t, c)
			require.ErrorIs(t, f.Recheck(t.Context(), state), drill.ErrVictimChanged)
		})
	}
}

// TestPodKillDeletes: with the UID as a precondition, and with no grace only when that is the method.
func TestPodKillDeletes(t *testing.T) {
	for method, grace := range map[string]*int64{"graceful": nil, "force_delete": new(int64)} {
		c := newCrew(3)
		f, state, plan, err := c.plan(t, `method = "`+method+`"`+"\ncount = 2")
		require.NoError(t, err)
		require.NoError(t, f.Inject(t.Context(), state))
		var deleted []string
		for _, a := range c.kube.Actions() {
			if d, ok := a.(clienttesting.DeleteActionImpl); ok {
				deleted = append(deleted, d.Name)
				require.Equal(t, grace, d.DeleteOptions.GracePeriodSeconds)
				require.Equal(t, types.UID("uid-"+d.Name), *d.DeleteOptions.Preconditions.UID)
			}
		}
		require.Equal(t, []string{"c", "a"}, deleted)
		require.Equal(t, "ca", names(plan.Victims))
	}
}

// evictions answers the Eviction API: the first allowed ones pass, the others meet a budget.
func (c *crew) evictions(allowed int, other error) {
	c.kube.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		switch {
		case allowed > 0:
			allowed--
			e := a.(clienttesting.CreateAction).GetObject().(*policyv1.Eviction)
			return true, nil, c.kube.Tracker().Delete(podsResource, "shop", e.Name)
		case other != nil:
			return true, nil, other
		}
		err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
		err.ErrStatus.Code = http.StatusTooManyRequests
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget checkout needs 2 healthy pods and has 2 currently"}}
		return true, nil, err
	})
}

func TestPodKillEvicts(t *testing.T) {
	t.Run("all allowed", func(t *testing.T) {
		c := newCrew(3)
		c.evictions(3, nil)
		f, state, _, err := c.plan(t, "all = true\nmethod = \"evict\"")
		require.NoError(t, err)
		require.NoError(t, f.Inject(t.Context(), state))
		by, err := f.Confirm(t.Context(), state)
		require.NoError(t, err)
		require.Equal(t, "3 pod objects gone after 0.0 s; no new connection from 0.0 s on", by)
	})
	t.Run("one allowed", func(t *testing.T) {
		c := newCrew(3)
		c.evictions(1, nil)
		f, state, _, err := c.plan(t, "all = true\nmethod = \"evict\"")
		require.NoError(t, err)
		var less *drill.Curtailed
		require.ErrorAs(t, f.Inject(t.Context(), state), &less)
		require.Equal(t, "ab", names(less.Spared))
		require.Equal(t, "1 of 3 evictions were allowed. The others were refused: The disruption budget checkout needs 2 healthy pods and has 2 currently.", less.Text)
		by, err := f.Confirm(t.Context(), state)
		require.NoError(t, err)
		require.Equal(t, "pod object gone after 0.0 s; no new connection from 0.0 s on; 2 kept by a budget", by)
	})
	t.Run("none allowed", func(t *testing.T) {
		c := newCrew(3)
		c.evictions(0, nil)
		f, state, _, err := c.plan(t, "all = true\nmethod = \"evict\"")
		require.NoError(t, err)
		var refusal *drill.Refusal
		require.ErrorAs(t, f.Inject(t.Context(), state), &refusal)
		require.Equal(t, "evictions_refused", refusal.Code)
		require.Contains(t, refusal.Text, "needs 2 healthy pods")
	})
	t.Run("an overloaded API server is no budget", func(t *testing.T) {
		c := newCrew(3)
		c.evictions(0, apierrors.NewTooManyRequests("too many requests", 0))
		f, state, _, err := c.plan(t, `method = "evict"`)
		require.NoError(t, err)
		err = f.Inject(t.Context(), state)
		require.Error(t, err)
		require.NotErrorAs(t, err, new(*drill.Refusal))
	})
}

// goneBlind is what a forced delete is confirmed by when no connection was open to the victim.
const goneBlind = "pod object gone after 0.0 s; no new connection from 0.0 s on; no connection was open that could have shown when the process ended"

// TestPodKillWaitsForOpenConnections: a pod that was deleted by force serves those who are connected until the kubelet
// ends it, and only a forced delete gets connections of drill's own.
func TestPodKillWaitsForOpenConnections(t *testing.T) {
	for name, tc := range map[string]struct {
		method    string
		connected []string
		by        string // empty: not confirmed
		after     time.Duration
	}{
		"force_delete": {"force_delete", []string{"a", "b", "c"},
			"3 pod objects gone after 0.0 s; no new connection from 0.0 s on; 2 open connections ended after 2.1 s; 1 open connection without an answer, given up after 3.2 s",
			3200 * time.Millisecond},
		"graceful":       {"graceful", nil, "3 pod objects gone after 0.0 s; no new connection from 0.0 s on", 0},
		"one stays open": {"force_delete", []string{"a", "b", "c"}, "", confirmWithin},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := newCrew(3)
				f, state, _, err := c.plan(t, "all = true\nmethod = \""+tc.method+"\"")
				require.NoError(t, err)
				require.NoError(t, f.Recheck(t.Context(), state))
				require.Equal(t, tc.connected, c.connected)
				injected := time.Now()
				require.NoError(t, f.Inject(t.Context(), state))
				if tc.connected != nil {
					ended := func(state drill.ConnectionState, after time.Duration) drill.Connection {
						return drill.Connection{State: state, Since: injected.Add(after)}
					}
					c.connections = map[string]drill.Connection{
						"uid-a": ended(drill.ConnectionEnded, 1500*time.Millisecond),
						"uid-b": ended(drill.ConnectionSilent, 3200*time.Millisecond),
						"uid-c": ended(drill.ConnectionEnded, 2100*time.Millisecond),
					}
					if tc.by == "" {
						c.connections["uid-b"] = drill.Connection{State: drill.ConnectionOpen}
					}
				}
				by, err := f.Confirm(t.Context(), state)
				require.Equal(t, tc.after, time.Since(injected).Round(100*time.Millisecond))
				if tc.by == "" {
					require.ErrorIs(t, err, drill.ErrNotConfirmed)
					require.ErrorContains(t, err, "shop/b: the pod object is gone after 0.0 s; no new connection from 0.0 s on; the connection that drill had opened before is still open")
					return
				}
				require.NoError(t, err)
				require.Equal(t, tc.by, by)
			})
		})
	}
}

func TestPodKillConfirms(t *testing.T) {
	leaving := func(p *corev1.Pod) {
		p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		p.Finalizers = []string{"x"}
	}
	for name, tc := range map[string]struct {
		method string
		after  func(*testing.T, *crew)
		by     string // empty: not confirmed
	}{
		"nothing was deleted":      {"graceful", func(*testing.T, *crew) {}, ""},
		"gone and silent":          {"force_delete", func(t *testing.T, c *crew) { c.delete(t, "c") }, goneBlind},
		"gone and answers":         {"force_delete", func(t *testing.T, c *crew) { c.delete(t, "c"); c.answers["uid-c"] = true }, ""},
		"another pod of the name":  {"force_delete", func(t *testing.T, c *crew) { c.change(t, "c", func(p *corev1.Pod) { p.UID = "uid-new" }) }, goneBlind},
		"leaving, and nobody goes": {"graceful", func(t *testing.T, c *crew) { c.change(t, "c", leaving); c.answers["uid-c"] = true }, "1 being deleted, no Service leads there"},
		"leaving, session open": {"graceful", func(t *testing.T, c *crew) {
			c.change(t, "c", leaving)
			c.connections = map[string]drill.Connection{"uid-c": {State: drill.ConnectionOpen}}
		}, "1 being deleted, no Service leads there, and 1 may serve clients that are still connected"},
		"leaving, still led to":       {"graceful", func(t *testing.T, c *crew) { c.change(t, "c", leaving); c.lead(t, true) }, ""},
		"leaving, led to as terminat": {"graceful", func(t *testing.T, c *crew) { c.change(t, "c", leaving); c.lead(t, false) }, "1 being deleted, no Service leads there"},
		"nothing was evicted":         {"evict", func(*testing.T, *crew) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := newCrew(3)
				f, state, _, err := c.plan(t, `method = "`+tc.method+`"`)
				require.NoError(t, err)
				tc.after(t, c)
				by, err := f.Confirm(t.Context(), state)
				if tc.by == "" {
					require.ErrorIs(t, err, drill.ErrNotConfirmed)
					return
				}
				require.NoError(t, err)
				require.Equal(t, tc.by, by)
			})
		})
	}
}

// lead makes a Service lead to c.
func (c *crew) lead(t *testing.T, ready bool) {
	t.Helper()
	require.NoError(t, c.kube.Tracker().Add(&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout-x"},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "c", UID: "uid-c"}}}}))
}
