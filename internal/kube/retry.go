package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// requestTimeout bounds one request, so that a connection that hangs does not use up the time for retries.
const requestTimeout = 5 * time.Second

// How long a write to a record is tried when the API server does not answer. Before an injection, giving up early is
// safe. After one, what is not written down costs somebody a clean-up.
const (
	brief   = 10 * time.Second
	patient = 2 * time.Minute
)

// maxConflicts bounds the compare-and-swaps that are lost in a row.
const maxConflicts = 20

// Retriable reports whether the same request may succeed a moment later. A request that failed in this way may
// nevertheless have been carried out.
func Retriable(err error) bool {
	if TooLarge(err) {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true // no answer at all
	}
	code := status.Status().Code
	return code == 429 || code >= 500
}

// TooLarge reports whether an object is larger than the API server or its etcd take it. etcd says so in a text only, and
// the API server calls that an error inside itself.
func TooLarge(err error) bool {
	return err != nil && (apierrors.IsRequestEntityTooLargeError(err) || strings.Contains(err.Error(), "etcdserver: request is too large") ||
		strings.Contains(err.Error(), "trying to send message larger than max"))
}

// edit changes a record that was just read. It returns false when there is nothing to write. When unsure, an earlier
// write of the same call may have been carried out although no answer came that says so: edit must recognise its own work.
type edit func(run *DrillRun, unsure bool) (write bool, err error)

// change is the compare-and-swap under every write of a status: it reads, edits, and writes on condition that nobody
// wrote in between. After a conflict it starts over, so edit decides again on what is there now.
func (s *Runs) change(ctx context.Context, name string, patience time.Duration, edit edit) (*DrillRun, error) {
	giveUp := time.Now().Add(patience)
	pause := 100 * time.Millisecond
	unsure := false
	for conflicts := 0; ; {
		run, err := s.attempt(ctx, name, edit, &unsure)
		switch {
		case err == nil:
			return run, nil
		case apierrors.IsConflict(err):
			if conflicts++; conflicts > maxConflicts {
				return nil, err
			}
		case ctx.Err() != nil:
			return nil, fmt.Errorf("write run %s: %w", name, errors.Join(context.Cause(ctx), err))
		case !errors.As(err, new(unanswered)) || time.Now().After(giveUp):
			return nil, err
		default:
			pause = min(2*pause, 2*time.Second)
		}
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return nil, fmt.Errorf("write run %s: %w", name, errors.Join(context.Cause(ctx), err))
		}
	}
}

// unanswered marks errors of requests that are worth repeating, apart from those that edit returns.
type unanswered struct{ error }

// Unanswered reports whether a write of a record failed because no answer came that counts, for as long as it was tried.
func Unanswered(err error) bool { return errors.As(err, new(unanswered)) }

func (u unanswered) Unwrap() error { return u.error }

func (s *Runs) attempt(ctx context.Context, name string, edit edit, unsure *bool) (*DrillRun, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	run, err := s.Get(ctx, name)
	if err != nil {
		if Retriable(err) {
			return nil, unanswered{err}
		}
		return nil, err
	}
	write, err := edit(run, *unsure)
	if err != nil || !write {
		return run, err
	}
	u, err := run.unstructured()
	if err != nil {
		return nil, err
	}
	u, err = s.records.UpdateStatus(ctx, u, metav1.UpdateOptions{FieldManager: ManagedBy})
	if err == nil {
		return fromUnstructured(u)
	}
	err = fmt.Errorf("write run %s: %w", name, err)
	conflict := apierrors.IsConflict(err)
	// A conflict, too: what was delivered twice is refused the second time.
	if *unsure = *unsure || conflict || Retriable(err); conflict || !Retriable(err) {
		return nil, err
	}
	return nil, unanswered{err}
}

// asRecord unwraps a watch's event; false means that the watch has nothing more to say.
func asRecord(event watch.Event) (*unstructured.Unstructured, bool) {
	if event.Type != watch.Added && event.Type != watch.Modified {
		return nil, false
	}
	u, ok := event.Object.(*unstructured.Unstructured)
	return u, ok
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
