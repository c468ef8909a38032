package targets

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/postgres"
)

// watched waits until the target's watch of pods has begun: the fake API server tells nobody of what came before.
func (l *lab) watched() {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		for _, a := range l.kube.Actions() {
			if a.GetVerb() == "watch" && a.GetResource().Resource == "pods" {
				return true
			}
		}
		return false
	}, 3*time.Second, 10*time.Millisecond)
}

// replace deletes a member's pod; another one has its server's address under a new name.
func (l *lab) replace(gone *postgres.Server, name, uid string, at *postgres.Server) {
	l.t.Helper()
	require.NoError(l.t, l.kube.CoreV1().Pods("shop").Delete(l.t.Context(), gone.Name, metav1.DeleteOptions{}))
	renamed := *at
	renamed.Name = name
	l.pod(&renamed, "replica", uid)
}

// answers waits until a pinned probe's newest slot was answered by a pod.
func (l *lab) answers(r *recorder, probe, name, uid string) drill.Sample {
	l.t.Helper()
	var last drill.Sample
	require.Eventually(l.t, func() bool {
		all := r.of(probe, 0, 0)
		if len(all) == 0 {
			return false
		}
		last = all[len(all)-1]
		return last.By == name && last.Reading != nil && last.Reading.UID == uid && last.ByUID == uid
	}, 10*time.Second, 20*time.Millisecond)
	return last
}

// TestAMemberThatIsReplacedUnderAnotherName is followed by the selector: its pinned probe asks the pod that came
// instead, and never one that another probe asks.
func TestAMemberThatIsReplacedUnderAnotherName(t *testing.T) {
	l := newLab(t)
	target := l.target()
	l.open(target)
	r := record(t, target)
	l.watched()
	l.answers(r, "orders/orders-1", "orders-1", "uid-1")

	l.replace(l.pair.Second, "orders-7", "uid-7", l.pair.Second)
	before := l.answers(r, "orders/orders-1", "orders-1", "uid-1")
	require.Eventually(t, func() bool {
		all := r.of("orders/orders-1", before.Scheduled.Add(500*time.Millisecond), 0)
		return len(all) > 0 && all[0].By == "orders-1"
	}, 3*time.Second, 20*time.Millisecond, "as long as the session lives, it shows what the old pod does")

	l.pair.Second.Stop()
	l.pair.Second.Start()
	s := l.answers(r, "orders/orders-1", "orders-7", "uid-7")
	require.Equal(t, "orders-1", s.Member, "the member that the probe was made for")
	require.Equal(t, drill.RoleReplica, s.Role)

	// It does not answer and its pod is gone: its session is given up for another pod.
	l.pair.Second.Freeze()
	defer l.pair.Second.Thaw()
	renamed := *l.pair.Second
	renamed.Name = "orders-7"
	l.replace(&renamed, "orders-8", "uid-8", l.pair.First)
	l.answers(r, "orders/orders-1", "orders-8", "uid-8")
	first := l.answers(r, "orders/orders-0", "orders-0", "uid-0")
	require.Equal(t, drill.RolePrimary, first.Role)

	// Answers through the Service name the pod, too: the one that has the address now.
	pooled := r.of("orders", before.Scheduled, s.Scheduled)
	require.NotEmpty(t, pooled)
	for _, p := range pooled {
		if p.Outcome == drill.OutcomeOK {
			require.Equal(t, "orders-0", p.By)
			require.Equal(t, "uid-0", p.ByUID)
		}
	}
	r.stop()
}
