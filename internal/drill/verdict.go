package drill

import "slices"

// Verdict is how a run ended.
type Verdict string

// The verdicts.
const (
	VerdictPassed      Verdict = "passed"
	VerdictFailed      Verdict = "failed"
	VerdictAborted     Verdict = "aborted"
	VerdictRefused     Verdict = "refused"     // nothing was touched
	VerdictInvalid     Verdict = "invalid"     // the fault or the measurement cannot be vouched for
	VerdictInterrupted Verdict = "interrupted" // and reverted
	VerdictError       Verdict = "error"       // the tool failed
)

// Verdicts are all there are.
func Verdicts() []Verdict {
	return []Verdict{VerdictPassed, VerdictFailed, VerdictAborted, VerdictRefused, VerdictInvalid, VerdictInterrupted, VerdictError}
}

// severity orders the verdicts by how much they ask of somebody: first what may have harmed the target, then what was
// found out about it, then what was not.
var severity = []Verdict{VerdictPassed, VerdictRefused, VerdictInterrupted, VerdictInvalid, VerdictFailed, VerdictAborted, VerdictError}

// Worst is what to say of several runs in one word. One that this version does not know is an error.
func Worst(verdicts ...Verdict) Verdict {
	worst := -1
	for _, v := range verdicts {
		at := slices.Index(severity, v)
		if at < 0 {
			at = len(severity) - 1
		}
		worst = max(worst, at)
	}
	if worst < 0 {
		return ""
	}
	return severity[worst]
}

// Measured reports whether the run's numbers can be vouched for: one that was cut short, or is invalid, has measured nothing.
func (v Verdict) Measured() bool {
	return v == VerdictPassed || v == VerdictFailed || v == VerdictAborted
}
