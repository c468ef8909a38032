package drill

import "encoding/json"

// EventType names what an event tells.
type EventType string

// The types of event. One ordered stream of them describes a run; terminal, record and metrics observe it, and the
// report is a pure function of it.
const (
	EventStep     EventType = "step"     // the run enters a step of its life
	EventPlan     EventType = "plan"     // what will be touched
	EventProbe    EventType = "probe"    // a probe starts
	EventSamples  EventType = "samples"  // a batch of slots, and when this process did not run meanwhile
	EventViews    EventType = "views"    // who is primary, by the three views; on change
	EventMembers  EventType = "members"  // who can serve, of a target without roles; on change
	EventFault    EventType = "fault"    // a fault changes its state
	EventRule     EventType = "rule"     // an abort condition changes its truth, or fires; a precondition or an objective's assertion is judged
	EventFinding  EventType = "finding"  // something worth telling that is no verdict
	EventReadBack EventType = "readback" // what each member holds of the ledger at the end
	EventProgress EventType = "progress" // once a second, for people
	EventEnd      EventType = "end"      // why the run ended
	EventReport   EventType = "report"   // the report; the last event
)

// Step is a stretch of a run's life.
type Step string

// The steps of a run, in order.
const (
	StepPlan       Step = "plan"
	StepLock       Step = "lock"
	StepPrepare    Step = "prepare" // only when a fault needs something made before it
	StepProbes     Step = "probes"
	StepConditions Step = "preconditions" // only when the drill has some
	StepSteady     Step = "steady_state"
	StepHold       Step = "hold"    // the steady state begins to hold: the baseline begins here, at the newest one before the injection
	StepStagger    Step = "stagger" // only when the drill asks for a random delay
	StepAfter      Step = "after"   // a fault waits for its turn; only when it must
	StepInject     Step = "inject"  // once for each fault
	StepObserve    Step = "observe"
	StepRevert     Step = "revert"
	StepRedundancy Step = "redundancy"
	StepReadBack   Step = "read_back"
)

// Event is one entry of the stream. Which of the payloads is set follows from the type.
type Event struct {
	Seq  int64     `json:"seq"`
	At   Offset    `json:"at_seconds"`
	Type EventType `json:"type"`
	Text string    `json:"text,omitempty"` // for people

	Step      Step         `json:"step,omitempty"`
	Stagger   *Stagger     `json:"stagger,omitempty"` // with StepStagger
	Plans     []FaultPlan  `json:"plans,omitempty"`
	Probe     *ProbeInfo   `json:"probe,omitempty"`
	Members   []Member     `json:"members,omitempty"` // with EventPlan: the target's members
	Samples   []Sample     `json:"-"`
	Stalls    []Stall      `json:"-"` // with EventSamples
	Views     *Views       `json:"views,omitempty"`
	Readiness *Readiness   `json:"readiness,omitempty"`
	Fault     *FaultChange `json:"fault,omitempty"`
	Rule      *RuleChange  `json:"rule,omitempty"`
	Finding   *Finding     `json:"finding,omitempty"`
	ReadBack  *ReadBack    `json:"-"`
	End       *End         `json:"end,omitempty"`
	Report    *Report      `json:"report,omitempty"`
}

// Stagger is a random delay before the first fault, so that faults do not always meet the same phase of a lease.
type Stagger struct {
	Delay Seconds `json:"delay_seconds"` // as it was drawn, from 0 to the limit
	Limit Seconds `json:"limit_seconds"`
}

// MarshalJSON writes the offset in seconds.
func (o Offset) MarshalJSON() ([]byte, error) { return json.Marshal(o.Seconds()) }

// UnmarshalJSON reads an offset in seconds.
func (o *Offset) UnmarshalJSON(b []byte) error {
	var s float64
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*o = Offset(s * 1e9)
	return nil
}

// FaultChange is the payload of EventFault.
type FaultChange struct {
	Kind  string     `json:"kind"`
	Name  string     `json:"name"`
	State FaultState `json:"state"`
	// From is when the call that led to the state began; the event's own time is when it returned. An injection
	// happened somewhere between the two.
	From    Offset   `json:"from_seconds"`
	By      string   `json:"by,omitempty"`     // how it was confirmed
	Spared  []Member `json:"spared,omitempty"` // victims by plan that were not hurt
	Residue []string `json:"residue,omitempty"`
}

// RuleChange is the payload of EventRule.
type RuleChange struct {
	Kind      string `json:"kind"` // RuleAbort, RulePrecondition or RuleObjective
	Name      string `json:"name"`
	Condition string `json:"condition,omitempty"` // as the file has it
	Truth     Truth  `json:"truth"`
	Fired     bool   `json:"fired"`                         // an abort condition has been true for as long as it must
	Since     Offset `json:"since_seconds"`                 // from when on it has been so: the end of the slot that told, or our look at the clock
	Due       Offset `json:"due_seconds,omitempty"`         // with Fired: when it had been true for as long as it must
	Grace     Offset `json:"grace_until_seconds,omitempty"` // of an abort condition with grace: until when it does not count
	// Breach says that an abort condition counts although something in it has no reading: that is what on_unknown asks for.
	Breach  bool   `json:"on_unknown_breach,omitempty"`
	Message string `json:"message,omitempty"`
}

// The kinds of rule whose truth is an event.
const (
	RuleAbort        = "abort"
	RulePrecondition = "precondition"
	RuleObjective    = "objective"
)

// Finding is something worth telling that is no verdict.
type Finding struct {
	Severity string `json:"severity"` // "info" or "warning"
	Code     string `json:"code"`
	Text     string `json:"text"`
}

// ReadBack is what the members hold of the ledger after everything was put back.
type ReadBack struct {
	Target   string
	Primary  string                        // the member that was asked as the primary
	Complete bool                          // every member was read, and says that it had caught up with the primary
	Streams  map[string]map[string]Numbers // member -> stream (probe name) -> the sequence numbers that it holds
}

// EndCause says why a run ended; the verdict follows from it and from the numbers.
type EndCause string

// The causes of a run's end.
const (
	EndFinished    EndCause = "finished"
	EndRefused     EndCause = "refused"     // nothing was touched
	EndAborted     EndCause = "aborted"     // an abort condition fired
	EndInterrupted EndCause = "interrupted" // Ctrl-C, a hold, a lost lock
	EndUnconfirmed EndCause = "unconfirmed" // the fault cannot be shown to bite
	EndError       EndCause = "error"       // the tool failed
)

// End is the payload of EventEnd.
type End struct {
	Cause EndCause `json:"cause"`
	Code  string   `json:"code"` // machine-readable reason, snake_case
	Text  string   `json:"text"`
}
