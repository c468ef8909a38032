package probes

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestTheOutboxForgetsABurst: while a reader is slow it holds everything, in order; afterwards it holds nothing of it.
func TestTheOutboxForgetsABurst(t *testing.T) {
	hold := make(chan struct{})
	var got []int64
	o := newOutbox(func(s drill.Sample) {
		<-hold
		got = append(got, s.Slot)
	})
	const burst = 50_000
	for i := range int64(burst) {
		o.put(drill.Sample{Slot: i})
	}
	close(hold)
	for i := range int64(3) { // each may be a batch of its own, and both slices come round
		o.put(drill.Sample{Slot: burst + i})
	}
	o.close()
	require.Len(t, got, burst+3)
	for i, slot := range got {
		require.EqualValues(t, i, slot)
	}
	require.LessOrEqual(t, cap(o.queue), 1024)
}
