package faults

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// victimOf is a target with one primary that answers for as long as it is told to.
type victimOf struct {
	primary    drill.Member
	err        error
	answers    bool
	connected  []string                // the UIDs that a connection was asked for
	connection func() drill.Connection // nil: there is none
}

func (v *victimOf) Primary(context.Context) (drill.Member, error) { return v.primary, v.err }
func (v *victimOf) Members(context.Context) ([]drill.Member, error) {
	return []drill.Member{v.primary}, v.err
}
func (v *victimOf) Answers(context.Context, drill.Member) bool { return v.answers }

func (v *victimOf) Connect(_ context.Context, m drill.Member) {
	v.connected = append(v.connected, m.UID+" at "+m.IP)
}

func (v *victimOf) Connection(drill.Member) drill.Connection {
	if v.connection == nil {
		return drill.Connection{}
	}
	return v.connection()
}

type lab struct {
	kube   *fake.Clientset
	target *victimOf
	deps   Deps
	// policed says that the API server denies the binding of what is held.
	policed bool
}

func newLab() *lab {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders-0", UID: "u0"}, Spec: corev1.PodSpec{NodeName: "n1"}}
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: kube.Namespace, Name: kube.HeldMembers}}
	l := &lab{kube: fake.NewClientset(pod, held), target: &victimOf{
		primary: drill.Member{Namespace: "shop", Name: "orders-0", UID: "u0", Node: "n1", IP: "10.0.0.1", Role: drill.RolePrimary}}}
	// As the policy does it, which test/e2e and internal/kube try on a real API server.
	l.kube.PrependReactor("create", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "binding" {
			return false, nil, nil
		}
		b := a.(ktesting.CreateAction).GetObject().(*corev1.Binding)
		found, err := l.kube.Tracker().Get(corev1.SchemeGroupVersion.WithResource("configmaps"), kube.Namespace, kube.HeldMembers)
		if err == nil && l.policed && found.(*corev1.ConfigMap).Data[b.Namespace+"."+b.Name] != "" {
			return true, nil, apierrors.NewForbidden(corev1.Resource("pods"), b.Name, errors.New("ValidatingAdmissionPolicy '"+kube.HeldPolicy+"' denied request"))
		}
		return true, nil, apierrors.NewNotFound(corev1.Resource("pods"), b.Name)
	})
	l.policed = true
	l.deps = Deps{Run: "run-1", Kube: l.kube, Target: func(name string) (Target, bool) { return l.target, name == "orders" }}
	return l
}

func (l *lab) fault(t *testing.T, body string) *Fault {
	t.Helper()
	f, diags := hclparse.NewParser().ParseHCL([]byte(body), "x.hcl")
	require.False(t, diags.HasErrors(), diags)
	kind, ok := Find("kill_primary")
	require.True(t, ok)
	spec, decoded := kind.Decode(f.Body, nil)
	diags = decoded.Diagnostics
	require.False(t, diags.HasErrors(), diags)
	return kind.Bind(l.deps, "orders", spec)
}

func (l *lab) plan(t *testing.T, body string) (*Fault, json.RawMessage, drill.FaultPlan) {
	t.Helper()
	f := l.fault(t, body)
	state, plan, err := f.Plan(t.Context())
	require.NoError(t, err)
	return f, state, plan
}

// held are the keys of the members that are held down.
func (l *lab) held(t *testing.T) []string {
	t.Helper()
	held, _, err := kube.ReadHeld(t.Context(), l.kube)
	require.NoError(t, err)
	return slices.Sorted(maps.Keys(held))
}

// arrive makes the victim's pod anew, on a node or on none.
func (l *lab) arrive(t *testing.T, uid, node string) {
	t.Helper()
	_, err := l.kube.CoreV1().Pods("shop").Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders-0", UID: types.UID(uid)},
		Spec: corev1.PodSpec{NodeName: node}}, metav1.CreateOptions{})
	require.NoError(t, err)
}

