package server

import (
	"context"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// notRestored refuses a record that a backup restored. A backup keeps spec and metadata and loses the status, so such a
// record looks like a new request; its drill was asked for once, and has run once. What tells them apart is the UID: the
// server notes it on the record at first sight, and the restored record has another. A record with drill's finalizer and
// no status was admitted before, too.
func (r *reconciler) notRestored(ctx context.Context, a *admission) (bool, time.Duration, error) {
	seen, known := a.run.Annotations[kube.AnnotationSeen]
	switch {
	case known && seen != string(a.run.UID),
		!known && !a.run.Spec.Local && slices.Contains(a.run.Finalizers, kube.Finalizer):
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused,
			"The record was restored from a backup; it never runs again. Ask for a new run. Nothing was touched.")
	case !known:
		if err := r.runs.MarkSeen(ctx, a.run); err != nil {
			return false, 0, err
		}
	}
	return true, 0, nil
}
