package drill

import (
	"context"
	"fmt"
	"time"
)

// Offset is a moment on the run's one monotonic clock, counted from the run's start.
type Offset time.Duration

// Seconds is the offset in seconds.
func (o Offset) Seconds() float64 { return time.Duration(o).Seconds() }

// Sub is the time from p to o.
func (o Offset) Sub(p Offset) time.Duration { return time.Duration(o - p) }

// Add is the moment d after o.
func (o Offset) Add(d time.Duration) Offset { return o + Offset(d) }

// Clock is the one clock of a run. It is monotonic: stepping the wall clock changes no offset.
type Clock struct{ start time.Time }

// StartClock starts a clock at 0.
func StartClock() Clock { return Clock{start: time.Now()} }

// Now is the current offset.
func (c Clock) Now() Offset { return Offset(time.Since(c.start)) }

// Started is the wall-clock time of offset 0, for people; nothing is computed from it.
func (c Clock) Started() time.Time { return c.start }

// Class says how a probe reaches the target; the same fault gives different recovery times for each.
type Class string

// The classes of probe.
const (
	ClassFresh  Class = "fresh"  // a new connection per slot, through the Service: what a restarted client sees
	ClassPooled Class = "pooled" // long-lived sessions through the Service: what the application sees
	ClassPinned Class = "pinned" // one session per member, opened before the fault
)

// Outcome is what became of one slot. For a write it is Jepsen's: fail only when it is proved that nothing happened.
type Outcome string

// The outcomes of a slot.
const (
	OutcomeOK            Outcome = "ok"
	OutcomeFail          Outcome = "fail"          // provably not executed
	OutcomeIndeterminate Outcome = "indeterminate" // sent; whether it happened is not known
	OutcomeUnsent        Outcome = "unsent"        // the slot could not be sent in time: nothing is known of the target
	OutcomeBlocked       Outcome = "blocked"       // a pinned session was still waiting for an earlier slot
)

// Signals: the way a slot failed.
const (
	SignalRefused    = "refused"
	SignalReset      = "reset"
	SignalTimeout    = "timeout"
	SignalUnreach    = "unreachable"
	SignalDenied     = "denied" // the cluster's owner does not allow the address
	SignalClosed     = "closed"
	SignalAuth       = "auth"
	SignalReadOnly   = "read_only"
	SignalDNS        = "dns"
	SignalTerminated = "terminated" // the server said that it is shutting down or starting up
	SignalTLS        = "tls"        // the server's certificate was not accepted, or no handshake was possible
	SignalBody       = "body"       // the answer does not hold the text that was expected
	SignalError      = "error"
)

// SignalHTTP names an answer with a status that was not expected.
func SignalHTTP(status int) string { return fmt.Sprintf("http_%d", status) }

// Sample is one slot of a probe.
type Sample struct {
	Probe string
	Class Class
	// Member is the one that a pinned probe was made for; empty when a slot goes through the Service. When the member's
	// pod is gone for good the probe asks the pod that came in its place, which By names.
	Member    string
	Slot      int64  // counts from 0; the ledger's sequence number of a write
	Scheduled Offset // when it should have been sent
	Sent      Offset // when it was; 0 when it was not
	Done      Offset // when the outcome was known
	Outcome   Outcome
	Signal    string // how it failed; empty when ok
	Write     bool   // the slot was an attempt to write, entered in the ledger under Slot
	By        string // the member that answered; empty when none did
	ByUID     string // of that member's pod, which may have been replaced under its name; empty when that is not known
	Role      Role   // that member's own word
	Epoch     int64
	Reading   *Reading // of a pinned slot that a replica or primary answered
	Op        *Op      // of a slot that checks an invariant: what it asked for and what it was answered
	Value     float64  // what a numeric probe read
	Valued    bool     // there is a Value; an answer without one says that there is nothing to read
}

// OpFunc names what an operation does.
type OpFunc string

// The operations of invariants' probes.
const (
	OpRead     OpFunc = "read"     // reads a register, or which writes are shown
	OpWrite    OpFunc = "write"    // writes a register, or a row of the session's own
	OpCAS      OpFunc = "cas"      // writes a register if it holds what is expected
	OpTransfer OpFunc = "transfer" // moves an amount from one account to another
	OpSum      OpFunc = "sum"      // reads every account at once
)

// Op is what a slot of an invariant's probe asked for, and what the answer held. It is part of the history that the
// invariants are judged by, in the terms of Jepsen's histories.
//
//	operation                       Args               Got, when it was answered
//	read of which writes are shown                     a number, and the ranges (first, last) that are shown above it
//	write of a row of one's own     its number
//	read of a register                                 its value
//	write of a register             the value
//	cas of a register               expected, new      the value that was found; it was replaced if it is the expected one
//	transfer from account Key       to, amount
//	sum                             what it must be    every balance
type Op struct {
	Func    OpFunc
	Session int64 // of the client, counted from 1 in each probe: it keeps its number when it has to connect again
	Key     int64 // the register or account
	Args    []int64
	Got     []int64
}

// Lateness is how much later than scheduled the slot was sent.
func (s Sample) Lateness() time.Duration {
	if s.Outcome == OutcomeUnsent || s.Outcome == OutcomeBlocked {
		return 0
	}
	return s.Sent.Sub(s.Scheduled)
}

// ProbeInfo describes a probe to the sampler and to the report.
type ProbeInfo struct {
	Name     string        `json:"name"`
	Kind     string        `json:"kind"`
	Target   string        `json:"target,omitempty"`
	Class    Class         `json:"class"`
	Member   string        `json:"member,omitempty"`
	Interval time.Duration `json:"interval"` // Δ, the time between two slots
	Deadline time.Duration `json:"deadline"` // of one slot; never delays the next
	Sessions int           `json:"sessions"` // the most slots in flight; 1 for a pinned session
	// UpWithin is the longest that an answer may take to count as up; 0: it is learnt from the baseline.
	UpWithin time.Duration `json:"up_within,omitempty"`
	// Value names the live value that the slots of a numeric probe read; empty for every other probe. A numeric probe
	// says nothing of anyone's availability.
	Value string `json:"value,omitempty"`
	// Least says that the least reading is what a run is judged by in the end, and not the newest.
	Least bool `json:"least,omitempty"`
	// Check says that the slots are a history for invariants; empty for every other probe. They are in no other number:
	// neither the headline nor the ledger's.
	Check Check `json:"check,omitempty"`
}

// Numeric reports whether the probe reads a number, instead of whether something answers.
func (p ProbeInfo) Numeric() bool { return p.Value != "" }

// Probe is something that is sampled at a fixed rate. The sampler owns time: the schedule, deadlines, lateness.
type Probe interface {
	Info() ProbeInfo
	// Sample takes one slot. It fills in Outcome, Signal, Write and who answered, and leaves the times to the
	// sampler. The context of a pinned probe has no deadline, because cancelling would close the session.
	Sample(ctx context.Context, s *Sample)
}
