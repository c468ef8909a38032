package faults

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// Directions of a partition, as from sees them.
const (
	directionBoth = "both"
	directionIn   = "in"
	directionOut  = "out"
)

const roleAny = "any"

func networkPartition() Kind {
	return defineEach(Kind{
		Name: "network_partition",
		Doc:  "Cut the network between two groups of pods, or between pods and the API server, for a while.",
		Permissions: func(namespace string) []drill.Permission {
			discovery := "discovery.k8s.io"
			return []drill.Permission{
				{Verb: "get", Resource: "pods", Namespace: namespace},
				{Verb: "list", Resource: "pods", Namespace: namespace},
				{Verb: "list", Resource: "services", Namespace: namespace},
				{Verb: "list", Group: discovery, Resource: "endpointslices", Namespace: namespace},
				{Verb: "create", Resource: "pods", Namespace: kube.Namespace},
				{Verb: "get", Resource: "pods", Namespace: kube.Namespace},
				{Verb: "delete", Resource: "pods", Namespace: kube.Namespace},
				{Verb: "create", Resource: "secrets", Namespace: kube.Namespace},
				{Verb: "delete", Resource: "secrets", Namespace: kube.Namespace},
			}
		},
		Healing: func(drill.FaultPlan) Healing {
			return Healing{AgentKilled: "the kernel, at once", AgentHung: "the kernel, within the TTL (5 s) of the runner's last word",
				RunnerLost:    "the agents, and the kernel at the same moment, within the TTL",
				APIServerLost: "the runner, through its own connections to the agents, at the planned time",
				NodeLost:      "the rules die with the node's kernel"}
		},
	}, func() Impl[networkPartitionSpec, networkPartitionState] { return &partitioner{} }, schema.Body[networkPartitionSpec]{
		Defaults: networkPartitionSpec{Direction: directionBoth, Action: "drop"},
		Arguments: func(s *networkPartitionSpec) []schema.Argument {
			return []schema.Argument{
				targetArgument(&s.Target, "The target whose members the roles in from and to mean."),
				schema.Duration("duration", &s.Duration, "How long the cut lasts.", schema.Required(), schema.Between(minCut, maxCut)),
				schema.Value("from", "object", "The pods on whose network the rules are made: `{ role = \"primary\" }`, `\"replica\"` or `\"any\"`, or `{ selector = \"app=orders\" }`, "+
					"with `namespace` where that is not the target's.", func(_ cty.Value, d *schema.Decoded) { s.from = decodeSide(d.Expr("from"), "from", d.Report) }, schema.Required()),
				schema.Value("to", "object", "Whom they can no longer reach: as from, and `api_server = true` for the Kubernetes API.",
					func(_ cty.Value, d *schema.Decoded) { s.to = decodeSide(d.Expr("to"), "to", d.Report) }, schema.Required()),
				schema.String("direction", &s.Direction, "Which packets are dropped; `in` and `out` are as from sees them.", schema.OneOf(directionBoth, directionIn, directionOut)),
				schema.String("action", &s.Action, "What becomes of a packet.", schema.OneOf("drop"), schema.Later("reject")),
			}
		},
		Check: (*networkPartitionSpec).check,
	})
}

type networkPartitionSpec struct {
	Target    string
	Duration  time.Duration
	Direction string
	Action    string
	from, to  side
}

// side is one of the two groups of pods.
type side struct {
	role      string // of the target's members; empty when a selector chooses
	selector  labels.Selector
	namespace string // of the selector; empty: the target's
	apiServer bool   // and the API server
}

// pods reports whether the side has pods in it at all.
func (s side) pods() bool { return s.role != "" || s.selector != nil }

func (s *networkPartitionSpec) check(d *schema.Decoded) {
	if s.from.apiServer {
		d.Report(d.At("from"), "API server in from", "The API server can be in to alone: rules are made where from's pods are. Swap the two sides.")
	}
}

// Bounds of a partition's length: Confirm alone takes more than a second, and nobody means an hour.
const (
	minCut = 5 * time.Second
	maxCut = 30 * time.Minute
)

