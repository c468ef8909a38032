//go:build e2e

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/metrics"
	"github.com/failoverdrill/drill/internal/server"
)

// exporting starts a server with a registry that the test reads.
func (l *lab) exporting(identity string) (registry *prometheus.Registry, stop func()) {
	l.Helper()
	registry = prometheus.NewRegistry()
	o := l.options(identity)
	o.Registry = registry
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(l, <-done)
	})
	l.Cleanup(stop)
	return registry, stop
}

// refusals reads how many refused runs are exported; -1 for no such series.
func refusals(t *testing.T, registry *prometheus.Registry) int {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "drill_runs_total" && strings.Contains(m.String(), `"refused"`) {
				return int(m.Counter.GetValue())
			}
		}
	}
	return -1
}

func reaches(t *testing.T, registry *prometheus.Registry, want int) {
	t.Helper()
	got := 0
	require.Eventually(t, func() bool { got = refusals(t, registry); return got == want }, 30*time.Second, 100*time.Millisecond, "want %d, got %v", want, &got)
}

// TestCountersOutliveRecordsAndServers: each record counts once, whatever is deleted and whoever leads.
func TestCountersOutliveRecordsAndServers(t *testing.T) {
	l := newLab(t)
	one, stopOne := l.exporting("one")
	var names []string
	for range 3 {
		names = append(names, l.await(l.create("broken").Name, 20*time.Second, finished).Name)
	}
	reaches(t, one, 3)
	two, stopTwo := l.exporting("two")
	for _, name := range names[:2] {
		require.NoError(t, l.client.Dynamic.Resource(kube.Resource).Namespace(l.runs.Namespace()).Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
	l.await(l.create("broken").Name, 20*time.Second, finished)
	reaches(t, one, 4)
	require.Equal(t, -1, refusals(t, two), "who stands by exports nothing")
	stopOne()
	require.Equal(t, -1, refusals(t, one), "nor who leads no more")
	reaches(t, two, 4)
	l.await(l.create("broken").Name, 20*time.Second, finished)
	reaches(t, two, 5)
	stopTwo()

	m, version, err := kube.NewTotals(l.client.Interface, l.runs.Namespace()).Load(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, version)
	var totals struct{ Counted []string }
	require.NoError(t, json.Unmarshal(m, &totals))
	require.Len(t, totals.Counted, 3, "what is gone is not listed any more")
}

// TestTotalsAreSwapped: an API server enforces versions, and the fake one does not.
func TestTotalsAreSwapped(t *testing.T) {
	l := newLab(t)
	store := kube.NewTotals(l.client.Interface, l.runs.Namespace())
	ctx := t.Context()
	first, ok, err := store.Save(ctx, []byte("{}"), "")
	require.NoError(t, err)
	require.True(t, ok)
	_, ok, err = store.Save(ctx, []byte("{}"), "")
	require.NoError(t, err)
	require.False(t, ok, "somebody else made it")
	second, ok, err := store.Save(ctx, []byte(`{"since":"2026-11-21T00:00:00Z"}`), first)
	require.NoError(t, err)
	require.True(t, ok)
	_, ok, err = store.Save(ctx, []byte("{}"), first)
	require.NoError(t, err)
	require.False(t, ok, "it is another by now")
	require.NoError(t, l.client.CoreV1().ConfigMaps(l.runs.Namespace()).Delete(ctx, kube.TotalsName, metav1.DeleteOptions{}))
	_, ok, err = store.Save(ctx, []byte("{}"), second)
	require.NoError(t, err)
	require.False(t, ok, "somebody deleted it")

	// Many leaders at once, of which there should never be two, while one run after the other ends.
	records := func(over int) []metrics.Record {
		all := make([]metrics.Record, 20)
		for i := range all {
			all[i] = metrics.Record{UID: fmt.Sprint("u", i), Run: fmt.Sprint("r", i), Key: metrics.Key{Drill: "d", By: "schedule"}, Fault: "f", Over: i < over, Ended: time.Now(), Verdict: "refused"}
		}
		return all
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s := metrics.NewServer(store, nil, nil)
			if err := s.Rebuild(ctx, func(context.Context) ([]metrics.Record, error) { return records(0), nil }); err != nil {
				t.Error(err)
				return
			}
			for n := range 21 {
				for range 5 { // it may lose the swap more often than it tries by itself
					if s.Sync(ctx, records(n)) == nil {
						break
					}
				}
			}
		})
	}
	all.Wait()
	s := metrics.NewServer(store, nil, nil)
	require.NoError(t, s.Rebuild(ctx, func(context.Context) ([]metrics.Record, error) { return records(20), nil }))
	registry := prometheus.NewRegistry()
	registry.MustRegister(s)
	require.Equal(t, 20, refusals(t, registry))
}
