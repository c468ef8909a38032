package faults

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ktesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

func k8sUID(uid string) types.UID { return types.UID(uid) }

const (
	isolate  = `target = "orders"` + "\n" + `duration = "10s"` + "\n" + `from = { role = "primary" }` + "\n" + `to = { role = "replica", api_server = true }` + "\n"
	bySelect = `target = "orders"` + "\n" + `duration = "10s"` + "\n" + `from = { selector = "app=orders" }` + "\n"
)

func (n *network) fault(t *testing.T, body string) *Fault {
	t.Helper()
	f, diags := hclparse.NewParser().ParseHCL([]byte(body), "x.hcl")
	require.False(t, diags.HasErrors(), diags)
	kind, ok := Find("network_partition")
	require.True(t, ok)
	spec, decoded := kind.Decode(f.Body, nil)
	diags = decoded.Diagnostics
	require.False(t, diags.HasErrors(), diags)
	return kind.Bind(n.deps, "cut", spec)
}

func (n *network) planned(t *testing.T, body string) (*Fault, json.RawMessage, drill.FaultPlan) {
	t.Helper()
	f := n.fault(t, body)
	state, plan, err := f.Plan(t.Context())
	require.NoError(t, err)
	return f, state, plan
}

func (n *network) prepared(t *testing.T, body string) (*Fault, json.RawMessage) {
	t.Helper()
	f := n.fault(t, body)
	state, _, err := f.Plan(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.Prepare(t.Context(), state))
	return f, state
}

func TestAPartitionIsCutProvedHeldAndHealed(t *testing.T) {
	for _, direction := range []string{"both", "in", "out"} {
		t.Run(direction, func(t *testing.T) {
			n := newNetwork(t)
			before := n.rulesets(t)
			f := n.fault(t, isolate+`direction = "`+direction+`"`)
			state, plan, err := f.Plan(t.Context())
			require.NoError(t, err)
			require.True(t, plan.Prepares)
			require.Equal(t, 10*time.Second, plan.Hold)
			require.Equal(t, []string{"n1", "n2"}, plan.Nodes)
			require.Equal(t, []string{"u0"}, []string{plan.Victims[0].UID})
			for _, s := range []string{"orders-0 (primary)", "orders-1 (replica)", "10.78.0.9:6443", "10s", "n1, n2"} {
				require.Contains(t, plan.Sentence, s)
			}
			require.Empty(t, n.left(t), "a plan only reads")

			require.NoError(t, f.Prepare(t.Context(), state))
			require.Equal(t, before, n.rulesets(t), "preparing touches no victim")
			require.NoError(t, f.Recheck(t.Context(), state))
			require.NoError(t, f.Inject(t.Context(), state))
			require.False(t, n.reaches(t, apiAddress+":6443"))
			arriving, leaving := "drop what comes from peers4", "drop what goes to peers4"
			require.Equal(t, direction != "out", strings.Contains(n.ruleset(t, 0), arriving), "as from sees it")
			require.Equal(t, direction != "in", strings.Contains(n.ruleset(t, 0), leaving))
			require.Equal(t, direction != "in", strings.Contains(n.ruleset(t, 1), arriving), "and at the other end")
			require.Equal(t, direction != "out", strings.Contains(n.ruleset(t, 1), leaving))
			by, err := f.Confirm(t.Context(), state)
			require.NoError(t, err)
			require.Contains(t, by, "new connections on 3 paths timed out and 3 open ones fell silent")
			require.NoError(t, f.Held(t.Context(), state))

			require.NoError(t, f.Revert(t.Context(), state))
			require.True(t, n.reaches(t, apiAddress+":6443"))
			require.Equal(t, before, n.rulesets(t))
			require.Empty(t, n.left(t))
			require.NoError(t, f.Revert(t.Context(), state), "any number of times")
		})
	}
}

