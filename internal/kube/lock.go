package kube

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// How long a lock lives without being renewed, and how often it is renewed.
const (
	leaseDuration = 15 * time.Second
	leaseRenewal  = 5 * time.Second
)

const (
	componentLock    = "lock"
	annotationScope  = "failoverdrill.io/scope"
	annotationHolder = "failoverdrill.io/holder" // the process that made the Lease
)

// Lock lets one run at a time into each scope, by a Lease per scope. It implements runner.Lock.
//
// A Lease is not a fence: a process that stalls may believe that it holds a lock which is lost. That is why every
// injection also raises the run's generation.
type Lock struct {
	leases coordinationclient.LeaseInterface
	run    string
	holder string // this process, by which it knows a Lease that it made without hearing of it
	// finished reports whether a run will never touch anything again.
	finished           func(ctx context.Context, run string) (bool, error)
	duration, interval time.Duration

	mu   sync.Mutex
	held []*holding
}

// NewLock makes the lock of one run, whose record is in runs.
func NewLock(client kubernetes.Interface, runs *Runs, run string) *Lock {
	return &Lock{
		leases:   client.CoordinationV1().Leases(runs.namespace),
		run:      run,
		holder:   rand.Text(),
		finished: runs.over,
		duration: leaseDuration,
		interval: leaseRenewal,
	}
}

// Holders returns who holds the scopes now: runs by scope, without those that are over. It only reads.
func Holders(ctx context.Context, client kubernetes.Interface, runs *Runs, scopes []string) (map[string]string, error) {
	held := map[string]string{}
	for _, scope := range scopes {
		lease, err := client.CoordinationV1().Leases(runs.namespace).Get(ctx, leaseName(scope), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the lock of %s: %w", scope, err)
		}
		over, err := runs.over(ctx, holder(lease))
		if err != nil {
			return nil, fmt.Errorf("read who holds the lock of %s: %w", scope, err)
		}
		if !over {
			held[scope] = holder(lease)
		}
	}
	return held, nil
}

// over reports whether a run is finished, or nothing is known of it any more: records of live runs cannot be deleted.
func (s *Runs) over(ctx context.Context, name string) (bool, error) {
	run, err := s.Get(ctx, name)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return run.Finished(), nil
}

// Acquire takes every scope or none. A scope that another run holds is a *drill.Refusal that names it. Lost is closed
// when the lock could not be renewed in time, or was taken away.
func (l *Lock) Acquire(ctx context.Context, scopes []string) (func(context.Context) error, <-chan struct{}, error) {
	scopes = slices.Compact(slices.Sorted(slices.Values(scopes)))
	h := &holding{lock: l, lost: make(chan struct{}), stopped: make(chan struct{})}
	h.renewed = time.Now() // before the first request, so that ours ends before the others think that it does
	for _, scope := range scopes {
		lease, err := l.take(ctx, scope)
		if err != nil {
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseDuration)
			defer cancel()
			return nil, nil, errors.Join(err, h.delete(undo), l.forget(undo, scope))
		}
		h.leases = append(h.leases, lease)
		// Waiting for another scope to expire must not let those that we have expire.
		if time.Since(h.renewed) > l.interval {
			if err := h.renew(ctx); err != nil {
				undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseDuration)
				defer cancel()
				return nil, nil, errors.Join(err, h.delete(undo))
			}
		}
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	go h.keep(renewing)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, h)
	return h.release, h.lost, nil
}

// Until is when, on this process's clock, the first of the scopes that are held may be taken for abandoned unless it is
// renewed before.
func (l *Lock) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := time.Now().Add(l.duration)
	for _, h := range l.held {
		if t := h.until(); t.Before(until) {
			until = t
		}
	}
	return until
}

// take creates the scope's Lease, after deleting one whose run is over and whose holder does not renew it any more. What
// was not answered is tried again: the Lease may be there, and is known by its holder.
func (l *Lock) take(ctx context.Context, scope string) (*coordinationv1.Lease, error) {
	var seen sighting
	for giveUp := time.Now().Add(brief); ; {
		lease, changed, err := l.tryTake(ctx, scope, &seen)
		if err == nil && lease != nil {
			return lease, nil
		}
		if _, refused := errors.AsType[*drill.Refusal](err); refused || err != nil && (!Retriable(err) || time.Now().After(giveUp)) {
			return nil, err
		}
		if changed {
			continue
		}
		if !sleep(ctx, min(time.Second, l.interval)) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", scope, context.Cause(ctx)), err)
		}
	}
}

