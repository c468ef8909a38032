package drill

import "slices"

// Check names a history that a probe of a target records so that invariants can be judged by it.
type Check string

// The checks. Each is a probe of its own, called <target>/<check>, which runs when an objective asks for it.
const (
	CheckReads    Check = "reads"    // what the members show of the ledger, in sessions that last
	CheckOwn      Check = "own"      // what a session is shown of what it wrote itself
	CheckSum      Check = "sum"      // accounts whose sum no transfer may change
	CheckRegister Check = "register" // registers that must be linearizable
)

// Invariant is a rule that holds whatever happens: an objective that needs a probe of its own.
type Invariant struct {
	Objective string // its name in the objectives block
	Value     string // the live value of the target that says how it stands
	Check     Check  // the probe that supplies it
	Seconds   bool   // its limit is a length of time, and not a number of violations
}

// Invariants lists all of them, in the order of the language.
func Invariants() []Invariant {
	return []Invariant{
		{Objective: ObjectiveReadOutage, Value: "read_outage_seconds", Check: CheckReads, Seconds: true},
		{Objective: ObjectiveStaleness, Value: "staleness_seconds", Check: CheckReads, Seconds: true},
		{Objective: ObjectiveMonotonicReads, Value: ObjectiveMonotonicReads, Check: CheckReads},
		{Objective: ObjectiveReadYourWrites, Value: ObjectiveReadYourWrites, Check: CheckOwn},
		{Objective: ObjectiveSum, Value: ObjectiveSum, Check: CheckSum},
		{Objective: ObjectiveRegister, Value: ObjectiveRegister, Check: CheckRegister},
	}
}

// Checks lists what the drill's objectives need to be judged, each once.
func (d *Drill) Checks() []Check {
	var checks []Check
	for _, i := range Invariants() {
		if _, ok := d.Limit(i.Objective); ok && !slices.Contains(checks, i.Check) {
			checks = append(checks, i.Check)
		}
	}
	return checks
}
