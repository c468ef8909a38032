package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func raised(t *testing.T, s *side, cut Cut, timeout time.Duration) *wall {
	t.Helper()
	w, err := raise(s.fd(), cut, timeout)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.conn.CloseLasting() })
	return w
}

func TestACutCutsBothVersionsAndHealsWithoutATrace(t *testing.T) {
	for name, cut := range map[string]Cut{
		"both": {In: true, Out: true}, "in": {In: true}, "out": {Out: true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := twoSides(t)
			b4, b6 := b.echo(t)
			a4, a6 := a.echo(t)
			a.nft(t, "add", "table", "ip", "theirs")
			a.nft(t, "add", "table", "inet", "filter")
			a.nft(t, "add", "chain", "inet", "filter", "input", "{ type filter hook input priority 0; policy accept; }")
			before := a.nft(t, "list", "ruleset")
			require.True(t, a.reaches(b4) && a.reaches(b6) && b.reaches(a4) && b.reaches(a6))
			kept, err := a.dial(b4, time.Second)
			require.NoError(t, err)
			defer kept.Close()
			require.True(t, pings(kept, time.Second))

			cut.Peers = []netip.Addr{b.v4, b.v6}
			w := raised(t, a, cut, time.Minute)
			require.False(t, a.reaches(b4), "IPv4 out")
			require.False(t, a.reaches(b6), "IPv6 out")
			require.False(t, b.reaches(a4), "IPv4 in")
			require.False(t, b.reaches(a6), "IPv6 in")
			require.False(t, pings(kept, 300*time.Millisecond), "a connection that was open before")
			n, err := w.counters()
			require.NoError(t, err)
			require.Equal(t, cut.In, n.In > 0, "%+v", n)
			require.Equal(t, cut.Out, n.Out > 0, "%+v", n)
			ruleset := a.nft(t, "list", "ruleset")
			require.Contains(t, ruleset, TableName)
			require.Contains(t, ruleset, "flags owner")

			require.NoError(t, w.remove())
			require.True(t, a.reaches(b4) && a.reaches(b6) && b.reaches(a4) && b.reaches(a6))
			require.Equal(t, before, a.nft(t, "list", "ruleset"))
		})
	}
}

func TestAnEndpointIsCutAndTheRestOfItsHostIsNot(t *testing.T) {
	a, b := twoSides(t)
	cut4, cut6 := b.echo(t)
	other4, other6 := b.echo(t)
	w := raised(t, a, Cut{Endpoints: []netip.AddrPort{cut4, cut6}, In: true, Out: true}, time.Minute)
	require.False(t, a.reaches(cut4))
	require.False(t, a.reaches(cut6))
	require.True(t, a.reaches(other4))
	require.True(t, a.reaches(other6))
	require.NoError(t, w.remove())
	require.True(t, a.reaches(cut4) && a.reaches(cut6))

	w = raised(t, a, Cut{Endpoints: []netip.AddrPort{cut4, cut6}, In: true}, time.Minute)
	require.False(t, a.reaches(cut4), "the answer is dropped")
	require.False(t, a.reaches(cut6), "the answer is dropped")
	require.True(t, a.reaches(other4))
	require.NoError(t, w.remove())
}

func TestTheKernelHealsACutThatNobodyRefreshes(t *testing.T) {
	a, b := twoSides(t)
	b4, _ := b.echo(t)
	since := time.Now()
	w := raised(t, a, Cut{Peers: []netip.Addr{b.v4, b.v6}, In: true, Out: true}, time.Second)
	for range 5 {
		time.Sleep(400 * time.Millisecond)
		require.NoError(t, w.refresh(time.Second))
		require.False(t, a.reaches(b4), "%s after the cut", time.Since(since))
	}
	refreshed := time.Now()
	require.NoError(t, w.refresh(time.Second))
	healed := a.flowsAgain(t, b4, refreshed, 3*time.Second)
	require.Greater(t, healed, 900*time.Millisecond)
	require.Less(t, healed, 1500*time.Millisecond)
	require.ErrorIs(t, w.refresh(time.Second), errLapsed, "a hole is found")
	require.True(t, a.reaches(b4), "what lapsed is not put back")
	require.NoError(t, w.remove())
	require.Empty(t, a.nft(t, "list", "ruleset"))
}

func TestATableBelongsToOneSocket(t *testing.T) {
	a, b := twoSides(t)
	b4, _ := b.echo(t)
	cut := Cut{Peers: []netip.Addr{b.v4}, In: true, Out: true}
	w := raised(t, a, cut, time.Minute)
	_, err := raise(a.fd(), cut, time.Minute)
	require.Error(t, err, "a second cut in the same namespace")
	require.False(t, a.reaches(b4), "and the first one stays")
	require.NoError(t, w.conn.CloseLasting())
	require.True(t, a.reaches(b4), "the table goes with its socket")
}
