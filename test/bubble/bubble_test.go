package bubble_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/test/bubble"
)

// TestTimersOfOneBubble crashes within the race detector where a bubble has several processors: five times of five.
func TestTimersOfOneBubble(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	for range 10 {
		bubble.Test(t, func(t *testing.T) {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					for range 500 {
						ctx, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond)
						timer := time.NewTimer(time.Millisecond)
						select {
						case <-timer.C:
						case <-ctx.Done():
						}
						timer.Reset(0)
						select {
						case <-timer.C:
						default:
						}
						cancel()
					}
				})
			}
			all.Wait()
		})
	}
	require.Equal(t, before, runtime.GOMAXPROCS(0))
}