// decodeSide reads a side, with each complaint at the part that it is about.
func decodeSide(expr hcl.Expression, name string, wrong func(hcl.Range, string, string, ...any)) side {
	var s side
	const shape = "Write it as { role = \"primary\" }, { role = \"replica\" }, { role = \"any\" } or { selector = \"app=orders\" }"
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		wrong(expr.Range(), "Invalid side", "%s must say which pods are on this side of the cut. %s.", name, shape)
		return s
	}
	var namespaceAt hcl.Range
	told := false
	complain := wrong
	wrong = func(at hcl.Range, summary, detail string, args ...any) {
		told = true
		complain(at, summary, detail, args...)
	}
	for _, pair := range pairs {
		key, _ := pair.Key.Value(nil)
		at := pair.Value.Range()
		value, diags := pair.Value.Value(nil)
		if diags.HasErrors() || value.IsNull() || !value.IsKnown() || value.IsMarked() {
			wrong(at, "Invalid side", "Write a plain value here, without a reference.")
			continue
		}
		field := ""
		if key.Type() == cty.String && key.IsKnown() && !key.IsNull() {
			field = key.AsString()
		}
		want := cty.String
		if field == "api_server" {
			want = cty.Bool
		}
		if slices.Contains([]string{"role", "selector", "namespace", "api_server"}, field) && !value.Type().Equals(want) {
			wrong(at, "Invalid side", "%s must be a %s.", field, want.FriendlyName())
			continue
		}
		switch field {
		case "role":
			s.role = value.AsString()
			if known := []string{string(drill.RolePrimary), string(drill.RoleReplica), roleAny}; !slices.Contains(known, s.role) {
				wrong(at, "Unknown role", "There is no role %q. Write one of: %s.", s.role, strings.Join(known, ", "))
			}
		case "selector":
			selector, err := labels.Parse(value.AsString())
			if err != nil || selector.Empty() {
				wrong(at, "Invalid selector", "%q selects no pods by their labels. Write it as for kubectl get pods -l, such as \"app=orders\".", value.AsString())
				selector = labels.Nothing()
			}
			s.selector = selector
		case "namespace":
			s.namespace, namespaceAt = value.AsString(), at
		case "api_server":
			s.apiServer = value.True()
		default:
			wrong(pair.Key.Range(), "Unsupported argument", "A side has no argument %q. It may have role, selector, namespace and, in to, api_server.", field)
		}
	}
	switch {
	case s.role != "" && s.selector != nil:
		wrong(expr.Range(), "Two ways to choose pods", "role and selector exclude each other. Remove one of them from %s.", name)
	case !s.pods() && !s.apiServer && !told:
		wrong(expr.Range(), "Invalid side", "%s chooses no pods. %s.", name, shape)
	case s.namespace != "" && s.selector == nil:
		wrong(namespaceAt, "Namespace without selector", "namespace is where selector looks for pods, and there is none. Members of the target are found by their role.")
	}
	return s
}

// TargetName is the target whose members the roles mean: the one named, else the one that the fault shares its name with.
func (s networkPartitionSpec) TargetName(fault string) string {
	if s.Target != "" {
		return s.Target
	}
	return fault
}

// Namespaces are those, beside the target's, that the fault touches: its requester must be allowed to there, too.
func (s networkPartitionSpec) Namespaces() []string {
	var all []string
	for _, one := range []side{s.from, s.to} {
		if one.namespace != "" {
			all = append(all, one.namespace)
		}
	}
	return all
}

// networkPartitionState is enough to take the agents away, which is all that a process other than the runner has to do.
type networkPartitionState struct {
	Run       string            `json:"run"`
	Target    string            `json:"target"`
	Primary   string            `json:"primary,omitempty"` // UID of who must still be the primary when it is cut
	From      []partitionedPod  `json:"from"`
	To        []partitionedPod  `json:"to,omitempty"`
	API       []netip.AddrPort  `json:"api_server,omitempty"`
	Direction string            `json:"direction"`
	Hold      float64           `json:"hold_seconds"`
	Agents    map[string]string `json:"agents"` // pod name -> node
	Secret    string            `json:"secret"`
}

// partitionedPod is a pod on one of the sides.
type partitionedPod struct {
	drill.Member
	IPs []netip.Addr `json:"ips"`
}

func (st networkPartitionState) hold() time.Duration {
	return time.Duration(st.Hold * float64(time.Second))
}

// pods are the pods of both sides.
func (st networkPartitionState) pods() []partitionedPod { return slices.Concat(st.From, st.To) }

func agentNames(st networkPartitionState) []string {
	var all []string
	for name := range st.Agents {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