func TestACutThatDoesNotBiteIsNotConfirmed(t *testing.T) {
	n := newNetwork(t)
	f, state := n.prepared(t, isolate)
	require.NoError(t, f.Recheck(t.Context(), state))
	_, err := f.Confirm(t.Context(), state) // nothing was injected
	require.ErrorIs(t, err, drill.ErrNotConfirmed)
	require.ErrorContains(t, err, "in spite of the cut")
	require.NoError(t, f.Revert(t.Context(), state))
}

func TestAnAgentThatDiesBreaksTheCut(t *testing.T) {
	n := newNetwork(t)
	f, state := n.prepared(t, isolate)
	require.NoError(t, f.Recheck(t.Context(), state))
	require.NoError(t, f.Inject(t.Context(), state))
	require.NoError(t, f.Held(t.Context(), state))
	require.NoError(t, f.Broken())
	n.end(agentPrefix("run-1", "cut") + "-0")
	require.Eventually(t, func() bool { return errors.Is(f.Broken(), drill.ErrNotConfirmed) }, 2*time.Second, 50*time.Millisecond, "T21: at once, and not at the planned end")
	require.ErrorIs(t, f.Held(t.Context(), state), drill.ErrNotConfirmed)
	require.NoError(t, f.Revert(t.Context(), state))
	require.Empty(t, n.rulesets(t))
	require.Empty(t, n.left(t))
}

func TestAnotherProcessHealsFromTheStateAlone(t *testing.T) {
	n := newNetwork(t)
	f, state := n.prepared(t, isolate)
	require.NoError(t, f.Recheck(t.Context(), state))
	require.NoError(t, f.Inject(t.Context(), state))
	require.NotEmpty(t, n.rulesets(t))
	kind, _ := Find("network_partition")
	other := kind.Restore(Deps{Run: "run-1", Kube: n.kube})
	require.NoError(t, other.Revert(t.Context(), state))
	require.Eventually(t, func() bool { return n.rulesets(t) == "" }, time.Second, 10*time.Millisecond)
	require.Empty(t, n.left(t))
	require.NoError(t, other.Revert(t.Context(), state), "any number of times")
	require.ErrorIs(t, f.Held(t.Context(), state), drill.ErrNotConfirmed, "whoever was the runner finds out")
	require.NoError(t, f.Revert(t.Context(), state))
}

func TestTheCutIsHealedWithoutTheAPIServer(t *testing.T) {
	n := newNetwork(t)
	f, state := n.prepared(t, isolate)
	require.NoError(t, f.Recheck(t.Context(), state))
	away := true
	n.kube.PrependReactor("*", "*", func(ktesting.Action) (bool, runtime.Object, error) {
		return away, nil, errors.New("the API server is away")
	})
	require.NoError(t, f.Inject(t.Context(), state))
	_, err := f.Confirm(t.Context(), state)
	require.NoError(t, err)
	require.NoError(t, f.Held(t.Context(), state))
	require.ErrorContains(t, f.Revert(t.Context(), state), "away", "the agent pods are still there")
	require.Empty(t, n.rulesets(t), "and the cut is not")
	away = false
	require.NoError(t, f.Revert(t.Context(), state))
	require.Empty(t, n.left(t))
}

func TestAPreparationIsTakenAwayByAnyProcess(t *testing.T) {
	n := newNetwork(t)
	_, state := n.prepared(t, isolate)
	require.Len(t, n.left(t), 4, "two agents with a Secret each")
	kind, _ := Find("network_partition")
	require.NoError(t, kind.Restore(Deps{Run: "run-1", Kube: n.kube}).Revert(t.Context(), state))
	require.Empty(t, n.left(t))
}

func TestAPathThatIsClosedBeforeRefusesTheRun(t *testing.T) {
	n := newNetwork(t)
	f, state := n.prepared(t, isolate)
	n.in(t, 1, func() error {
		return run("nft", "add table ip theirs; add chain ip theirs in { type filter hook input priority 0; }; add rule ip theirs in tcp dport 6443 drop")
	})
	var refusal *drill.Refusal
	require.ErrorAs(t, f.Recheck(t.Context(), state), &refusal)
	require.Equal(t, "path_closed", refusal.Code)
	require.Contains(t, refusal.Text, "from pod shop/orders-0 to the API server")
	require.NoError(t, f.Revert(t.Context(), state), "that it does not work afterwards either is not ours")
}

