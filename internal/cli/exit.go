package cli

import (
	"errors"
	"fmt"

	"github.com/failoverdrill/drill/internal/drill"
)

// Exit codes are documented in docs/exit-codes.md and never change their meaning. 2 is wrong usage, as everywhere.
const (
	exitOK          = 0
	exitError       = 1 // the tool failed
	exitUsage       = 2
	exitUnformatted = 3 // fmt --check would change a file
	exitInvalidFile = 4
	exitFailed      = 10
	exitRefused     = 11 // nothing touched
	exitAborted     = 12 // reverted
	exitInterrupted = 13 // reverted
	exitResidue     = 14 // someone must act; wins over the others
	exitInvalid     = 15
)

// codedError is an error that knows its exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func withCode(code int, format string, args ...any) error {
	return &codedError{code, fmt.Errorf(format, args...)}
}

// silent ends a command with a code after everything has been said.
type silent struct{ code int }

func (silent) Error() string { return "" }

// exitCode is the exit code for a command's error.
func exitCode(err error) int {
	var coded *codedError
	var quiet silent
	var refusal *drill.Refusal
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return quiet.code
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &refusal):
		return exitRefused
	default:
		return exitError
	}
}

// reportCode is the exit code for a run's report. Residue wins over everything.
func reportCode(r drill.Report) int {
	if r.HasResidue() {
		return exitResidue
	}
	return verdictCode(r.Run.Verdict)
}

// trialsCode is the exit code for the trials of a series: residue wins, and else the worst verdict.
func trialsCode(trials []drill.Report) int {
	var verdicts []drill.Verdict
	for _, r := range trials {
		if r.HasResidue() {
			return exitResidue
		}
		verdicts = append(verdicts, r.Run.Verdict)
	}
	return verdictCode(drill.Worst(verdicts...))
}

func verdictCode(v drill.Verdict) int {
	switch v {
	case drill.VerdictPassed:
		return exitOK
	case drill.VerdictFailed:
		return exitFailed
	case drill.VerdictRefused:
		return exitRefused
	case drill.VerdictAborted:
		return exitAborted
	case drill.VerdictInterrupted:
		return exitInterrupted
	case drill.VerdictInvalid:
		return exitInvalid
	default:
		return exitError
	}
}
