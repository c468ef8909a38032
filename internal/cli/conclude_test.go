package cli

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// concluding is a run that is over in a cluster whose API server may be away.
type concluding struct {
	execution
	away     atomic.Bool
	run      *kube.DrillRun
	journal  *kube.Journal
	reverted []string
	failing  error
}

func newConcluding(t *testing.T) *concluding {
	c := &concluding{}
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{kube.Resource: "DrillRunList"})
	api := fake.NewClientset()
	gone := func(clienttesting.Action) (bool, runtime.Object, error) {
		if c.away.Load() {
			return true, nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}
		return false, nil, nil
	}
	dyn.PrependReactor("*", "*", gone)
	api.PrependReactor("*", "*", gone)
	c.run = &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "r1", Namespace: kube.Namespace, UID: "u"}, Spec: kube.Spec{Drill: "d"},
		Status: kube.Status{Phase: kube.PhaseRunning, Generation: 3, Runner: kube.Runner{Pod: "p", UID: "p"}, Faults: []kube.FaultRecord{
			{Kind: "kill_primary", Name: "a", State: json.RawMessage(`{}`), Phase: kube.FaultInjecting}}}}
	c.run.APIVersion, c.run.Kind = kube.Resource.GroupVersion().String(), kube.Kind
	raw, err := json.Marshal(c.run)
	require.NoError(t, err)
	u := new(unstructured.Unstructured)
	require.NoError(t, u.UnmarshalJSON(raw))
	_, err = dyn.Resource(kube.Resource).Namespace(kube.Namespace).Create(t.Context(), u, metav1.CreateOptions{})
	require.NoError(t, err)
	client := &kube.Client{Interface: api, Dynamic: dyn}
	runs := kube.NewRuns(dyn, "")
	c.journal = runs.Journal("r1", 3)
	c.execution = execution{client: client, runs: runs, id: "r1", journal: c.journal, log: zap.NewNop(),
		revert: func(_ context.Context, record kube.FaultRecord, _ string) error {
			c.reverted = append(c.reverted, record.Name)
			return c.failing
		}}
	return c
}

func (c *concluding) conclude(t *testing.T) (*kube.DrillRun, error) {
	rep := drill.Report{Run: drill.RunReport{ID: "r1", Verdict: drill.VerdictInterrupted, Reasons: []drill.Reason{{Code: "lock_lost", Text: "The lock was lost."}}},
		Faults: []drill.FaultReport{{Kind: "kill_primary", Name: "a", Residue: []string{}}}}
	err := c.execution.conclude(t.Context(), c.run, c.journal, rep, []byte("detail"))
	c.away.Store(false)
	run, readErr := c.runs.Get(t.Context(), "r1")
	require.NoError(t, readErr)
	return run, err
}

// T16: an API server that was away for longer than seven minutes cost a run its verdict and its numbers.
func TestT16TheResultOutlivesALongOutage(t *testing.T) {
	for _, lasts := range []time.Duration{0, 4 * time.Minute, 7 * time.Minute, 15 * time.Minute, 29 * time.Minute} {
		bubble.Test(t, func(t *testing.T) {
			c := newConcluding(t)
			c.away.Store(lasts > 0)
			time.AfterFunc(lasts, func() { c.away.Store(false) })
			began := time.Now()
			run, err := c.conclude(t)
			require.NoError(t, err)
			require.Less(t, time.Since(began), lasts+10*time.Second)
			require.True(t, run.Finished())
			require.Equal(t, drill.VerdictInterrupted, run.Status.Verdict)
			require.NotEmpty(t, run.Status.Report)
			require.Equal(t, []string{"a"}, c.reverted, "what could not be reverted or noted before is")
			require.Empty(t, run.Unreverted())
			require.False(t, run.HadResidue(), "T5: no false residue")
		})
	}
}

// T5: what stays although the API server is back is residue, in the record and in the report.
func TestT5WhatStaysIsResidueInTheReportToo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newConcluding(t)
		c.failing = errors.New("node n1 is away")
		run, err := c.conclude(t)
		require.NoError(t, err)
		require.Equal(t, []string{"node n1 is away"}, run.Residue())
		rep, err := run.Report()
		require.NoError(t, err)
		require.True(t, rep.HasResidue())
		require.Equal(t, exitResidue, reportCode(*rep))
	})
}

// A runner that was taken over in the meantime reverts and records nothing.
func TestARunnerThatWasTakenOverRecordsNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newConcluding(t)
		_, _, err := c.runs.TakeOver(t.Context(), "r1")
		require.NoError(t, err)
		run, err := c.conclude(t)
		require.ErrorIs(t, err, kube.ErrSuperseded)
		require.False(t, run.Finished())
		require.Empty(t, c.reverted)
	})
}

// T3: a runner whose record was erased did not even notice, and went on injecting.
func TestT3ARecordThatIsGoneEndsItsRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newConcluding(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		go obey(ctx, c.runs, "r1", zap.NewNop(), cancel)
		time.Sleep(time.Second)
		require.NoError(t, ctx.Err())
		require.NoError(t, c.client.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(t.Context(), "r1", metav1.DeleteOptions{}))
		time.Sleep(10 * time.Second)
		require.ErrorIs(t, context.Cause(ctx), errGone)
	})
}
