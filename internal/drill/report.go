package drill

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// FormatVersion is the version of the report's JSON. A change of meaning raises it; new keys do not. In version 1 any
// single down slot moved the recovery; since version 2 an outage is more than a blip (docs/measuring.md).
const FormatVersion = "2"

// Readable reports whether this version of drill can print and compare a report of a format version.
func Readable(version string) bool { return version == "1" || version == FormatVersion }

// Seconds is a length of time in a report, or a difference between two. Never is the string "+Inf" in JSON, and what is
// shorter than that by as much "-Inf".
type Seconds float64

// Never is the recovery time of a target that did not recover.
func Never() Seconds { return Seconds(math.Inf(1)) }

// MarshalJSON writes microseconds' precision, and never recovered as "+Inf".
func (s Seconds) MarshalJSON() ([]byte, error) {
	switch {
	case math.IsInf(float64(s), 1):
		return []byte(`"+Inf"`), nil
	case math.IsInf(float64(s), -1):
		return []byte(`"-Inf"`), nil
	}
	return json.Marshal(math.Round(float64(s)*1e6) / 1e6)
}

// UnmarshalJSON reads a number, "+Inf" or "-Inf".
func (s *Seconds) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"+Inf"`:
		*s = Never()
		return nil
	case `"-Inf"`:
		*s = -Never()
		return nil
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("seconds: %w", err)
	}
	*s = Seconds(f)
	return nil
}

// Bounds is an interval that contains the truth.
type Bounds struct {
	Lower Seconds `json:"lower"`
	Upper Seconds `json:"upper"`
}

// Estimate is a measured length of time with its error bar.
type Estimate struct {
	Estimate Seconds `json:"estimate_seconds"`
	Lower    Seconds `json:"lower_seconds"`
	Upper    Seconds `json:"upper_seconds"`
}

// Report is everything a run found. It is a pure function of the run's events. A number that is not known is absent
// and named in Unknown.
type Report struct {
	FormatVersion  string            `json:"format_version"`
	Run            RunReport         `json:"run"`
	Faults         []FaultReport     `json:"faults"`
	Recovery       *RecoveryReport   `json:"recovery,omitempty"`
	Writes         *WritesReport     `json:"writes,omitempty"`
	ReplicationLag *LagReport        `json:"replication_lag,omitempty"`
	Primaries      *PrimariesReport  `json:"primaries,omitempty"`
	Endpoints      *EndpointsReport  `json:"endpoints,omitempty"` // of a target without a ledger, in place of the three above
	Invariants     *InvariantsReport `json:"invariants,omitempty"`
	Probes         []ProbeReport     `json:"probes"`
	Objectives     []ObjectiveReport `json:"objectives"`
	Findings       []Finding         `json:"findings"`
	Abort          AbortReport       `json:"abort"`
	Statistics     *StatisticsReport `json:"statistics,omitempty"`
	Unknown        []string          `json:"unknown"`
}

// RunReport identifies the run and its verdict.
type RunReport struct {
	ID          string `json:"id"`
	Drill       string `json:"drill"`
	Description string `json:"description,omitempty"`
	File        string `json:"file"`
	// Variables are those that were given a value, as JSON; of a secret one it is a text that says so.
	Variables    map[string]VariableValue `json:"variables,omitempty"`
	Started      time.Time                `json:"started"`
	Finished     time.Time                `json:"finished"`
	Verdict      Verdict                  `json:"verdict"`
	Reasons      []Reason                 `json:"reasons"`
	Trial        int                      `json:"trial"`
	Trials       int                      `json:"trials"`
	Stagger      *Seconds                 `json:"stagger_seconds,omitempty"` // the random delay before the fault, if the drill asks for one
	DrillVersion string                   `json:"drill_version"`
	Cluster      ClusterReport            `json:"cluster"`
}

// ClusterReport says where the run took place.
type ClusterReport struct {
	Context string `json:"context,omitempty"`
	Version string `json:"version,omitempty"`
	Nodes   int    `json:"nodes,omitempty"`
}

// Reason is one reason for the verdict.
type Reason struct {
	Code      string `json:"code"`
	Objective string `json:"objective,omitempty"`
	Cause     Cause  `json:"cause,omitempty"` // what must be mended; absent where the reason says nothing of the target
	Text      string `json:"text"`
}

// FaultReport is what was done to whom.
type FaultReport struct {
	Kind           string   `json:"kind"`
	Name           string   `json:"name"`
	Method         string   `json:"method,omitempty"`
	Victims        []Member `json:"victims"`
	InjectedOffset *Seconds `json:"injected_offset_seconds,omitempty"`
	RevertedOffset *Seconds `json:"reverted_offset_seconds,omitempty"` // when nothing was left of it
	// Recovery is that of this fault alone, when there are several: from its injection to the end of the last outage that
	// began before the next one. Absent when the next fault came too early to tell.
	Recovery    *Estimate `json:"recovery,omitempty"`
	Confirmed   bool      `json:"confirmed"`
	ConfirmedBy string    `json:"confirmed_by,omitempty"`
	Reverted    bool      `json:"reverted"`
	Spared      []Member  `json:"spared,omitempty"` // victims by plan that were not hurt
	Residue     []string  `json:"residue"`
}

// RecoveryOutcome says how the target came back.
type RecoveryOutcome string

// The outcomes of a recovery.
const (
	OutcomeFailedOver       RecoveryOutcome = "failed_over"        // another member took over
	OutcomeRestartedInPlace RecoveryOutcome = "restarted_in_place" // the victim came back and leads again
	OutcomeNoImpact         RecoveryOutcome = "no_impact"          // no outage was seen at all
	OutcomeReplaced         RecoveryOutcome = "replaced"           // of a target without roles: members that are no victims serve
	OutcomeNotRecovered     RecoveryOutcome = "not_recovered"
)

// RecoveryReport is the headline: how long clients went without an accepted write.
type RecoveryReport struct {
	Target        string          `json:"target"`
	Outcome       RecoveryOutcome `json:"outcome"`
	HeadlineClass Class           `json:"headline_class"`
	UpWithin      Seconds         `json:"up_within_seconds"` // a slot answered later than this counts as down
	Estimate
	FirstSuccess  *Seconds       `json:"first_success_seconds,omitempty"`
	Blip          Seconds        `json:"blip_seconds"` // B: a shorter stretch without a timely answer is a blip, and no outage
	Outages       []OutageReport `json:"outages"`      // of the headline, in order, from the injection on
	Blips         BlipsReport    `json:"blips"`        // what was too short to be an outage
	LongestOutage Seconds        `json:"longest_outage_seconds"`
	// Answered is the recovery with every acknowledgement counted as up, however late: it tells gone from slower.
	Answered    *Estimate          `json:"answered,omitempty"`
	Unavailable Seconds            `json:"unavailable_seconds"` // Failed and Slow together
	Failed      Seconds            `json:"failed_seconds"`      // slots not answered, or refused, times the slot interval
	Slow        Seconds            `json:"slow_seconds"`        // slots answered later than UpWithin, times the slot interval
	LateRatio   LateRatio          `json:"late_ratio"`
	Flaps       int                `json:"flaps"` // outages that began after the first success
	Redundancy  *Seconds           `json:"redundancy_seconds,omitempty"`
	ByClass     map[Class]Estimate `json:"by_class"`
	Phases      []Phase            `json:"phases"`

	// Degraded is in reports of format version 1 alone: down slots that were answered too late or read-only.
	Degraded Seconds `json:"degraded_seconds,omitempty"`
}

// OutageKind says what clients got in an outage.
type OutageKind string

// The kinds of outage.
const (
	OutageFailed   OutageKind = "failed"    // no answer, or a refusal
	OutageSlow     OutageKind = "slow"      // answers later than UpWithin
	OutageReadOnly OutageKind = "read_only" // refusals because the member that answered takes no writes
	OutagePieces   OutageKind = "pieces"    // down slots with answers in time between them
)

// OutageReport is a stretch in which clients lost more than a blip.
type OutageReport struct {
	Start     Seconds    `json:"start_seconds"` // after the first injection: the turn of its first down slot
	Seconds   Seconds    `json:"seconds"`       // until the estimate of its end; never ended is "+Inf"
	Kind      OutageKind `json:"kind"`
	DownSlots int        `json:"down_slots"`
	Fault     string     `json:"fault,omitempty"` // kind and name of the newest fault when it began
}

// BlipsReport counts the stretches of down slots that were too short to be outages.
type BlipsReport struct {
	Count   int     `json:"count"`
	Seconds Seconds `json:"seconds"` // all of them together
	Longest Seconds `json:"longest_seconds"`
}

// LateRatio is the share of acknowledged slots that were answered later than UpWithin; nil where none was acknowledged.
type LateRatio struct {
	Before *float64 `json:"before,omitempty"` // in the baseline
	After  *float64 `json:"after,omitempty"`  // from the recovery on
}

// Phase is a stretch of one recovery.
type Phase struct {
	Name    string  `json:"name"`
	Start   Seconds `json:"start_seconds"` // after the injection
	Seconds Seconds `json:"seconds"`
	Signal  string  `json:"signal"`          // what told us that it was over; says so when inferred
	Fault   string  `json:"fault,omitempty"` // of several faults, the one after which it came
}

// WritesReport is the ledger: what was written, and what became of it.
type WritesReport struct {
	Sent                 int      `json:"sent"`
	Acked                int      `json:"acked"`
	Lost                 *int     `json:"lost,omitempty"`              // acknowledged and gone; absent when the read-back was not possible
	LostSpan             *Seconds `json:"lost_span_seconds,omitempty"` // the time that the lost writes stand for
	IndeterminatePresent int      `json:"indeterminate_present"`
	IndeterminateAbsent  int      `json:"indeterminate_absent"`
	Failed               int      `json:"failed"`
	Phantom              int      `json:"phantom"`    // provably failed, and present
	Fabricated           int      `json:"fabricated"` // never sent, and present
	Duplicate            int      `json:"duplicate"`
	Unsent               int      `json:"unsent"`

	ByClass map[Class]WritesReport `json:"by_class,omitempty"` // of the probes of each class
	Stale   map[string]StaleReport `json:"stale,omitempty"`    // by replica
}

// StaleReport says how late a replica showed acknowledged writes, by what it answered while it was a replica.
type StaleReport struct {
	Writes int     `json:"writes"` // acknowledged, and not shown when the replica was asked after that
	P50    *Bounds `json:"latency_p50_seconds,omitempty"`
	P99    *Bounds `json:"latency_p99_seconds,omitempty"`
	Max    *Bounds `json:"latency_max_seconds,omitempty"`
}

// LagReport is replication lag by the ledger: the age of the oldest acknowledged write that a replica does not show.
type LagReport struct {
	Before             *Bounds           `json:"before_seconds,omitempty"`
	AtFault            *Bounds           `json:"at_fault_seconds,omitempty"`
	Peak               *Bounds           `json:"peak_seconds,omitempty"`
	Unknown            Seconds           `json:"unknown_seconds"` // time in which some replica could not be read
	ByMember           map[string]Bounds `json:"by_member"`       // each member's peak while it was a replica
	EngineDisagreement *Seconds          `json:"engine_disagreement_seconds,omitempty"`
}

// PrimariesReport says who was primary.
type PrimariesReport struct {
	DualPrimary   Seconds `json:"dual_primary_seconds"`
	ZombieTail    Seconds `json:"zombie_tail_seconds"`
	LeaderChanges int     `json:"leader_changes"`
	// EpochForks counts epochs with more than one line of history: two members acknowledged writes in it, it went on
	// after a newer one had begun, or a later epoch did not go on from it, so that nothing is left of it.
	EpochForks int `json:"epoch_forks"`
	// EpochRegressions counts acknowledged writes of an older epoch, sent after one of a newer epoch was acknowledged.
	EpochRegressions int `json:"epoch_regressions"`
	// Most is the largest number of primaries after the injection, by each of the three views.
	Most          map[string]int `json:"most_primaries,omitempty"`
	Disagreements []Disagreement `json:"disagreements"`
}

// EndpointsReport says whether the Service had somebody to lead to, from the injection on.
type EndpointsReport struct {
	Desired     *int           `json:"desired,omitempty"`
	LeastReady  *int           `json:"least_ready,omitempty"`
	NoEndpoints *Seconds       `json:"no_endpoints_seconds,omitempty"`
	NewMember   *NewMember     `json:"new_member_ready_seconds,omitempty"`
	Budgets     []BudgetReport `json:"pdb"`
}

// NewMember is how long after the injection pods that were not there before became Ready.
type NewMember struct {
	First Seconds `json:"first"`
	All   Seconds `json:"all"` // as many as were hurt
}

// BudgetReport says whether a PodDisruptionBudget mattered.
type BudgetReport struct {
	Name          string `json:"name"`
	AllowedBefore int    `json:"allowed_disruptions_before"`
	Covers        int    `json:"covers"` // how many of the target's pods
	Text          string `json:"text"`
}

// InvariantsReport says how the invariants stood that the drill asked for. A number that its probe does not supply is
// absent.
type InvariantsReport struct {
	ReadOutage     *Bounds       `json:"read_outage_seconds,omitempty"` // from the injection on; no member answered a read
	Staleness      *Bounds       `json:"staleness_seconds,omitempty"`   // of the worst read
	MonotonicReads *int          `json:"monotonic_read_violations,omitempty"`
	ReadYourWrites *int          `json:"read_your_writes_violations,omitempty"`
	Sum            *int          `json:"sum_violations,omitempty"`
	Register       *int          `json:"register_violations,omitempty"`
	Checked        map[Check]int `json:"checked"` // how many answers were looked at
}

// Disagreement is a stretch in which the three views of who is primary differed.
type Disagreement struct {
	Views   map[string]string `json:"views"`
	Start   Seconds           `json:"start_seconds"` // after the injection
	Seconds Seconds           `json:"seconds"`
}

// ProbeReport is what one probe saw over the whole run.
type ProbeReport struct {
	Name             string         `json:"name"`
	Kind             string         `json:"kind"`
	Class            Class          `json:"class"`
	Member           string         `json:"member,omitempty"`
	RateHz           float64        `json:"rate_hz"`
	Slots            int            `json:"slots"`
	OK               int            `json:"ok"`
	Failed           int            `json:"failed"`
	Unsent           int            `json:"unsent"`
	Blocked          int            `json:"blocked"`
	Outage           *Seconds       `json:"outage_seconds,omitempty"` // absent for pinned probes, which have none
	LatencyP50       *Seconds       `json:"latency_p50_seconds,omitempty"`
	LatencyP99       *Seconds       `json:"latency_p99_seconds,omitempty"`
	LatenessP99      *Seconds       `json:"lateness_p99_seconds,omitempty"`
	LatenessMax      *Seconds       `json:"lateness_max_seconds,omitempty"`
	ValueName        string         `json:"value_name,omitempty"` // what a numeric probe reads; its values are from the steady state on
	ValueLast        *float64       `json:"value_last,omitempty"`
	ValueMin         *float64       `json:"value_min,omitempty"`
	ValueMax         *float64       `json:"value_max,omitempty"`
	FailuresBySignal map[string]int `json:"failures_by_signal"`
}

// ObjectiveReport is one objective, judged by the worse bound of its number.
type ObjectiveReport struct {
	Name         string   `json:"name"`
	Condition    string   `json:"condition,omitempty"` // of an assertion, which has neither limit nor value
	Text         string   `json:"text,omitempty"`      // why an assertion does not hold
	LimitSeconds *Seconds `json:"limit_seconds,omitempty"`
	ValueSeconds *Seconds `json:"value_seconds,omitempty"`
	LimitCount   *int     `json:"limit_count,omitempty"`
	ValueCount   *int     `json:"value_count,omitempty"`
	Want         string   `json:"want,omitempty"` // of an objective that is no number, such as failed_over
	Got          string   `json:"got,omitempty"`
	JudgedBy     string   `json:"judged_by"`
	Met          bool     `json:"met"`
}

// AbortReport says whether an abort condition fired, and how soon everything was put back. Both lengths count from the
// moment at which the condition had been true for as long as it must.
type AbortReport struct {
	Fired    bool     `json:"fired"`
	Rule     string   `json:"rule,omitempty"`
	Text     string   `json:"text,omitempty"`
	Decision *Seconds `json:"decision_seconds,omitempty"` // until the run knew
	Latency  *Seconds `json:"latency_seconds"`            // until the last fault was reverted
}

// StatisticsReport says what the trials of a series allow one to claim, from the first to this one. It covers those that
// measured something to the end: a trial that was cut short, or cannot be vouched for, is left out.
type StatisticsReport struct {
	N                       int      `json:"n"`            // trials that have a recovery time
	Mean                    *Seconds `json:"mean_seconds"` // of those that recovered
	NeverRecovered          int      `json:"never_recovered"`
	Median                  *Seconds `json:"median_seconds"` // never recovered is longer than anything, here and below
	P90                     *Seconds `json:"p90_seconds"`
	Max                     *Seconds `json:"max_seconds"`
	FailureProbabilityUpper float64  `json:"failure_probability_upper_95"`
	MedianBounds            *Bounds  `json:"median_bounds_seconds,omitempty"`
	MaxBounds               *Bounds  `json:"max_bounds_seconds,omitempty"`
	NoImpact                int      `json:"no_impact"`          // without an outage; they count as recovered at once
	Measured                int      `json:"measured,omitempty"` // passed, failed or aborted; the failure probability is of these
	Failed                  int      `json:"failed"`             // of the measured ones: failed or aborted
	Aborted                 int      `json:"aborted,omitempty"`  // of the failed ones; they have no recovery time
	LeftOut                 int      `json:"left_out"`           // trials that measured nothing
	Text                    string   `json:"text"`               // what n allows, in a sentence
}
