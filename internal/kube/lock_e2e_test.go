//go:build e2e

package kube_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const shortLease = 3 * time.Second

func quick(c *kube.Client, runs *kube.Runs, run string) *kube.Lock {
	lock := kube.NewLock(c, runs, run)
	lock.SetTimes(shortLease, time.Second)
	return lock
}

func leases(t *testing.T, c *kube.Client, ns string) int {
	t.Helper()
	list, err := c.CoordinationV1().Leases(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	return len(list.Items)
}

func refusal(t *testing.T, err error) *drill.Refusal {
	t.Helper()
	var r *drill.Refusal
	require.ErrorAs(t, err, &r)
	return r
}

func TestTheLockIsAllOrNothing(t *testing.T) {
	c, runs, create := store(t)
	ctx := t.Context()
	a, b := claimed(t, runs, create()), claimed(t, runs, create())
	release, lost, err := quick(c, runs, a.Name).Acquire(ctx, []string{"node/worker1", "namespace/shop", "namespace/shop"})
	require.NoError(t, err)
	require.Equal(t, 2, leases(t, c, runs.Namespace()))

	_, _, err = quick(c, runs, b.Name).Acquire(ctx, []string{"namespace/other", "namespace/shop", "node/worker2"})
	require.Equal(t, "locked", refusal(t, err).Code)
	require.ErrorContains(t, err, a.Name)
	require.ErrorContains(t, err, "namespace/shop")
	require.Equal(t, 2, leases(t, c, runs.Namespace()), "nothing of the one that got nothing stays")

	time.Sleep(2 * shortLease)
	select {
	case <-lost:
		t.Fatal("a lock that is renewed is not lost")
	default:
	}
	_, _, err = quick(c, runs, b.Name).Acquire(ctx, []string{"namespace/shop"})
	require.Equal(t, "locked", refusal(t, err).Code)

	require.NoError(t, release(ctx))
	require.NoError(t, release(ctx), "twice is no harm")
	require.Zero(t, leases(t, c, runs.Namespace()))
	release, _, err = quick(c, runs, b.Name).Acquire(ctx, []string{"namespace/shop"})
	require.NoError(t, err)
	require.NoError(t, release(ctx))
}

func TestOfManyRunsOneGetsTheLock(t *testing.T) {
	c, runs, create := store(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		run := claimed(t, runs, create())
		wg.Go(func() {
			if _, _, err := kube.NewLock(c, runs, run.Name).Acquire(t.Context(), []string{"namespace/a", "namespace/b"}); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
	require.Equal(t, 2, leases(t, c, runs.Namespace()))
}

func TestADeadRunsLockIsTakenOnceItsRecordIsFinishedAndItsLeaseExpired(t *testing.T) {
	c, runs, create := store(t)
	cuttable, line := overLine(t, c)
	ctx := t.Context()
	a, b := claimed(t, runs, create()), claimed(t, runs, create())
	releaseA, lost, err := quick(cuttable, runs, a.Name).Acquire(ctx, []string{"namespace/shop"})
	require.NoError(t, err)

	cut := time.Now()
	line.cut.Store(true)
	select {
	case <-lost:
	case <-time.After(4 * shortLease):
		t.Fatal("the holder of a lock that it cannot renew must know")
	}
	require.Less(t, time.Since(cut), shortLease+500*time.Millisecond)

	time.Sleep(shortLease)
	_, _, err = quick(c, runs, b.Name).Acquire(ctx, []string{"namespace/shop"})
	require.Equal(t, "locked", refusal(t, err).Code, "expired, but nobody has put back what the run broke")

	_, sweeper, err := runs.TakeOver(ctx, a.Name)
	require.NoError(t, err)
	require.NoError(t, sweeper.Finish(ctx, kube.Outcome{Verdict: drill.VerdictError, Message: "dead"}))
	began := time.Now()
	releaseB, lostB, err := quick(c, runs, b.Name).Acquire(ctx, []string{"namespace/shop"})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), shortLease, "expiry is what was seen, not what is written in the lease")

	line.cut.Store(false)
	require.NoError(t, releaseA(ctx), "a late release")
	lease, err := c.CoordinationV1().Leases(runs.Namespace()).Get(ctx, kube.LeaseName("namespace/shop"), metav1.GetOptions{})
	require.NoError(t, err, "does not hit the new holder's lease")
	require.Equal(t, b.Name, *lease.Spec.HolderIdentity)

	require.NoError(t, kube.ReleaseLocks(ctx, c, runs.Namespace(), b.Name))
	select {
	case <-lostB:
	case <-time.After(2 * shortLease):
		t.Fatal("who loses its lease must know")
	}
	require.NoError(t, releaseB(ctx))
}

func TestARunThatJustFinishedIsWaitedFor(t *testing.T) {
	c, runs, create := store(t)
	ctx := t.Context()
	a, b := claimed(t, runs, create()), claimed(t, runs, create())
	release, _, err := kube.NewLock(c, runs, a.Name).Acquire(ctx, []string{"namespace/shop"})
	require.NoError(t, err)
	require.NoError(t, runs.Journal(a.Name, a.Status.Generation).Finish(ctx, kube.Outcome{Verdict: drill.VerdictPassed, Message: "ok"}))
	time.AfterFunc(500*time.Millisecond, func() { _ = release(context.WithoutCancel(ctx)) })
	began := time.Now()
	_, _, err = kube.NewLock(c, runs, b.Name).Acquire(ctx, []string{"namespace/shop"})
	require.NoError(t, err)
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestALeaseThatSomebodyTouchedIsStillOurs(t *testing.T) {
	c, runs, create := store(t)
	cuttable, line := overLine(t, c)
	ctx := t.Context()
	run := claimed(t, runs, create())
	release, lost, err := quick(cuttable, runs, run.Name).Acquire(ctx, []string{"namespace/shop"})
	require.NoError(t, err)
	line.loseAnswers.Store(1) // of a renewal that was carried out
	api := c.CoordinationV1().Leases(runs.Namespace())
	lease, err := api.Get(ctx, kube.LeaseName("namespace/shop"), metav1.GetOptions{})
	require.NoError(t, err)
	lease.Labels["touched"] = "true"
	_, err = api.Update(ctx, lease, metav1.UpdateOptions{})
	if !apierrors.IsConflict(err) {
		require.NoError(t, err)
	}
	select {
	case <-lost:
		t.Fatal("nobody took it")
	case <-time.After(2 * shortLease):
	}
	require.NoError(t, release(ctx))
}

func TestThePulseOfARunner(t *testing.T) {
	c, runs, create := store(t)
	cuttable, line := overLine(t, c)
	ctx := t.Context()
	run := claimed(t, runs, create())
	_, _, err := kube.NewLock(cuttable, runs, run.Name).Acquire(ctx, []string{"namespace/shop"})
	require.NoError(t, err)
	pulse := kube.NewPulse(c, runs.Namespace(), run.Name)
	beating := time.Now()
	for time.Since(beating) < 17*time.Second {
		dead, err := pulse.Dead(ctx)
		require.NoError(t, err)
		require.False(t, dead)
		time.Sleep(time.Second)
	}
	line.cut.Store(true)
	eventually(t, 25*time.Second, "a runner that renews nothing is dead", func() bool {
		dead, err := pulse.Dead(ctx)
		return err == nil && dead
	})
}
