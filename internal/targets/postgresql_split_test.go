package targets

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

// TestTwoPrimaries writes slowly through the Service, because other tests use the machine too; what counts is pinned.
func TestTwoPrimaries(t *testing.T) { twoPrimaries(t, time.Second, 5) }

// twoPrimaries lets two members be writable for about x, while drill writes at a rate through the Service. The truth is from when the standby ceased to be in recovery,
// by asking it without a pause, to the kill of the old primary.
func twoPrimaries(t *testing.T, x time.Duration, rate int) {
	t.Helper()
	l := newLab(t)
	target := l.target(fresh10, func(s *postgresqlSpec) { s.WriteRate = rate })
	members := l.open(target)
	r := record(t, target)
	time.Sleep(time.Second)
	l.pair.Stream.Sever()
	promoted := l.pair.Second.PromoteAt()
	time.Sleep(time.Until(promoted.After.Add(x)))
	killed := l.pair.First.Kill()
	l.pair.Service.Route(l.pair.Second.Address())
	l.lead(l.pair.Second, l.pair.First, "uid-1", "uid-0")
	time.Sleep(time.Second)
	r.stop()

	rep := r.report(t, members, target.Probes(), killed, nil)
	least, atMost := killed.Since(promoted)
	got := time.Duration(float64(rep.Primaries.DualPrimary) * 1e9)
	t.Logf("two primaries for %v to %v; drill says %v, zombie tail %v, %d epoch regressions, most primaries %v",
		least, atMost, got, rep.Primaries.ZombieTail, rep.Primaries.EpochRegressions, rep.Primaries.Most)
	vouched(t, rep)
	assert.GreaterOrEqual(t, got, least-pinnedInterval)
	assert.LessOrEqual(t, got, atMost+pinnedInterval)
	assert.NotZero(t, rep.Primaries.EpochRegressions, "the old primary acknowledged in its old epoch")
	assert.Equal(t, 1, rep.Primaries.EpochForks, "the old epoch went on after the new one had begun")
	assert.Equal(t, 1, rep.Primaries.LeaderChanges)

	// The same recording without pinned probes: whoever comes through the Service meets one primary after the other.
	var through []drill.Probe
	for _, p := range target.Probes() {
		if p.Info().Class == drill.ClassFresh {
			through = append(through, p)
		}
	}
	missed := r.recording(members, through, killed, nil)
	rec := measure.Report(missed)
	if rec.Primaries != nil {
		assert.Zero(t, rec.Primaries.DualPrimary, "fresh probes alone")
	}
	through = slices.DeleteFunc(target.Probes(), func(p drill.Probe) bool { return p.Info().Class == drill.ClassPinned })
	rec = measure.Report(r.recording(members, through, killed, nil))
	require.NotNil(t, rec.Primaries)
	t.Logf("without pinned probes drill would say %v s", rec.Primaries.DualPrimary)
	assert.Zero(t, rec.Primaries.DualPrimary, "fresh and pooled probes")
}