func TestTheVictimOfAPartitionIsChecked(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *network){
		"another leads": func(_ *testing.T, n *network) {
			n.group.members[0], n.group.members[1] = n.group.members[1], n.group.members[0]
		},
		"a pod is new": func(t *testing.T, n *network) {
			pod, err := n.kube.CoreV1().Pods("shop").Get(t.Context(), "orders-1", metav1.GetOptions{})
			require.NoError(t, err)
			pod.UID = "u1-again"
			_, err = n.kube.CoreV1().Pods("shop").Update(t.Context(), pod, metav1.UpdateOptions{})
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			f, state := n.prepared(t, isolate)
			change(t, n)
			require.ErrorIs(t, f.Recheck(t.Context(), state), drill.ErrVictimChanged)
			require.NoError(t, f.Revert(t.Context(), state))
			require.Empty(t, n.left(t))
		})
	}
}

func TestSidesAreChecked(t *testing.T) {
	n := newNetwork(t)
	for name, tc := range map[string]struct{ body, code, text string }{
		"overlap":         {bySelect + `to = { role = "replica" }`, "sides_overlap", "orders-1"},
		"nobody":          {bySelect + `to = { selector = "app=nothing" }`, "no_pods", "app=nothing"},
		"another's place": {bySelect + `to = { selector = "app=orders", namespace = "empty" }`, "no_pods", "namespace empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := n.fault(t, tc.body).Plan(t.Context())
			var refusal *drill.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, tc.code, refusal.Code)
			require.Contains(t, refusal.Text, tc.text)
		})
	}
	_, plan, err := n.fault(t, bySelect+`to = { api_server = true }`).Plan(t.Context())
	require.NoError(t, err)
	require.Len(t, plan.Victims, 2)
	pod, err := n.kube.CoreV1().Pods("shop").Get(t.Context(), "orders-1", metav1.GetOptions{})
	require.NoError(t, err)
	pod.Spec.HostNetwork = true
	_, err = n.kube.CoreV1().Pods("shop").Update(t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(t, err)
	_, _, err = n.fault(t, isolate).Plan(t.Context())
	require.ErrorContains(t, err, "cutting it would cut the node")
}

// TestTwoPartitionsOfARunHaveAgentsOfTheirOwn, whatever their faults are called.
func TestTwoPartitionsOfARunHaveAgentsOfTheirOwn(t *testing.T) {
	require.NotEqual(t, agentPrefix("run-1", "cut"), agentPrefix("run-1", "cut_2"))
	require.Regexp(t, "^agent-run-1-[0-9a-f]{4}$", agentPrefix("run-1", "Cut_2"), "a pod may be called so")
	n := newNetwork(t)
	f, state := n.prepared(t, isolate)
	require.Contains(t, string(state), agentPrefix("run-1", "cut")+"-0")
	require.Contains(t, string(state), `"`+agentPrefix("run-1", "cut")+`-0"`)
	require.NoError(t, f.Revert(t.Context(), state))
}