func (l *lab) podGone(t *testing.T) bool {
	t.Helper()
	_, err := l.kube.CoreV1().Pods("shop").Get(t.Context(), "orders-0", metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

func TestKillPrimaryWithHoldDown(t *testing.T) {
	l := newLab()
	f, state, plan := l.plan(t, `hold_down = "45s"`)
	require.Equal(t, 45*time.Second, plan.Hold)
	require.Equal(t, "force_delete", plan.Method)
	require.Contains(t, plan.Sentence, "shop/orders-0")
	require.Empty(t, plan.Nodes, "no node is touched")
	require.Empty(t, l.held(t), "a plan only reads")
	require.False(t, l.podGone(t), "a plan only reads")

	require.NoError(t, f.Recheck(t.Context(), state))
	require.NoError(t, f.Inject(t.Context(), state))
	defer func() { require.NoError(t, f.Revert(t.Context(), state)) }()
	require.True(t, l.podGone(t))
	require.Contains(t, l.held(t), "shop.orders-0")

	by, err := f.Confirm(t.Context(), state)
	require.NoError(t, err)
	require.NotEmpty(t, by)
	require.NoError(t, f.Broken())
	require.NoError(t, f.Held(t.Context(), state))

	// Another process reverts from the state alone, and twice does no harm.
	kind, _ := Find("kill_primary")
	other := kind.Restore(Deps{Run: "run-1", Kube: l.kube})
	require.NoError(t, other.Revert(t.Context(), state))
	require.Empty(t, l.held(t), "nor the proof's name")
	require.NoError(t, other.Revert(t.Context(), state))
	for _, a := range l.kube.Actions() {
		require.NotEqual(t, "nodes", a.GetResource().Resource, "hold_down has nothing to do with nodes")
	}
}

// TestNothingIsKilledThatCannotBeHeld: without the policy the member would be back at once, and the run be worth nothing.
func TestNothingIsKilledThatCannotBeHeld(t *testing.T) {
	for name, breakIt := range map[string]func(*lab){
		"no policy": func(l *lab) { l.policed = false },
		"no map": func(l *lab) {
			_ = l.kube.CoreV1().ConfigMaps(kube.Namespace).Delete(context.Background(), kube.HeldMembers, metav1.DeleteOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				l := newLab()
				breakIt(l)
				f, state, _ := l.plan(t, `hold_down = "45s"`)
				var refusal *drill.Refusal
				require.ErrorAs(t, f.Inject(t.Context(), state), &refusal)
				require.Equal(t, "cannot_hold", refusal.Code)
				require.False(t, l.podGone(t))
				require.NoError(t, f.Revert(t.Context(), state))
				require.Empty(t, l.held(t))
			})
		})
	}
}

// TestAHoldThatBreaksIsNoticed: at once, and also when it is seen at the end only.
func TestAHoldThatBreaksIsNoticed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab()
		f, state, _ := l.plan(t, `hold_down = "45s"`)
		require.NoError(t, f.Inject(t.Context(), state))
		l.arrive(t, "u0-again", "")
		time.Sleep(10 * time.Second)
		require.NoError(t, f.Broken(), "it waits for a node")
		require.NoError(t, f.Held(t.Context(), state))
		require.NoError(t, l.kube.CoreV1().Pods("shop").Delete(t.Context(), "orders-0", metav1.DeleteOptions{}))
		l.arrive(t, "u0-third", "n2")
		time.Sleep(heldEvery + time.Millisecond)
		require.ErrorIs(t, f.Broken(), drill.ErrNotConfirmed)
		require.ErrorContains(t, f.Broken(), "u0-third")
		require.ErrorIs(t, f.Held(t.Context(), state), drill.ErrNotConfirmed)
		require.NoError(t, f.Revert(t.Context(), state))
	})
	bubble.Test(t, func(t *testing.T) {
		l := newLab()
		f, state, _ := l.plan(t, `hold_down = "45s"`)
		require.NoError(t, f.Inject(t.Context(), state))
		l.arrive(t, "u0-again", "n2")
		require.ErrorIs(t, f.Held(t.Context(), state), drill.ErrNotConfirmed)
		require.NoError(t, f.Revert(t.Context(), state))
	})
}

// TestGeneratedNamesAreHeldByTheirPrefix: a ReplicaSet's next pod has another name.
func TestGeneratedNamesAreHeldByTheirPrefix(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab()
		pod := func(name, uid, node string) *corev1.Pod {
			return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, GenerateName: "orders-7d9f-", UID: types.UID(uid),
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "orders-7d9f", Controller: new(true)}}}, Spec: corev1.PodSpec{NodeName: node}}
		}
		for _, p := range []*corev1.Pod{pod("orders-7d9f-abcde", "u0", "n1"), pod("orders-7d9f-other", "u1", "n2")} {
			_, err := l.kube.CoreV1().Pods("shop").Create(t.Context(), p, metav1.CreateOptions{})
			require.NoError(t, err)
		}
		l.target.primary.Name = "orders-7d9f-abcde"
		f, state, plan := l.plan(t, `hold_down = "45s"`)
		require.Contains(t, plan.Sentence, "every new pod of ReplicaSet orders-7d9f")
		require.NotEmpty(t, plan.Beside, "it holds more than the one")
		require.NoError(t, f.Inject(t.Context(), state))
		require.Contains(t, l.held(t), "shop.orders-7d9f-_")
		require.NoError(t, f.Held(t.Context(), state), "the other one was there before")
		_, err := l.kube.CoreV1().Pods("shop").Create(t.Context(), pod("orders-7d9f-newer", "u2", "n1"), metav1.CreateOptions{})
		require.NoError(t, err)
		time.Sleep(heldEvery + time.Millisecond)
		require.ErrorContains(t, f.Broken(), "orders-7d9f-newer")
		require.NoError(t, f.Revert(t.Context(), state))
		require.Empty(t, l.held(t))
	})
}

