//go:build truth

package runner

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	observer "github.com/failoverdrill/drill/internal/metrics"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/test/bubble"
)

// fleet is ten targets at 70 Hz each, of which the first loses its primary; times have the noise of a real cluster.
type fleet struct {
	*world
	mu      sync.Mutex
	rng     *rand.Rand
	targets map[string]*shown
}

// shown is what one target's members have of its ledger.
type shown struct {
	acked []int64 // not shown by every member yet
	had   map[string]int
	all   map[string]*drill.Numbers // by stream
}

const fleetSize, pinnedOf = 10, 2

func (f *fleet) Name() string { return "t0" }

func (f *fleet) Open(context.Context) ([]drill.Member, error) {
	return []drill.Member{{Namespace: "shop", Name: "t0-0", UID: "u0", Role: drill.RolePrimary, Epoch: 1},
		{Namespace: "shop", Name: "t0-1", UID: "u1", Role: drill.RoleReplica, Epoch: 1}}, nil
}

func (f *fleet) Probes() (all []drill.Probe) {
	for i := range fleetSize {
		t := fmt.Sprintf("t%d", i)
		f.targets[t] = &shown{had: map[string]int{}, all: map[string]*drill.Numbers{t: {}, t + "/fresh": {}}}
		add := func(name string, class drill.Class, member string, hz, sessions int) {
			all = append(all, fleetProbe{f, drill.ProbeInfo{Name: name, Kind: "postgresql", Target: t, Class: class, Member: member,
				Interval: time.Second / time.Duration(hz), Deadline: time.Second, Sessions: sessions}})
		}
		add(t, drill.ClassPooled, "", 50, 50)
		add(t+"/fresh", drill.ClassFresh, "", 10, 10)
		for m := range pinnedOf {
			member := fmt.Sprintf("%s-%d", t, m)
			f.targets[t].had[member] = 0
			add(t+"/"+member, drill.ClassPinned, member, 10/pinnedOf, 1)
		}
	}
	return all
}

func (f *fleet) ReadBack(context.Context) (drill.ReadBack, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := map[string]drill.Numbers{}
	for stream, n := range f.targets["t0"].all {
		held[stream] = *n
	}
	return drill.ReadBack{Target: "t0", Primary: "t0-1", Complete: true, Streams: map[string]map[string]drill.Numbers{"t0-0": held, "t0-1": held}}, nil
}

// primary is the member of a target that leads, and its epoch.
func (f *fleet) primary(target string) (string, int64) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	switch {
	case target != "t0" || f.killedAt.IsZero():
		return target + "-0", 1
	case time.Since(f.killedAt) < f.outage:
		return "", 0
	default:
		return target + "-1", 2
	}
}

type fleetProbe struct {
	*fleet
	info drill.ProbeInfo
}

func (p fleetProbe) Info() drill.ProbeInfo { return p.info }

func (p fleetProbe) Sample(ctx context.Context, s *drill.Sample) {
	p.mu.Lock()
	latency := time.Duration(1e6 * math.Exp(p.rng.NormFloat64()/2))
	p.mu.Unlock()
	leader, epoch := p.primary(p.info.Target)
	if leader == "" && p.info.Class != drill.ClassPinned {
		s.Write, s.Outcome, s.Signal = true, drill.OutcomeIndeterminate, drill.SignalTimeout
		<-ctx.Done()
		return
	}
	time.Sleep(latency)
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.targets[p.info.Target]
	s.Outcome, s.By, s.Role, s.Epoch = drill.OutcomeOK, leader, drill.RolePrimary, epoch
	switch {
	case p.info.Class != drill.ClassPinned:
		s.Write = true
		t.all[p.info.Name].Add(s.Slot)
		if p.info.Class == drill.ClassPooled {
			t.acked = append(t.acked, s.Slot)
		}
	case p.info.Member == "t0-0" && p.dead():
		s.Outcome, s.Signal, s.By, s.Role = drill.OutcomeFail, drill.SignalRefused, "", drill.RoleUnknown
	default:
		s.By = p.info.Member
		if s.By != leader {
			s.Role = drill.RoleReplica
		}
		s.Reading = &drill.Reading{UID: "4f7e3c1a-" + s.By, Streaming: true, EngineLag: math.NaN(),
			Seen: append([]int64(nil), t.acked[t.had[s.By]:]...)}
		t.had[s.By] = len(t.acked)
		least := len(t.acked)
		for _, n := range t.had {
			least = min(least, n)
		}
		t.acked = append(t.acked[:0], t.acked[least:]...)
		for m := range t.had {
			t.had[m] -= least
		}
	}
}