func TestTheAgentPodHasNoMoreThanItNeeds(t *testing.T) {
	n := newNetwork(t)
	f, state := n.prepared(t, isolate)
	pod, err := n.kube.CoreV1().Pods(kube.AgentNamespace).Get(t.Context(), agentPrefix("run-1", "cut")+"-0", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "n1", pod.Spec.NodeName)
	require.False(t, *pod.Spec.AutomountServiceAccountToken)
	require.Equal(t, int64((time.Minute + 10*time.Second + agentMargin).Seconds()), *pod.Spec.ActiveDeadlineSeconds)
	security := pod.Spec.Containers[0].SecurityContext
	require.Nil(t, security.Privileged)
	require.Equal(t, []corev1.Capability{"ALL"}, security.Capabilities.Drop)
	require.ElementsMatch(t, []corev1.Capability{"SYS_PTRACE", "SYS_ADMIN", "NET_ADMIN"}, security.Capabilities.Add)
	// T21: its own key and no neighbour's.
	require.Equal(t, pod.Name, pod.Spec.Volumes[0].Secret.SecretName)
	own, err := n.kube.CoreV1().Secrets(kube.AgentNamespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, own.Data, 3)
	other, err := n.kube.CoreV1().Secrets(kube.AgentNamespace).Get(t.Context(), agentPrefix("run-1", "cut")+"-1", metav1.GetOptions{})
	require.NoError(t, err)
	require.NotEqual(t, own.Data[kube.AgentKey], other.Data[kube.AgentKey])
	require.Empty(t, pod.OwnerReferences, "an owner in another namespace would make the garbage collector delete it")
	require.NoError(t, f.Revert(t.Context(), state))
	n.deps.Agents.Image = ""
	var refusal *drill.Refusal
	require.ErrorAs(t, n.fault(t, isolate).Prepare(t.Context(), state), &refusal)
}

func TestOnlyServicesBehindWhichTheOtherSideAloneStandsAreTried(t *testing.T) {
	from := []partitionedPod{{Member: drill.Member{UID: "u0"}}}
	to := []partitionedPod{{IPs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}, {IPs: []netip.Addr{netip.MustParseAddr("10.0.0.3")}}}
	service := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.7", Ports: []corev1.ServicePort{{Port: 5432}, {Port: 53, Protocol: corev1.ProtocolUDP}}}}
	require.Len(t, pathsThrough(service, []string{"10.0.0.3"}, from, to), 1)
	require.Empty(t, pathsThrough(service, []string{"10.0.0.3", "10.0.0.4"}, from, to), "a third pod would answer")
	require.Empty(t, pathsThrough(service, nil, from, to))
	service.Spec.ClusterIP = corev1.ClusterIPNone
	require.Empty(t, pathsThrough(service, []string{"10.0.0.3"}, from, to))
}

