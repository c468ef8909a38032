//go:build truth

package truth

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// happened is one outage as it was injected.
type happened struct {
	planned
	lane          int
	steady        int64
	broke, healed moment
}

// assign gives each lane its outages: the longest first, each to the lane with the least to do. Only a server with a
// process of its own hangs by being stopped, and it does nothing else.
func assign(all []planned, shared, own int) [][]planned {
	slices.SortStableFunc(all, func(a, b planned) int { return cmp.Compare(b.length, a.length) })
	plan := make([][]planned, shared+own)
	busy := make([]time.Duration, shared+own)
	hangs := 0
	for _, p := range all {
		from, to := 0, shared
		if p.sort == hang && own > 0 {
			if hangs++; hangs%2 == 0 {
				from, to = shared, shared+own
			}
		}
		least := from
		for i := from; i < to; i++ {
			if busy[i] < busy[least] {
				least = i
			}
		}
		plan[least] = append(plan[least], p)
		busy[least] += p.length + baseline + settle
	}
	return plan
}

// perform plays each lane's outages and returns what the kernel's clock said.
func (s *stage) perform(t *testing.T, lanes []*lane, plan [][]planned, r *rand.Rand) []happened {
	t.Helper()
	var mu sync.Mutex
	var all []happened
	var work sync.WaitGroup
	for i, l := range lanes {
		outages := plan[i]
		r.Shuffle(len(outages), func(a, b int) { outages[a], outages[b] = outages[b], outages[a] })
		lead := time.Duration(r.Int64N(int64(time.Second)))
		work.Go(func() {
			time.Sleep(lead)
			for _, p := range outages {
				h := happened{planned: p, lane: i, steady: kernelNow()}
				time.Sleep(baseline)
				var err error
				if h.broke, err = s.break_(l, p.sort); !assert.NoError(t, err) {
					return
				}
				time.Sleep(p.length - time.Duration(kernelNow()-h.broke.after))
				if h.healed, err = s.heal(l, p.sort); !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				all = append(all, h)
				mu.Unlock()
				time.Sleep(settle + 50*time.Millisecond)
			}
		})
	}
	work.Wait()
	return all
}

// length is how long the longest lane takes.
func duration(plan [][]planned) time.Duration {
	var longest time.Duration
	for _, outages := range plan {
		var d time.Duration
		for _, p := range outages {
			d += p.length + baseline + settle + 60*time.Millisecond
		}
		longest = max(longest, d)
	}
	return longest + 2*time.Second
}

// probesOf are the probes of the lanes: pooled at 50 Hz, and fresh at 10 Hz or, on every fourth lane, at 50.
func probesOf(lanes []*lane) (p probing) {
	for i, l := range lanes {
		rate := 10
		if i%4 == 3 {
			rate = 50
		}
		for class, hz := range map[drill.Class]int{drill.ClassPooled: 50, drill.ClassFresh: rate} {
			p.Names = append(p.Names, fmt.Sprintf("lane %d %s", i, class))
			p.Probes = append(p.Probes, fmt.Sprintf("url = %q\nclass = %q\nrate = %d\nexpect_body = \"well\"", "http://"+l.address()+"/", class, hz))
		}
	}
	return p
}

// home decodes what an actor brought.
func home[T any](t *testing.T, a *actor) (out T) {
	t.Helper()
	require.NoError(t, a.wait())
	require.NoError(t, gob.NewDecoder(bytes.NewReader(a.out.Bytes())).Decode(&out))
	return out
}

// cutOut takes from what a prober saw what one probe saw around one outage.
func (s seen) cutOut(h happened, class drill.Class) (w watched) {
	w.outage = outage{sort: h.sort, length: h.length, watch: settle, steady: drill.Offset(h.steady - s.Base), broke: h.broke.on(s.Base), healed: h.healed.on(s.Base)}
	name := fmt.Sprintf("lane %d %s", h.lane, class)
	for _, i := range s.Infos {
		if i.Name == name {
			w.info = i
		}
	}
	w.samples, w.stalls = s.during(name, w.steady, w.until())
	return w
}

// during is what one probe saw in a stretch.
func (s seen) during(name string, from, to drill.Offset) (samples []drill.Sample, stalls []drill.Stall) {
	for _, x := range s.Samples {
		if x.Probe == name && x.Scheduled >= from && x.Scheduled < to {
			samples = append(samples, x)
		}
	}
	for _, x := range s.Stalls {
		if x.To >= from && x.From < to {
			stalls = append(stalls, x)
		}
	}
	return samples, stalls
}

