// Package drill is the vocabulary of the product: what a drill says, what a run observes, and how it ends.
package drill

import "time"

// Drill is one definition from an HCL file, decoded. Only conditions are still expressions.
type Drill struct {
	Name          string
	Description   string
	File          string        // the file's path as the user gave it
	Timeout       time.Duration // of the whole run
	Repeat        int           // how many trials there are in a series of runs; at least 1
	Stagger       time.Duration // each run waits for a random part of it before it breaks anything
	Blip          time.Duration // a shorter stretch without a timely answer is no outage; 0: DefaultBlip
	Targets       []TargetSpec
	Probes        []ProbeSpec // beside those of the targets, in the order of the file
	Preconditions []Rule      // must hold before anything is touched; nothing waits for them
	SteadyState   SteadyState
	Guard         Guard
	Faults        []FaultSpec // in the order of injection
	Aborts        []Rule
	Objectives    []Objective
	Asserts       []Rule        // further objectives, over the run's final values
	Schedule      *Schedule     // nil: it runs by hand only
	Unavailable   []Unavailable // what the file asks for and this version cannot do: a run is refused
}

// Guard bounds what a drill may touch, whatever its targets and faults say. The zero value bounds nothing.
type Guard struct {
	Namespaces []string // in which alone anything may be touched; any when empty
	MaxTargets int      // most members that all faults together may hurt; 0: any number
	NoAlert    []string // names of alerts, none of which may be firing
	Prometheus string   // URL of the server that knows of the alerts
}

// Unavailable is a part of the language that a file uses and this version of drill cannot do yet.
type Unavailable struct {
	Text string // a sentence
	File string
	Line int
}

// TargetSpec is a target block: a system under test of some kind.
type TargetSpec struct {
	Kind string
	Name string
	Spec any // the kind's own arguments, decoded by it
}

// ProbeSpec is a probe block: something that is sampled beside the targets.
type ProbeSpec struct {
	Kind string
	Name string
	Spec any // the kind's own arguments, decoded by it
}

// FaultSpec is a fault block.
type FaultSpec struct {
	Kind  string
	Name  string
	After time.Duration // how long after the fault before it was injected, at the earliest; after the steady state, for the first
	Spec  any           // the kind's own arguments, decoded by it
}

// SteadyState is what must hold before the fault, without a break, for Hold; the run is refused when it does not
// within Timeout.
type SteadyState struct {
	Hold    time.Duration
	Timeout time.Duration
	Asserts []Rule
}

// Rule is a condition over live values. As an abort condition it ends the run once it has been true for For;
// as a precondition or an assertion of the steady state it must be true, and as an objective it must be true in the end.
type Rule struct {
	Name      string
	For       time.Duration
	Grace     time.Duration // of an abort condition: how long after the first injection it does not count yet
	OnUnknown OnUnknown     // of an abort condition: what a value without a reading means
	Condition Condition
}

// OnUnknown says what becomes of an abort condition of which a value has no reading.
type OnUnknown string

// What a value without a reading means to an abort condition.
const (
	UnknownPending OnUnknown = "pending" // the rule waits for a reading
	UnknownBreach  OnUnknown = "breach"  // as if the condition were true: the rule's probe may be dead
)

// Condition is an expression over live values. It is implemented where the drill file is read.
type Condition interface {
	// Evaluate returns the condition's truth and the rule's message with the values in it.
	Evaluate(Live) (Truth, string)
}

// Live holds the newest values by reference: Live["target"]["orders"]["lag_seconds"]. A missing key is a value of
// which there is no reading yet.
type Live map[string]map[string]map[string]float64

// Truth is the outcome of a condition: three-valued, because a value may not have been read yet.
type Truth int

// The truths of a condition.
const (
	Unknown Truth = iota // something in it has no reading yet
	False
	True
)

// Names of objectives (the attributes of the objectives block).
const (
	ObjectiveRecoveryTime   = "recovery_time"   // seconds, of the worse of the pooled and the fresh class
	ObjectiveRedundancyTime = "redundancy_time" // seconds
	ObjectiveLostWrites     = "lost_writes"     // a count
	ObjectiveDualPrimary    = "dual_primary"    // seconds
	ObjectiveReplicationLag = "replication_lag" // seconds, before the fault
	ObjectiveLeaderChanges  = "leader_changes"  // a count
	ObjectiveUnavailable    = "unavailable"     // seconds of down slots, all together
	ObjectiveFailedOver     = "failed_over"     // another member must have taken over; its limit is 1

	// Those that need a probe of their own; see Invariants.
	ObjectiveReadOutage     = "read_outage"                 // seconds in which nothing could be read
	ObjectiveStaleness      = "staleness"                   // seconds, of the worst read
	ObjectiveMonotonicReads = "monotonic_read_violations"   // a count
	ObjectiveReadYourWrites = "read_your_writes_violations" // a count
	ObjectiveSum            = "sum_violations"              // a count
	ObjectiveRegister       = "register_violations"         // a count
)

// Objective is what must hold for a run to pass: a number with a limit that it must not exceed.
type Objective struct {
	Name  string
	Limit float64 // seconds or a count, by name
}

// Limit returns the limit of the named objective.
func (d *Drill) Limit(name string) (limit float64, ok bool) {
	for _, o := range d.Objectives {
		if o.Name == name {
			return o.Limit, true
		}
	}
	return 0, false
}