func TestNetworkPartitionArguments(t *testing.T) {
	kind, _ := Find("network_partition")
	const from, to, length = `from = { role = "primary" }`, `to = { role = "replica" }`, `duration = "60s"`
	for _, tc := range []struct {
		lines   []string
		at      int // line
		column  int // 0: any
		summary string
	}{
		{[]string{from, to}, 1, 0, "Missing required argument"},
		{[]string{from, to, `duration = "60"`}, 3, 12, "Invalid duration"},
		{[]string{from, to, `duration = "1s"`}, 3, 12, "Duration out of range"},
		{[]string{from, to, length, `direction = "sideways"`}, 4, 13, "Unknown direction"},
		{[]string{from, to, length, `action = "reject"`}, 4, 10, "Not available yet"},
		{[]string{from, to, length, `action = "lose"`}, 4, 10, "Unknown action"},
		{[]string{`from = { role = "leader" }`, to, length}, 1, 17, "Unknown role"},
		{[]string{`from = { roll = "primary" }`, to, length}, 1, 10, "Unsupported argument"},
		{[]string{`from = { role = 1 }`, to, length}, 1, 17, "Unknown role"},
		{[]string{`from = { role = [] }`, to, length}, 1, 17, "Unsuitable value type"},
		{[]string{`from = { role = "any", role = "primary" }`, to, length}, 1, 24, "Duplicate field"},
		{[]string{`from = { selector = "a=b", namespace = "a b" }`, to, length}, 1, 40, "Invalid namespace"},
		{[]string{`from = { role = target.orders.role }`, to, length}, 1, 17, "Variables not allowed"},
		{[]string{`from = "primary"`, to, length}, 1, 8, "Unsuitable value type"},
		{[]string{`from = {}`, to, length}, 1, 8, "Invalid side"},
		{[]string{`from = { selector = "a in (" }`, to, length}, 1, 21, "Invalid selector"},
		{[]string{`from = { selector = "" }`, to, length}, 1, 21, "Empty selector"},
		{[]string{`from = { role = "any", selector = "a=b" }`, to, length}, 1, 8, "Two ways to choose pods"},
		{[]string{`from = { role = "any", namespace = "b" }`, to, length}, 1, 36, "Namespace without selector"},
		{[]string{`from = { role = "any", api_server = true }`, to, length}, 1, 8, "API server in from"},
	} {
		body := ""
		for _, l := range tc.lines {
			body += l + "\n"
		}
		f, diags := hclparse.NewParser().ParseHCL([]byte(body), "x.hcl")
		require.False(t, diags.HasErrors(), diags)
		_, decoded := kind.Decode(f.Body, nil)
		diags = decoded.Diagnostics
		var found []string
		for _, d := range diags {
			found = append(found, d.Summary)
		}
		require.Contains(t, found, tc.summary, body)
		for _, d := range diags {
			if d.Summary == tc.summary {
				require.Equal(t, tc.at, d.Subject.Start.Line, body)
				if tc.column > 0 {
					require.Equal(t, tc.column, d.Subject.Start.Column, body)
				}
			}
		}
	}
	f, _ := hclparse.NewParser().ParseHCL([]byte(from+"\n"+`to = { selector = "a=b", namespace = "other", api_server = true }`+"\n"+length), "x.hcl")
	spec, decoded := kind.Decode(f.Body, nil)
	diags := decoded.Diagnostics
	require.False(t, diags.HasErrors(), diags)
	require.Equal(t, []string{"other"}, spec.(networkPartitionSpec).Namespaces())
	require.Equal(t, "orders", spec.(networkPartitionSpec).TargetName("cut", []string{"orders"}))
	require.Equal(t, "cut", spec.(networkPartitionSpec).TargetName("cut", []string{"orders", "carts"}))
}

// TestSidesFromElsewhere: a side, and a field of one, may come from a variable or a local value.
func TestSidesFromElsewhere(t *testing.T) {
	kind, _ := Find("network_partition")
	decode := func(from string) (networkPartitionSpec, *schema.Decoded) {
		f, diags := hclparse.NewParser().ParseHCL([]byte("from = "+from+"\nto = { api_server = true }\nduration = \"60s\""), "x.hcl")
		require.False(t, diags.HasErrors(), diags)
		spec, decoded := kind.Decode(f.Body, &hcl.EvalContext{Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{
			"role":  cty.StringVal("replica"),
			"later": cty.UnknownVal(cty.String),
			"side":  cty.ObjectVal(map[string]cty.Value{"selector": cty.StringVal("app=orders"), "namespace": cty.NullVal(cty.String)}),
			"sides": cty.MapVal(map[string]cty.Value{"rolle": cty.StringVal("any")}),
			"word":  cty.StringVal("app=orders").Mark(schema.Sensitive),
		})}})
		return spec.(networkPartitionSpec), decoded
	}
	spec, decoded := decode(`{ role = var.role }`)
	require.True(t, decoded.Complete(), decoded.Diagnostics)
	require.Equal(t, "replica", spec.from.role)
	spec, decoded = decode(`var.side`)
	require.True(t, decoded.Complete(), decoded.Diagnostics)
	require.Equal(t, "app=orders", spec.from.selector.String())
	require.Empty(t, spec.Namespaces(), "null is as good as not given")

	_, decoded = decode(`{ role = var.later }`)
	require.Empty(t, decoded.Diagnostics, "nothing can be said before the value is known")
	require.False(t, decoded.Complete())
	for from, summary := range map[string]string{`var.sides`: "Unsupported argument", `{ selector = var.word }`: "Misplaced secret", `var.role`: "Unsuitable value type"} {
		_, decoded = decode(from)
		require.Equal(t, summary, decoded.Diagnostics[0].Summary, from)
	}
}