// closed judges a closed-loop prober by the same rule: what it publishes is the time from the injection to its first
// success after its last failure, and it is given as wide an interval as drill may have.
func (s closedSeen) judge(h happened, v verdict) (err time.Duration, contained bool) {
	broke, healed := h.broke.on(s.Base), h.healed.on(s.Base)
	back := drill.Offset(-1)
	failed := false
	for _, a := range s.Attempts {
		if a.Lane != h.lane || a.Done < broke.before || a.From > healed.after.Add(settle+answerTimeout) {
			continue
		}
		took := a.Done.Sub(a.From)
		if !a.OK || took > length(v.report.Recovery.UpWithin) {
			failed = true
			if a.OK {
				back = a.Done // its first success, however slow
			}
		} else if failed && (back < 0 || a.From < back) {
			back = a.Done
		}
		if failed && a.OK {
			break
		}
	}
	truth := (healed.before.Sub(broke.before) + healed.after.Sub(broke.after)) / 2
	if back < 0 {
		return -truth, false // it saw nothing
	}
	published := back.Sub(broke.before)
	return published - truth, truth <= published && truth >= published-v.allowed
}

// TestOutagesOnRealSockets holds the published interval of more than 200 outages against the kernel's own times.
func TestOutagesOnRealSockets(t *testing.T) {
	const shared, own = 20, 4
	r := rand.New(rand.NewPCG(4, 1))
	s := newStage(t)
	s.calm = true
	lanes := s.lanes(t, shared, own)
	all := script(r, 240, 30*time.Second)
	for range 12 {
		all = append(all, planned{blackHole, 500 * time.Millisecond})
	}
	plan := assign(all, shared, own)
	p := probesOf(lanes)
	p.For = duration(plan) + time.Second
	prober := s.play(t, roleProber, p)
	var q probing
	for _, l := range lanes {
		q.Names = append(q.Names, l.address())
	}
	q.For = p.For + 5*time.Second
	closed := s.play(t, roleClosed, q)
	outages := s.perform(t, lanes, plan, r)
	require.Len(t, outages, len(all))
	got, peer := home[seen](t, prober), home[closedSeen](t, closed)
	compare(t, outages, got, peer)
}

// compare judges every outage by each of the lane's probes, prints every miss, and both distributions side by side.
func compare(t *testing.T, outages []happened, got seen, peer closedSeen) {
	t.Helper()
	tallies := map[drill.Class]*tally{drill.ClassPooled: {}, drill.ClassFresh: {}}
	var closed tally
	misses, pairs := 0, time.Duration(0)
	for _, h := range outages {
		pairs = max(pairs, time.Duration(h.broke.after-h.broke.before), time.Duration(h.healed.after-h.healed.before))
		for class, tally := range tallies {
			v := got.cutOut(h, class).judge()
			tally.add(v.err, v.fine())
			if !v.fine() {
				misses++
				t.Errorf("%v", v)
			}
			if class == drill.ClassPooled && v.report.Recovery != nil && peer.Attempts != nil {
				closed.add(peer.judge(h, v))
			}
		}
	}
	t.Logf("%d outages on real sockets; the truth is known to %v; %d slots, %d stalls of the prober", len(outages), pairs, len(got.Samples), len(got.Stalls))
	t.Logf("drill, pooled     %v", tallies[drill.ClassPooled])
	t.Logf("drill, fresh      %v", tallies[drill.ClassFresh])
	require.Zero(t, misses, "the published interval contains the truth every time")
	if peer.Attempts == nil {
		return
	}
	t.Logf("closed loop, 2 s  %v", &closed)
	require.Less(t, closed.contained, len(closed.errs), "a closed-loop prober fails the same assertion")
}

// TestOutagesOnABusyMachine keeps both processors busy. What is published must hold all the same, or be called invalid.
func TestOutagesOnABusyMachine(t *testing.T) {
	const shared, own = 10, 2
	r := rand.New(rand.NewPCG(4, 2))
	s := newStage(t)
	lanes := s.lanes(t, shared, own)
	plan := assign(script(r, 84, 4*time.Second), shared, own)
	for range 2 * runtime.NumCPU() {
		s.play(t, roleHog, nil)
	}
	p := probesOf(lanes)
	p.For = duration(plan) + time.Second
	prober := s.play(t, roleProber, p)
	outages := s.perform(t, lanes, plan, r)
	got := home[seen](t, prober)
	var ours tally
	invalid := 0
	for _, h := range outages {
		for _, class := range []drill.Class{drill.ClassPooled, drill.ClassFresh} {
			v := got.cutOut(h, class).judge()
			if v.report.Run.Verdict == drill.VerdictInvalid {
				invalid++
				continue
			}
			ours.add(v.err, v.fine())
			if !v.fine() {
				t.Errorf("%v", v)
			}
		}
	}
	t.Logf("%d outages on a busy machine: %d of %d runs are invalid; %d stalls of the prober", len(outages), invalid, 2*len(outages), len(got.Stalls))
	t.Logf("drill, the others  %v", &ours)
}
