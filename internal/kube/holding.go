package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// holding is a lock that is held, scope by scope.
type holding struct {
	lock    *Lock
	leases  []*coordinationv1.Lease
	lost    chan struct{}
	stop    context.CancelFunc
	stopped chan struct{}
	once    sync.Once

	mu      sync.Mutex
	renewed time.Time // when the last renewal that succeeded was begun
	over    bool      // given back, or taken away
}

// errTaken means that a Lease is not ours any more.
var errTaken = errors.New("the lock was taken away")

// keep renews until it is stopped or the lock is taken away. A lock that could not be renewed in time is lost, and is
// renewed all the same once that is possible: nobody takes it from a run that has not ended, and whoever looks for the
// run's pulse finds it. It owns the leases meanwhile.
func (h *holding) keep(ctx context.Context) {
	defer close(h.stopped)
	lost := false
	lose := func() {
		if !lost {
			lost = true
			close(h.lost)
		}
	}
	for {
		pause := time.Until(h.last().Add(h.lock.interval))
		if pause <= 0 { // the last renewal failed
			pause = h.lock.interval / 5
		}
		if !lost {
			pause = min(pause, time.Until(h.until()))
		}
		if !sleep(ctx, pause) {
			return
		}
		deadline := h.until()
		if lost {
			deadline = time.Now().Add(h.lock.duration)
		}
		trying, cancel := context.WithDeadline(ctx, deadline)
		err := h.renew(trying)
		cancel()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return
		case errors.Is(err, errTaken):
			lose()
			h.end()
			return
		case time.Since(h.last()) >= h.lock.duration:
			lose()
		}
	}
}

func (h *holding) last() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.renewed
}

// until is when the lock may be taken for abandoned; long ago when it is not held any more.
func (h *holding) until() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return time.Time{}
	}
	return h.renewed.Add(h.lock.duration)
}

func (h *holding) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// renew renews every Lease, each with a short deadline, because a connection that hangs must not cost the lock.
func (h *holding) renew(ctx context.Context) error {
	begun := time.Now()
	for i, lease := range h.leases {
		trying, cancel := context.WithTimeout(ctx, min(requestTimeout, h.lock.interval))
		renewed, err := h.lock.renew(trying, lease)
		cancel()
		if err != nil {
			return err
		}
		h.leases[i] = renewed
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renewed = begun
	return nil
}

func (l *Lock) renew(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	now := metav1.NowMicro()
	next := lease.DeepCopy()
	next.Spec.RenewTime = &now
	renewed, err := l.leases.Update(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		// Our own renewal whose answer got lost, or a label that somebody put on it: still ours by UID and holder.
		current, getErr := l.leases.Get(ctx, lease.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(getErr):
			return nil, errTaken
		case getErr != nil:
			return nil, fmt.Errorf("read lease %s: %w", lease.Name, getErr)
		case current.UID != lease.UID || holder(current) != l.run:
			return nil, errTaken
		}
		current.Spec.RenewTime = &now
		renewed, err = l.leases.Update(ctx, current, metav1.UpdateOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil, errTaken
	}
	if err != nil {
		return nil, fmt.Errorf("renew lease %s: %w", lease.Name, err)
	}
	return renewed, nil
}

// release gives every scope back. It may be called more than once.
func (h *holding) release(ctx context.Context) error {
	h.once.Do(h.stop)
	<-h.stopped
	return h.delete(ctx)
}

func (h *holding) delete(ctx context.Context) error {
	var all []error
	for _, lease := range h.leases {
		all = append(all, patiently(ctx, func(ctx context.Context) error { return deleteLease(ctx, h.lock.leases, lease, false) }))
	}
	return errors.Join(all...)
}

// patiently tries again, until ctx ends, what fails in a way that may pass, each time with a short deadline.
func patiently(ctx context.Context, try func(context.Context) error) error {
	for {
		trying, cancel := context.WithTimeout(ctx, requestTimeout)
		err := try(trying)
		cancel()
		if err == nil || !Retriable(err) || !sleep(ctx, time.Second) {
			return err
		}
	}
}

// locksOf lists the Leases of a run's locks.
func locksOf(ctx context.Context, client kubernetes.Interface, namespace, run string) ([]coordinationv1.Lease, error) {
	list, err := client.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{LabelComponent: componentLock, LabelRun: run}.String()})
	if err != nil {
		return nil, fmt.Errorf("list the locks of run %s: %w", run, err)
	}
	return list.Items, nil
}

// ReleaseLocks deletes the locks of a run whose runner is dead. It tries for a while.
func ReleaseLocks(ctx context.Context, client kubernetes.Interface, namespace, run string) error {
	ctx, cancel := context.WithTimeout(ctx, brief)
	defer cancel()
	return patiently(ctx, func(ctx context.Context) error {
		leases, err := locksOf(ctx, client, namespace, run)
		if err != nil {
			return err
		}
		var all []error
		for i := range leases {
			all = append(all, deleteLease(ctx, client.CoordinationV1().Leases(namespace), &leases[i], false))
		}
		return errors.Join(all...)
	})
}
