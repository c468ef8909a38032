package drill

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

// Measured reports whether the run's numbers can be vouched for: one that was cut short, or is invalid, has measured nothing.
func (v Verdict) Measured() bool {
	return v == VerdictPassed || v == VerdictFailed || v == VerdictAborted
}
