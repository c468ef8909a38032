package drill

import (
	"errors"
	"slices"
	"time"
)

// ErrVictimChanged is returned by a fault that found, right before injecting, that its victim is not the object or
// has not the role that was planned. Nothing has been touched.
var ErrVictimChanged = errors.New("the victim changed since the plan")

// ErrNotConfirmed is returned by a fault that was injected but cannot be shown to bite.
var ErrNotConfirmed = errors.New("the fault is not confirmed")

// Curtailed is returned by a fault that was injected and hurt fewer than it had planned to. The run goes on with those,
// and the text is one of its findings.
type Curtailed struct {
	Code   string // machine-readable, snake_case
	Text   string
	Spared []Member // the victims that were not hurt
}

func (c *Curtailed) Error() string { return c.Text }

// Permission is a right in the cluster that something needs.
type Permission struct {
	Verb      string `json:"verb"`
	Group     string `json:"group,omitempty"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"` // empty for cluster-scoped resources
	Name      string `json:"name,omitempty"`      // of the one object that it is about; empty: all
}

// String reads like kubectl auth can-i.
func (p Permission) String() string {
	s := p.Verb + " " + p.Resource
	if p.Group != "" {
		s += "." + p.Group
	}
	if p.Name != "" {
		s += " " + p.Name
	}
	if p.Namespace != "" {
		s += " in namespace " + p.Namespace
	}
	return s
}

// FaultPlan is the blast radius of a fault, known before it starts, and its way back.
type FaultPlan struct {
	Kind     string        `json:"kind"`
	Name     string        `json:"name"`
	Method   string        `json:"method,omitempty"`
	Victims  []Member      `json:"victims"`
	Sentence string        `json:"sentence"`       // what will be done
	Undo     string        `json:"undo"`           // what puts it back, and what cannot be put back
	Hold     time.Duration `json:"hold,omitempty"` // how long after the injection it is reverted
	// After is how long after the injection of the fault before it this one is injected, at the earliest; after the steady
	// state, for the first.
	After time.Duration `json:"after,omitempty"`
	Nodes []string      `json:"nodes,omitempty"`
	// Others are touched, too, without being the victims: the pods at the other end of a cut, whose networks get rules as well.
	Others []Member `json:"others,omitempty"`
	// Beside is what the fault does beside its victims, found out by reading; a sentence each.
	Beside []string `json:"beside,omitempty"`
	// Prepares says that something is made for the fault before the steady state is waited for, which reverting removes.
	Prepares bool `json:"prepares,omitempty"`
}

// Touched are all members that the fault touches: the victims, and the others.
func (p FaultPlan) Touched() []Member { return slices.Concat(p.Victims, p.Others) }

// FaultState is how far a fault has come.
type FaultState string

// The states of a fault.
const (
	FaultPreparing   FaultState = "preparing" // what it needs is being made; the target is not touched
	FaultPrepared    FaultState = "prepared"
	FaultInjecting   FaultState = "injecting"
	FaultInjected    FaultState = "injected"
	FaultConfirmed   FaultState = "confirmed"
	FaultUnconfirmed FaultState = "unconfirmed"
	FaultReverting   FaultState = "reverting"
	FaultReverted    FaultState = "reverted"
	FaultResidue     FaultState = "residue" // the revert failed: someone must act
)
