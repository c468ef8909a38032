package targets

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestOpenSessionsOutliveThePod: the pod object and the listener of a forced delete go first, and the process goes on
// acknowledging writes over the sessions that are open. Only their end shows that it is dead.
func TestOpenSessionsOutliveThePod(t *testing.T) {
	l := newLab(t)
	target := l.target()
	victim := l.open(target)[0]
	r := record(t, target)
	assert.Equal(t, drill.Connection{State: drill.ConnectionOpen}, target.Connection(victim))
	stranger := victim
	stranger.UID = "uid-of-another"
	assert.Equal(t, drill.Connection{}, target.Connection(stranger), "a pod of the same name that there was no session to")

	require.NoError(t, l.kube.CoreV1().Pods("shop").Delete(t.Context(), victim.Name, metav1.DeleteOptions{}))
	l.pair.First.Drain()
	require.Eventually(t, func() bool { return !target.Answers(t.Context(), victim) }, 2*time.Second, 10*time.Millisecond)
	refusing := r.clock.Now()
	acks := func(probe string) int { return len(acked(r.of(probe, refusing, 0))) }
	require.Eventually(t, func() bool {
		assert.Equal(t, drill.ConnectionOpen, target.Connection(victim).State)
		assert.False(t, target.Answers(t.Context(), victim))
		return acks("orders") >= 50 && acks("orders/orders-0") >= 10
	}, 5*time.Second, 50*time.Millisecond, "it acknowledges writes all the time")

	killed := l.pair.First.Kill()
	require.Eventually(t, func() bool { return target.Connection(victim).State == drill.ConnectionEnded }, 2*time.Second, 10*time.Millisecond)
	ended := target.Connection(victim).Since
	assert.False(t, ended.Before(killed.Before))
	assert.Less(t, ended.Sub(killed.After), 3*pinnedInterval, "it is found out at the next slot")
	t.Logf("new connections refused from %v on; %d acks after that; its session ended %v after the kill",
		time.Duration(refusing), acks("orders"), ended.Sub(killed.After))
	r.stop()
	assert.Equal(t, drill.ConnectionEnded, target.Connection(victim).State)
}

// TestSilentSession: a node that is lost ends no session, so a statement that stays unanswered counts in the end.
func TestSilentSession(t *testing.T) {
	l := newLab(t)
	target := l.target()
	victim := l.open(target)[0]
	record(t, target)
	t.Cleanup(l.pair.First.Thaw) // also when the test fails: the sampler waits for the statement that is under way
	state := func() drill.ConnectionState { return target.Connection(victim).State }
	require.Eventually(t, func() bool { return target.pinned[0].role(time.Now()) == drill.RolePrimary }, 2*time.Second, 10*time.Millisecond)
	frozen := time.Now()
	l.pair.First.Freeze()
	require.Eventually(t, func() bool { return state() == drill.ConnectionSilent }, 4*time.Second, 10*time.Millisecond)
	since := target.Connection(victim).Since
	assert.GreaterOrEqual(t, since.Sub(frozen), silentAfter-pinnedInterval, "it may have been asked right before")
	assert.Less(t, since.Sub(frozen), silentAfter+3*pinnedInterval)
	l.pair.First.Thaw()
	require.Eventually(t, func() bool { return state() == drill.ConnectionOpen }, 2*time.Second, 10*time.Millisecond,
		"it was not dead: it answers again on the same session")

	// Its pod is replaced while it is silent: the session is given up, and stays silent.
	l.pair.First.Freeze()
	require.Eventually(t, func() bool { return state() == drill.ConnectionSilent }, 4*time.Second, 10*time.Millisecond)
	l.pod(l.pair.First, "master", "uid-0b")
	require.Eventually(t, func() bool { p := target.pinned[0]; p.mu.Lock(); defer p.mu.Unlock(); return p.sess == nil },
		2*time.Second, 10*time.Millisecond)
	assert.Equal(t, drill.ConnectionSilent, state())
	l.pair.First.Thaw()
	replacement := victim
	replacement.UID = "uid-0b"
	require.Eventually(t, func() bool { return target.Connection(replacement).State == drill.ConnectionOpen }, 4*time.Second, 10*time.Millisecond)
	assert.Equal(t, drill.ConnectionSilent, state(), "the new pod's word is not the old one's")
}

// TestReplacedPodIsHeardUntilItEnds: a new pod of the member's name may be up before the old one's process has ended.
func TestReplacedPodIsHeardUntilItEnds(t *testing.T) {
	l := newLab(t)
	target := l.target()
	victim := l.open(target)[0]
	r := record(t, target)
	l.pair.First.Drain()
	require.Eventually(t, func() bool { return !target.Answers(t.Context(), victim) }, 2*time.Second, 10*time.Millisecond)
	l.pod(l.pair.First, "master", "uid-0b")
	require.Eventually(t, func() bool { p := target.pinned[0]; p.mu.Lock(); defer p.mu.Unlock(); return p.former != nil },
		2*time.Second, 10*time.Millisecond, "the watch has brought the new pod")
	replaced := r.clock.Now()
	require.Eventually(t, func() bool { return len(acked(r.of("orders/orders-0", replaced, 0))) >= 10 }, 3*time.Second, 20*time.Millisecond)
	for _, s := range r.of("orders/orders-0", replaced, 0) {
		if s.Reading != nil {
			assert.Equal(t, "uid-0", s.Reading.UID)
		}
	}
	assert.Equal(t, drill.ConnectionOpen, target.Connection(victim).State)
	l.pair.First.Kill()
	require.Eventually(t, func() bool { return target.Connection(victim).State == drill.ConnectionEnded }, 2*time.Second, 10*time.Millisecond)
	l.pair.First.Start()
	require.Eventually(t, func() bool {
		all := r.of("orders/orders-0", 0, 0)
		last := all[len(all)-1]
		return last.Reading != nil && last.Reading.UID == "uid-0b"
	}, 3*time.Second, 20*time.Millisecond, "the session to the new pod")

	// A former pod that answers for ever is given up in the end, which does not make it a dead one.
	second := victim
	second.UID = "uid-0b"
	require.NoError(t, l.kube.CoreV1().Pods("shop").Delete(t.Context(), victim.Name, metav1.DeleteOptions{}))
	require.Eventually(t, func() bool { _, there := target.cluster.live(victim.Name); return !there }, 2*time.Second, 10*time.Millisecond)
	p := target.pinned[0]
	p.mu.Lock()
	s := p.sess
	p.mu.Unlock()
	p.giveUp(s, time.Now().Add(-time.Second))
	require.Eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.sess == nil }, 2*time.Second, 10*time.Millisecond)
	assert.Equal(t, drill.ConnectionOpen, target.Connection(second).State)
}