// tryTake tries once. It returns no Lease and no error when there is another's that may soon be taken, and at once when
// that one is gone.
func (l *Lock) tryTake(ctx context.Context, scope string, seen *sighting) (lease *coordinationv1.Lease, atOnce bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	lease, err = l.leases.Create(ctx, l.lease(scope), metav1.CreateOptions{})
	if err == nil {
		return lease, false, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, false, fmt.Errorf("lock %s: %w", scope, err)
	}
	lease, err = l.leases.Get(ctx, leaseName(scope), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, true, nil
	case err != nil:
		return nil, false, fmt.Errorf("read the lock of %s: %w", scope, err)
	case lease.Annotations[annotationHolder] == l.holder:
		return lease, false, nil
	}
	if err := l.mayTake(ctx, scope, lease, seen.look(lease)); err != nil {
		return nil, false, err
	}
	if seen.unchangedFor() < leaseLength(lease) {
		return nil, false, nil
	}
	// Deleted and made anew, not updated: the old holder's release must not hit ours, and goes by UID.
	if err := deleteLease(ctx, l.leases, lease, true); err != nil {
		return nil, false, fmt.Errorf("take over the lock of %s from run %s: %w", scope, holder(lease), err)
	}
	return nil, true, nil
}

// forget deletes a Lease that this process may have made without hearing of it.
func (l *Lock) forget(ctx context.Context, scope string) error {
	return patiently(ctx, func(ctx context.Context) error {
		lease, err := l.leases.Get(ctx, leaseName(scope), metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && lease.Annotations[annotationHolder] != l.holder {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the lock of %s: %w", scope, err)
		}
		return deleteLease(ctx, l.leases, lease, false)
	})
}

// mayTake refuses a scope that a live run holds. A run whose record is finished may still be about to release.
func (l *Lock) mayTake(ctx context.Context, scope string, lease *coordinationv1.Lease, changed bool) error {
	other := holder(lease)
	refusal := &drill.Refusal{Code: "locked", Text: fmt.Sprintf(
		"run %s holds the lock of %s. Wait for its end, or cancel it", other, scope)}
	if changed {
		return refusal // somebody renews it, whatever its run's record says
	}
	if other == "" || other == l.run {
		return nil
	}
	over, err := l.finished(ctx, other)
	if err != nil {
		return fmt.Errorf("lock %s: %w", scope, err)
	}
	if !over {
		return refusal
	}
	return nil
}

func (l *Lock) lease(scope string) *coordinationv1.Lease {
	now, seconds := metav1.NowMicro(), int32(l.duration.Seconds())
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name:        leaseName(scope),
			Labels:      map[string]string{LabelManagedBy: ManagedBy, LabelComponent: componentLock, LabelRun: l.run},
			Annotations: map[string]string{annotationScope: scope, annotationHolder: l.holder},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &l.run, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now},
	}
}

// leaseName is readable, and unique by its hash.
func leaseName(scope string) string {
	sum := sha256.Sum256([]byte(scope))
	readable := strings.Trim(notInName.ReplaceAllString(strings.ToLower(scope), "-"), "-")
	return fmt.Sprintf("lock-%s-%s", strings.TrimRight(readable[:min(40, len(readable))], "-"), hex.EncodeToString(sum[:4]))
}

func holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func leaseLength(lease *coordinationv1.Lease) time.Duration {
	if lease.Spec.LeaseDurationSeconds == nil {
		return leaseDuration
	}
	return time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
}

// deleteLease deletes this very Lease, and with unchanged only while nobody renews it. One that is gone, or another's
// by now, is none of ours.
func deleteLease(ctx context.Context, leases coordinationclient.LeaseInterface, lease *coordinationv1.Lease, unchanged bool) error {
	only := metav1.Preconditions{UID: &lease.UID}
	if unchanged {
		only.ResourceVersion = &lease.ResourceVersion
	}
	err := leases.Delete(ctx, lease.Name, metav1.DeleteOptions{Preconditions: &only})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete lease %s: %w", lease.Name, err)
	}
	return nil
}

// sighting remembers since when, by this process's own monotonic clock, a Lease has looked the same. The times that are
// written in it are of no use: they are another machine's.
type sighting struct {
	version string
	since   time.Time
}

// look reports whether the Lease changed since the last look.
func (s *sighting) look(lease *coordinationv1.Lease) (changed bool) {
	version := string(lease.UID) + "/" + lease.ResourceVersion
	if version == s.version {
		return false
	}
	first := s.version == ""
	s.version, s.since = version, time.Now()
	return !first
}

func (s *sighting) unchangedFor() time.Duration { return time.Since(s.since) }