// TestRevertLeavesOthersHoldAlone: the entry is the other run's by then.
func TestRevertLeavesOthersHoldAlone(t *testing.T) {
	l := newLab()
	f, state, _ := l.plan(t, `hold_down = "45s"`)
	require.NoError(t, f.Inject(t.Context(), state))
	require.NoError(t, kube.HoldDown(t.Context(), l.kube, "shop.orders-0", kube.HeldMember{Run: "run-2"}))
	require.NoError(t, f.Revert(t.Context(), state))
	require.Equal(t, []string{"failoverdrill.proof-run-2", "shop.orders-0"}, l.held(t))
}

func TestRecheckRefusesAChangedVictim(t *testing.T) {
	for name, change := range map[string]func(*lab){
		"another member leads":   func(l *lab) { l.target.primary.Name, l.target.primary.UID = "orders-1", "u1" },
		"same name, another uid": func(l *lab) { l.target.primary.UID = "u0-again" },
		"no primary any more":    func(l *lab) { l.target.err = errors.New("no member says that it is the primary") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab()
			f, state, _ := l.plan(t, "")
			change(l)
			require.ErrorIs(t, f.Recheck(t.Context(), state), drill.ErrVictimChanged)
		})
	}
}

// TestConfirmNeedsEverySign: the object goes first, then the endpoint, and the process may serve those who are connected.
func TestConfirmNeedsEverySign(t *testing.T) {
	const none, open, ended, silent = drill.ConnectionNone, drill.ConnectionOpen, drill.ConnectionEnded, drill.ConnectionSilent
	for name, tc := range map[string]struct {
		kept    bool // nothing is deleted
		answers bool
		state   drill.ConnectionState
		at      time.Duration // when the connection took the state, after the injection; open before, when later
		by      string        // empty: not confirmed
		seen    string        // of what was not confirmed
	}{
		"gone, connection reset": {state: ended, at: 2100 * time.Millisecond,
			by: "pod object gone after 0.0 s; no new connection from 0.0 s on; open connection ended after 2.1 s"},
		"gone, connection silent": {state: silent, at: 1400 * time.Millisecond,
			by: "pod object gone after 0.0 s; no new connection from 0.0 s on; open connection without an answer, given up after 1.4 s"},
		"gone, none was open": {state: none,
			by: "pod object gone after 0.0 s; no new connection from 0.0 s on; no connection was open that could have shown when the process ended"},
		"gone, it had ended before": {state: ended, at: -time.Second,
			by: "pod object gone after 0.0 s; no new connection from 0.0 s on; no connection was open that could have shown when the process ended"},
		"gone, connection open": {state: open,
			seen: "no new connection from 0.0 s on; the connection that drill had opened before is still open"},
		"object gone, answers": {answers: true, state: ended, at: time.Second, seen: "the address still accepts new connections"},
		"nothing was deleted":  {kept: true, state: ended, at: time.Second, seen: "the pod object is still there"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				l := newLab()
				f, state, _ := l.plan(t, "")
				require.NoError(t, f.Recheck(t.Context(), state))
				require.Equal(t, []string{"u0 at 10.0.0.1"}, l.target.connected, "right before the injection")
				time.Sleep(2 * time.Second) // in the bubble: the connection is older than the injection
				injected := time.Now()
				if !tc.kept {
					require.NoError(t, f.Inject(t.Context(), state))
				}
				l.target.answers = tc.answers
				l.target.connection = func() drill.Connection {
					since := injected.Add(tc.at)
					switch {
					case tc.state == none || tc.state == open:
						return drill.Connection{State: tc.state}
					case time.Now().Before(since):
						return drill.Connection{State: open}
					}
					return drill.Connection{State: tc.state, Since: since}
				}
				by, err := f.Confirm(t.Context(), state)
				if tc.by == "" {
					require.ErrorIs(t, err, drill.ErrNotConfirmed)
					require.ErrorContains(t, err, tc.seen)
					require.Equal(t, confirmWithin, time.Since(injected))
					return
				}
				require.NoError(t, err)
				require.Equal(t, tc.by, by)
				require.Equal(t, max(tc.at, 0), time.Since(injected).Round(100*time.Millisecond), "no sooner and no later")
			})
		})
	}
}

func TestKillPrimaryArguments(t *testing.T) {
	kind, _ := Find("kill_primary")
	for body, summary := range map[string]string{
		`method = "sigkill"`: "Not available yet",
		`method = "forced"`:  "Unknown method",
		`hold_down = "90"`:   "Invalid duration",
		`hold_down = "-1s"`:  "Invalid duration",
		`hold_up = "1s"`:     "Unsupported argument",
	} {
		f, diags := hclparse.NewParser().ParseHCL([]byte(body), "x.hcl")
		require.False(t, diags.HasErrors())
		_, decoded := kind.Decode(f.Body, nil)
		diags = decoded.Diagnostics
		require.Len(t, diags, 1, body)
		require.Equal(t, summary, diags[0].Summary, body)
		require.Equal(t, 1, diags[0].Subject.Start.Line, body)
	}
}
