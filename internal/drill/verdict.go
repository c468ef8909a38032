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
