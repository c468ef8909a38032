package agent

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Timing of the talk between a runner and its agents.
const (
	// TTL is how long a cut outlives the last word of its runner.
	TTL = 5 * time.Second
	// beatEvery is how often the runner says that it is alive, and the agent answers how its cuts stand.
	beatEvery = 500 * time.Millisecond
	// Port is where an agent listens, at its pod's own address.
	Port = 7443
	// RunnerName is the runner's name in its certificate.
	RunnerName = "drill-runner"
)

// request is one line from the runner. Every one says which run and generation speaks, and counts as a heartbeat.
type request struct {
	ID         int64           `json:"id"`
	Op         string          `json:"op"`
	Run        string          `json:"run"`
	Generation int64           `json:"generation"`
	Args       json.RawMessage `json:"args,omitempty"`
}

// reply is the agent's answer to the request of the same id. They need not come in order.
type reply struct {
	ID     int64           `json:"id"`
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// The operations.
const (
	opHello   = "hello"   // nothing but the run and the generation
	opPrepare = "prepare" // find the pods' network namespaces
	opListen  = "listen"  // start an echo in a pod's network namespace
	opOpen    = "open"    // open a connection from a pod and keep it
	opEcho    = "echo"    // use a kept connection
	opReach   = "reach"   // try a new connection from a pod
	opCut     = "cut"
	opHeal    = "heal"
	opBeat    = "beat" // the runner is alive; the answer is the agent's Status
)

// Pod is a pod on the agent's node.
type Pod struct {
	UID        string     `json:"uid"`
	IP         netip.Addr `json:"ip"`
	Containers []string   `json:"containers"` // their ids, without the runtime's name
}

// Protocol is how a path to somewhere is tried.
type Protocol string

// The protocols of a path.
const (
	Echo  Protocol = "echo"  // an agent's own listener
	TCP   Protocol = "tcp"   // a connection is all
	HTTPS Protocol = "https" // whatever is answered, by whomever: it is the path that counts
)

// Path is a way from a pod to an address.
type Path struct {
	Pod      string         `json:"pod"` // its UID; empty: from the agent itself, whose network is never cut
	To       netip.AddrPort `json:"to"`
	Protocol Protocol       `json:"protocol"`
}

// Reach is what became of an attempt to use a path.
type Reach struct {
	OK   bool   `json:"ok"`
	How  string `json:"how"` // "answered", "timeout", "refused", or what else went wrong
	Kept int    `json:"kept,omitempty"`
}

// Status is how an agent's cuts stand.
type Status struct {
	Cut      bool                `json:"cut"`              // every cut asked for is in place
	Broken   string              `json:"broken,omitempty"` // why one ended, or had a hole, before it was to be healed
	Counters map[string]Counters `json:"counters,omitempty"`
}

type prepareArgs struct {
	Pods []Pod `json:"pods"`
}

type listenArgs struct {
	Pod string `json:"pod"`
}

type listenResult struct {
	Address netip.AddrPort `json:"address"`
}

type tryArgs struct {
	Path   Path          `json:"path,omitzero"`
	Kept   int           `json:"kept,omitempty"`
	Within time.Duration `json:"within"`
}

// cutArgs are the cuts of the pods on the agent's node. All are put in place, or none.
type cutArgs struct {
	Cuts map[string]Cut `json:"cuts"` // by pod UID
	// For is when the agent heals them by itself even though its runner is alive.
	For time.Duration `json:"for"`
}
