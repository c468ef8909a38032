package probes

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestHeartbeatTellsOfStalls stops this very process for 300 ms, as a starved one is stopped.
func TestHeartbeatTellsOfStalls(t *testing.T) {
	clock := drill.StartClock()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stalls := make(chan drill.Stall, 1000)
	done := make(chan error, 1)
	go func() { done <- heartbeat(ctx, clock, func(s drill.Stall) { stalls <- s }) }()
	time.Sleep(20 * time.Millisecond)

	// Another process wakes this one up again.
	waker := exec.Command("sh", "-c", `kill -STOP "$1"; sleep 0.3; kill -CONT "$1"`, "waker", pid())
	before := clock.Now()
	require.NoError(t, waker.Run())
	after := clock.Now()

	var longest drill.Stall
	for longest.To.Sub(longest.From) < 290*time.Millisecond {
		select {
		case s := <-stalls:
			require.Greater(t, s.To.Sub(s.From), beat+tardy)
			require.False(t, s.Slept)
			if s.To.Sub(s.From) > longest.To.Sub(longest.From) {
				longest = s
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("the longest stall that was told of is %v", longest)
		}
	}
	cancel()
	require.NoError(t, <-done, "the end of its context is no error")
	require.Greater(t, longest.To, before)
	require.Less(t, longest.From, after)
}

func pid() string { return strconv.Itoa(os.Getpid()) }

// TestWaitingBetweenTwoClocksIsNoSleep: a process that was kept waiting while it read the clocks knows less, and takes
// nothing for a suspended machine. A run was once invalid because of it.
func TestWaitingBetweenTwoClocksIsNoSleep(t *testing.T) {
	exact := func(d time.Duration) suspension { return suspension{least: d, most: d} }
	waited := func(d time.Duration) suspension { return suspension{least: d - time.Second, most: d + time.Second} }
	require.False(t, exact(0).longer(waited(0)))
	require.False(t, waited(0).longer(exact(0)))
	require.False(t, exact(time.Hour).longer(exact(time.Hour)), "the machine slept before the run")
	require.True(t, exact(5*time.Second).longer(exact(0)))
	require.True(t, waited(5*time.Second).longer(waited(0)))
	now := suspended()
	require.LessOrEqual(t, now.least, now.most)
	require.False(t, suspended().longer(now))
}
