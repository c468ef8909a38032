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

// TakeBackRead takes such a note back: the reading ended for a reason that was none of the file's.
func (s *Runs) TakeBackRead(ctx context.Context, name string) error {
	_, err := s.change(ctx, name, brief, func(run *DrillRun, unsure bool) (bool, error) {
		if unsure || run.Status.Reads == 0 || run.Status.Phase != "" && run.Status.Phase != PhasePending {
			return false, nil // twice taken back would hide another's
		}
		run.Status.Reads--
		return true, nil
	})
	return err
}