// dead reports whether the killed member has not come back yet.
func (f *fleet) dead() bool {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	return f.active
}

// late samples with the lateness that a busy machine has; in virtual time there is none.
func (f *fleet) late(ctx context.Context, sampling drill.Sampling) {
	hand := sampling.Sample
	sampling.Sample = func(s drill.Sample) {
		f.mu.Lock()
		late := drill.Offset(40e3 * math.Exp(f.rng.NormFloat64()/2))
		f.mu.Unlock()
		if s.Sent > 0 {
			s.Sent, s.Done = s.Sent+late, s.Done+late
		}
		hand(s)
	}
	sampling.Stall = nil // the heartbeat lives in real time
	probes.Sample(ctx, sampling)
}

// highWater watches the heap from outside the virtual time: what is allocated, and what was left after a collection.
func highWater(stop <-chan struct{}) (allocated, live *atomic.Uint64, done chan struct{}) {
	allocated, live, done = new(atomic.Uint64), new(atomic.Uint64), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
		for {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			metrics.Read(samples)
			allocated.Store(max(allocated.Load(), samples[0].Value.Uint64()))
			live.Store(max(live.Load(), samples[1].Value.Uint64()))
		}
	}()
	return allocated, live, done
}

// TestALongRunStaysSmall: 10 minutes of 10 targets at 70 Hz, with everything that a runner pod has in its heap until the
// report is computed.
func TestALongRunStaysSmall(t *testing.T) {
	const limit = 64 << 20
	runtime.GC()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit)) // as a pod of that size would set it: garbage is no need
	stop := make(chan struct{})
	allocated, live, done := highWater(stop)
	var raw []byte
	var slots int
	bubble.Test(t, func(t *testing.T) {
		f := &fleet{world: newWorld(), rng: rand.New(rand.NewPCG(1, 2)), targets: map[string]*shown{}}
		recorder := detail.NewWriter(drill.Recording{})
		c := f.config()
		c.Target, c.Sampler, c.Recorder = f, f.late, recorder
		c.Drill.Timeout = 20 * time.Minute
		c.Drill.SteadyState.Hold, c.Drill.SteadyState.Timeout = 4*time.Minute+50*time.Second, 6*time.Minute
		c.Settings.ImpactTimeout = 5 * time.Minute
		c.Observers = []Observer{observer.New(prometheus.NewRegistry(), c.Drill, c.Settings)}
		began := time.Now()
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.InDelta(t, 600, time.Since(began).Seconds(), 60)
		for _, p := range rep.Probes {
			slots += p.Slots
		}
		raw = recorder.Bytes()
	})
	close(stop)
	<-done
	t.Logf("%d slots: heap at most %.1f MiB (%.1f MiB live after a collection), detail %.2f MiB, %.2f bytes a slot", slots,
		float64(allocated.Load())/(1<<20), float64(live.Load())/(1<<20), float64(len(raw))/(1<<20), float64(len(raw))/float64(slots))
	require.InDelta(t, 420_000, slots, 40_000)
	require.Less(t, allocated.Load(), uint64(limit))
	require.Less(t, len(raw), 4<<20)
}
