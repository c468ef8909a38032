package kube

import (
	"context"
	"fmt"
)

// NoteRead notes that a server is about to read the drill file of a pending run, and returns the run with the note:
// how often one began to, this time included. The note comes first: whatever the file does to its reader, the next server knows.
func (s *Runs) NoteRead(ctx context.Context, name string) (*DrillRun, error) {
	return s.change(ctx, name, brief, func(run *DrillRun, _ bool) (bool, error) {
		if run.Status.Phase != "" && run.Status.Phase != PhasePending {
			return false, fmt.Errorf("read the file of run %s: %w", name, ErrClaimed)
		}
		run.Status.Reads++
		return true, nil
	})
}
