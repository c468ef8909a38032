package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memory is what the agent's process has in memory, in KiB.
func (th *theater) memory(t *testing.T) (kib int) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", th.process.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// knock opens connections that say nothing.
func (th *theater) knock(t *testing.T, n int) []net.Conn {
	t.Helper()
	var all []net.Conn
	for range n {
		c, err := net.Dial("tcp", th.address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		all = append(all, c)
	}
	return all
}

// TestT17StrangersTakeUpNoRoom: any pod of the cluster may connect to an agent. While a cut lasts thousands do, say
// nothing, and neither fill its memory nor keep its runner out.
func TestT17StrangersTakeUpNoRoom(t *testing.T) {
	const many = 2000
	th := newTheater(t)
	th.cut(t, time.Minute)
	before := th.memory(t)
	all := th.knock(t, many)
	open := func() (n int) {
		for _, c := range all {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return open() <= maxStrangers }, 10*time.Second, 50*time.Millisecond)
	grown := th.memory(t) - before
	t.Logf("%d connections that say nothing: %d KiB more", many, grown)
	require.Less(t, grown, raceFactor*8<<10, "KiB, of the agent's 64 MiB")

	// The runner breaks its connection, as a network may, and is through at once while they go on.
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if c, err := net.Dial("tcp", th.address); err == nil {
				defer c.Close()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	th.client.hangUp(nil)
	time.Sleep(time.Second)
	stop()
	<-done
	s, err := th.client.Status(t.Context())
	require.NoError(t, err)
	require.True(t, s.Cut, s.Broken)
	require.Empty(t, s.Broken, "the cut lasted")
}

// TestT17AStrangerIsNotWaitedFor: a minute was enough to keep a place for.
func TestT17AStrangerIsNotWaitedFor(t *testing.T) {
	th := newTheater(t)
	c := th.knock(t, 1)[0]
	began := time.Now()
	_ = c.SetReadDeadline(began.Add(4 * handshakeWithin))
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.InDelta(t, handshakeWithin.Seconds(), time.Since(began).Seconds(), 2)
}

// TestT15WhatAPathTakes holds the bound on a cut's paths to the agent's 64 MiB: each has a connection that is kept open,
// and its echo at the other end, which may be the same agent's.
func TestT15WhatAPathTakes(t *testing.T) {
	const paths = 1000 // internal/faults: maxPaths
	th := newTheater(t)
	ctx := t.Context()
	to, err := th.client.Listen(ctx, "b")
	require.NoError(t, err)
	before := th.memory(t)
	for range paths {
		r, err := th.client.Open(ctx, Path{Pod: "a", To: to, Protocol: Echo}, 2*time.Second)
		require.NoError(t, err)
		require.True(t, r.OK, r.How)
	}
	grown := th.memory(t) - before
	t.Logf("%d paths, both ends in one agent: %d KiB, %.1f KiB each", paths, grown, float64(grown)/paths)
	require.Less(t, grown, raceFactor*40<<10, "KiB, of the agent's 64 MiB")
}
