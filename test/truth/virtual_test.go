package truth

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/test/bubble"
)

// network is a simulated one with one server, in virtual time. It is broken from one moment to another.
type network struct {
	clock    drill.Clock
	random   *rand.Rand // of one goroutine at a time, as synctest runs them
	sort     string
	from, to drill.Offset
	answers  bool          // the held requests of a hang, when it ends
	delay    time.Duration // of a slow answer
}

func (n *network) broken() bool { now := n.clock.Now(); return now >= n.from && now < n.to }

// wire is a probe of it.
type wire struct {
	*network
	info  drill.ProbeInfo
	again []time.Duration // when a lost packet is sent again, after the first
}

// Info describes the probe.
func (w wire) Info() drill.ProbeInfo { return w.info }

// Sample asks the server once; the kernel may send packets again.
func (w wire) Sample(ctx context.Context, s *drill.Sample) {
	wait := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-ctx.Done():
			s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalTimeout
			return false
		}
	}
	trip := 100*time.Microsecond + time.Duration(w.random.Int64N(int64(2*time.Millisecond)))
	begun := w.clock.Now()
	for _, again := range append([]time.Duration{0}, w.again...) {
		if !wait(begun.Add(again).Sub(w.clock.Now())) || !wait(trip/2) {
			return
		}
		switch broken := w.broken(); {
		case broken && w.sort == blackHole:
			continue
		case broken && w.sort == refusal:
			s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalReset
			return
		case broken && w.sort == hang && !w.answers:
			wait(time.Hour)
			return
		case broken && w.sort == hang && !wait(w.to.Sub(w.clock.Now())):
			return
		case broken && w.sort == slow && !wait(w.delay):
			return
		}
		if !wait(trip / 2) {
			return
		}
		if w.sort == blackHole && w.broken() {
			continue // the answer got lost; the server sends it again about when the client asks again
		}
		s.Outcome = drill.OutcomeOK
		return
	}
	wait(time.Hour)
}

// TestOutagesInVirtualTime drives the real sampler through 800 outages, each at a phase of its own.
func TestOutagesInVirtualTime(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	tallies := map[drill.Class]*tally{drill.ClassPooled: {}, drill.ClassFresh: {}}
	for _, p := range script(r, 800, 30*time.Second) {
		var seen []watched
		bubble.Test(t, func(t *testing.T) { seen = playOut(t, r, p) })
		for _, w := range seen { // not in there: a test in virtual time ends at its first error
			v := w.judge()
			tallies[w.info.Class].add(v.err, v.fine())
			if !v.fine() {
				t.Errorf("%v", v)
			}
		}
	}
	t.Logf("drill, pooled  %v", tallies[drill.ClassPooled])
	t.Logf("drill, fresh   %v", tallies[drill.ClassFresh])
	for class, tally := range tallies {
		require.Equal(t, len(tally.errs), tally.contained, "%s: the published interval contains the truth every time", class)
	}
}

// playOut is one outage, as two probes see it.
func playOut(t *testing.T, r *rand.Rand, p planned) []watched {
	t.Helper()
	n := &network{clock: drill.StartClock(), random: r, sort: p.sort, answers: r.IntN(2) == 0}
	n.from = drill.Offset(baseline + time.Duration(r.Int64N(int64(200*time.Millisecond))))
	n.to = n.from.Add(p.length)
	n.delay = 250*time.Millisecond + time.Duration(r.Int64N(int64(400*time.Millisecond)))
	end := n.to.Add(settle)
	all := []drill.Probe{
		wire{n, drill.ProbeInfo{Name: "pooled", Kind: "http", Class: drill.ClassPooled, Interval: 20 * time.Millisecond, Deadline: 500 * time.Millisecond, Sessions: 27},
			[]time.Duration{200 * time.Millisecond, 600 * time.Millisecond}},
		wire{n, drill.ProbeInfo{Name: "fresh", Kind: "http", Class: drill.ClassFresh, Interval: 100 * time.Millisecond, Deadline: 900 * time.Millisecond, Sessions: 11},
			[]time.Duration{time.Second}},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(end))
	defer cancel()
	samples := map[string][]drill.Sample{}
	probes.Sample(ctx, drill.Sampling{Clock: n.clock, Probes: all, Sample: func(s drill.Sample) { samples[s.Probe] = append(samples[s.Probe], s) }})
	var out []watched
	for _, one := range all {
		out = append(out, watched{
			outage: outage{sort: p.sort, length: p.length, watch: settle, broke: pair{n.from, n.from}, healed: pair{n.to, n.to}},
			info:   one.Info(), samples: samples[one.Info().Name],
		})
	}
	return out
}
