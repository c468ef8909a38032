package kube

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func manyRights(n int) []Right {
	var all []Right
	for i := range n {
		all = append(all, MayInject("pod_kill", fmt.Sprintf("ns-%d", i)))
	}
	return all
}

// TestT2RightsAreAskedAFewAtATime: what a file needs may be much, and the leader's own requests go the same way.
func TestT2RightsAreAskedAFewAtATime(t *testing.T) {
	var now, most, asked atomic.Int64
	count := func(_ context.Context, r Right) (bool, error) {
		asked.Add(1)
		for n := now.Add(1); n > most.Load(); {
			most.Store(n)
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		return r.Namespace != "ns-20", nil
	}
	denied, err := ask(t.Context(), manyRights(100), false, count)
	require.NoError(t, err)
	require.Equal(t, []Right{MayInject("pod_kill", "ns-20")}, denied)
	require.EqualValues(t, 100, asked.Load())
	require.LessOrEqual(t, most.Load(), int64(askAtOnce))

	asked.Store(0)
	denied, err = ask(t.Context(), manyRights(100), true, count)
	require.NoError(t, err)
	require.Len(t, denied, 1)
	require.EqualValues(t, 24, asked.Load(), "no more is asked once something is denied")
}

// TestT2TooManyRightsAreARefusal: an error would be tried again for ever.
func TestT2TooManyRightsAreARefusal(t *testing.T) {
	_, err := ask(t.Context(), manyRights(maxRights+1), true, func(context.Context, Right) (bool, error) {
		t.Error("asked")
		return true, nil
	})
	var refusal *drill.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "too_many_rights", refusal.Code)
}

// TestT2RightsAreSaidOnce: 2,200 faults in 4,400 namespaces were 87 million entries.
func TestT2RightsAreSaidOnce(t *testing.T) {
	var kinds, namespaces []string
	var secrets []SecretName
	for i := range 4400 {
		kinds, namespaces = append(kinds, "network_partition", "pod_kill"), append(namespaces, fmt.Sprintf("ns-%d", i%3))
		secrets = append(secrets, SecretName{"shop", "orders"})
	}
	require.Len(t, RunRights(namespaces, kinds, secrets, nil), 7)
	for i := range namespaces {
		namespaces[i] = fmt.Sprintf("ns-%d", i)
	}
	began := time.Now()
	require.Greater(t, len(RunRights(namespaces, kinds, nil, nil)), maxRights)
	require.Less(t, len(RunRights(namespaces, kinds, nil, nil)), 2*maxRights)
	require.Less(t, time.Since(began), time.Second)
}

// TestRightsShareOneDeadline: an API server that answers slowly keeps an admission for so long, and not for each right.
func TestRightsShareOneDeadline(t *testing.T) {
	var once sync.Once
	_, err := ask(t.Context(), manyRights(100), false, func(ctx context.Context, _ Right) (bool, error) {
		once.Do(func() {
			until, ok := ctx.Deadline()
			require.True(t, ok)
			require.LessOrEqual(t, time.Until(until), askWithin)
		})
		return false, context.DeadlineExceeded
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
