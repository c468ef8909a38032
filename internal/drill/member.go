package drill

import "fmt"

// Role is what a member is at the moment.
type Role string

// The roles of a member.
const (
	RolePrimary Role = "primary"
	RoleReplica Role = "replica"
	RoleUnknown Role = "unknown"
)

// Member is one instance of a target: a pod, with its role and epoch by whichever view made this value.
type Member struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	Node      string `json:"node,omitempty"`
	Zone      string `json:"zone,omitempty"`
	IP        string `json:"-"` // an address means nothing once the run is over
	Role      Role   `json:"role"`
	Epoch     int64  `json:"-"` // PostgreSQL's timeline, a term elsewhere; 0 is not known
}

// String names the member as kubectl would.
func (m Member) String() string { return fmt.Sprintf("pod %s/%s", m.Namespace, m.Name) }

// Views says which members each of the three views calls primary. They must agree before a fault; every
// disagreement during the run is recorded with its length.
type Views struct {
	Target  string   `json:"target"`
	Label   []string `json:"label"`   // the role label on the pods
	Service []string `json:"service"` // the ready endpoints of the writable Service
	Member  []string `json:"member"`  // the members' own word
}

// Agree reports whether each view that has an opinion names the same one member.
func (v Views) Agree() bool {
	one := func(s []string) bool { return len(s) == 1 }
	return one(v.Label) && one(v.Service) && one(v.Member) && v.Label[0] == v.Service[0] && v.Label[0] == v.Member[0]
}

// Reading is what a member said of itself in one pinned slot, beside its role and epoch: which of the ledger's writes
// it shows. A slot without a reading leaves the member's lag unknown, never 0.
type Reading struct {
	UID       string  // of the pod that answered
	Streaming bool    // a replica whose stream from the primary is up
	Seen      []int64 // sequence numbers of the pooled stream that this member shows and had not shown before
	// EngineLag is the age in seconds that the exporters' usual query reports, for comparison; NaN when it says nothing.
	EngineLag float64
}
