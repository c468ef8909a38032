package faults

import (
	"net/netip"
	"slices"
	"time"

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
	return define(Kind{
		Name: "network_partition",
		Doc:  "Cut the network between two groups of pods, or between pods and the API server, for a while.",
		Example: `fault "network_partition" "cut" {
  target    = "orders"
  duration  = "60s"
  from      = { role = "primary" }
  to        = { role = "replica", api_server = true }
  direction = "both"
}
`,
		Permissions: func(namespace string) []drill.Permission {
			discovery := "discovery.k8s.io"
			return []drill.Permission{
				{Verb: "get", Resource: "pods", Namespace: namespace},
				{Verb: "list", Resource: "pods", Namespace: namespace},
				{Verb: "list", Resource: "services", Namespace: namespace},
				{Verb: "list", Group: discovery, Resource: "endpointslices", Namespace: namespace},
				{Verb: "create", Resource: "pods", Namespace: kube.AgentNamespace},
				{Verb: "get", Resource: "pods", Namespace: kube.AgentNamespace},
				{Verb: "delete", Resource: "pods", Namespace: kube.AgentNamespace},
				{Verb: "create", Resource: "secrets", Namespace: kube.AgentNamespace},
				{Verb: "delete", Resource: "secrets", Namespace: kube.AgentNamespace},
			}
		},
		Healing: func(drill.FaultPlan) Healing {
			return Healing{AgentKilled: "the kernel, at once", AgentHung: "the kernel, within the TTL (5 s) of the runner's last word",
				RunnerLost:    "the agents, and the kernel at the same moment, within the TTL",
				APIServerLost: "the runner, through its own connections to the agents, when its lock is lost (15 s) or at the planned time, whichever is first",
				NodeLost:      "the rules die with the node's kernel"}
		},
	}, func() Impl[networkPartitionSpec, networkPartitionState] { return &partitioner{} }, schema.Body[networkPartitionSpec]{
		Defaults: networkPartitionSpec{Direction: directionBoth, Action: "drop"},
		Arguments: func(s *networkPartitionSpec) []schema.Argument {
			return []schema.Argument{
				schema.String("target", &s.Target, "The target whose members the roles in from and to mean.",
					schema.Default("the target that has the fault's name, or the drill's only one")),
				schema.Duration("duration", &s.Duration, "How long the cut lasts.", schema.Required(), schema.Between(minCut, maxCut)),
				schema.Object("from", sideArguments(&s.from), s.from.check("from"), "The pods on whose network the rules are made: by their role, or by their labels.",
					schema.Required(), schema.Hint(sideShape)),
				schema.Object("to", sideArguments(&s.to), s.to.check("to"), "Whom they can no longer reach: pods, the API server, or both.",
					schema.Required(), schema.Hint(sideShape)),
				schema.String("direction", &s.Direction, "Which packets are dropped. `in`: what from receives from to; `out`: what it sends there. Either ends every TCP connection.", schema.OneOf(directionBoth, directionIn, directionOut)),
				schema.String("action", &s.Action, "What becomes of a packet.", schema.OneOf("drop"), schema.Later("reject")),
			}
		},
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

// Holds is how long the fault stays.
func (s networkPartitionSpec) Holds() time.Duration { return s.Duration }

const sideShape = "Write it as { role = \"primary\" }, { role = \"replica\" }, { role = \"any\" } or { selector = \"app=orders\" }."

func sideArguments(s *side) []schema.Argument {
	return []schema.Argument{
		schema.String("role", &s.role, "The members of the target that have this role.", schema.OneOf(string(drill.RolePrimary), string(drill.RoleReplica), roleAny)),
		schema.Parsed("selector", &s.selector, kube.Selector, "The pods with these labels, as for `kubectl get pods -l`."),
		schema.String("namespace", &s.namespace, "Where `selector` looks for pods.", schema.Default("the target's"), schema.Check(kube.CheckNamespace)),
		schema.Bool("api_server", &s.apiServer, "The Kubernetes API, too: the Service `default/kubernetes` and the addresses and ports behind it. It can be in to alone.",
			schema.Default("")),
	}
}

// check looks at the fields of a side together.
func (s *side) check(name string) func(*schema.Decoded) {
	return func(d *schema.Decoded) {
		switch {
		case d.Given("role") && d.Given("selector"):
			d.Report(d.Whole(), "Two ways to choose pods", "role and selector exclude each other. Remove one of them from %s.", name)
		case s.apiServer && name == "from":
			d.Report(d.Whole(), "API server in from", "The API server can be in to alone: rules are made where from's pods are. Swap the two sides.")
		case d.Given("namespace") && !d.Given("selector"):
			d.Report(d.At("namespace"), "Namespace without selector", "namespace is where selector looks for pods, and there is none. Members of the target are found by their role.")
		case !d.Given("role") && !d.Given("selector") && !s.apiServer && !d.Diagnostics.HasErrors():
			d.Report(d.Whole(), "Invalid side", "%s chooses no pods. %s", name, sideShape)
		}
	}
}

// Bounds of a partition's length: Confirm alone takes more than a second, and nobody means an hour.
const (
	minCut = 5 * time.Second
	maxCut = 30 * time.Minute
)

// TargetName is the target whose members the roles mean: the one named, else the one that the fault shares its name with,
// else the drill's only one, because a cut is often called by what it cuts.
func (s networkPartitionSpec) TargetName(fault string, all []string) string {
	if s.Target == "" && len(all) == 1 {
		return all[0]
	}
	return targetName(s.Target, fault)
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
	Agents    map[string]string `json:"agents"`           // pod name -> node
	Secret    string            `json:"secret,omitempty"` // of an older drill, whose agents are in kube.Namespace
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
