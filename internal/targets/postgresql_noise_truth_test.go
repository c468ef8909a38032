//go:build truth

package targets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/test/postgres"
)

// doorRates are the doors to the one server of a row of noise: through each a prober writes at such a rate.
var doorRates = []int{50, 50, 20, 10}

// The script of a door: so many outages. What is watched after one is also the baseline of the next.
const (
	noiseTrials = 5
	noiseWindow = 5 * time.Second
	noiseHold   = 6 * time.Second        // the baseline, and what is watched after an outage
	noiseMargin = 400 * time.Millisecond // before the next outage: what is under way then belongs to that
)

// door is the pooled probe of a target, through a relay and with sessions of its own.
type door struct {
	*writer
	name  string
	rate  int
	relay *postgres.Relay
	pool  *pool
}

// Info describes the probe. It has no target, so a report takes it for what stands for clients.
func (d *door) Info() drill.ProbeInfo {
	info := d.writer.Info()
	info.Name, info.Target = d.name, ""
	info.Interval, info.Sessions = time.Second/time.Duration(d.rate), d.rate
	return info
}

// Sample writes one row, as the pooled probe does.
func (d *door) Sample(ctx context.Context, s *drill.Sample) {
	s.Write = true
	session, err := d.pool.take(ctx)
	if err != nil {
		s.Outcome, s.Signal = drill.OutcomeFail, signal(err)
		return
	}
	d.t.enter(ctx, session, s)
	d.pool.put(session, s.Outcome != drill.OutcomeIndeterminate) // one that was refused is as good as before
}

func (l *lab) door(target *postgreSQL, i, rate int) *door {
	l.t.Helper()
	relay := postgres.NewRelay(l.t, "127.0.0.1:0")
	relay.Route(l.pair.First.Address())
	port := relay.Port()
	dial := func(ctx context.Context) (*session, error) { return target.dial.open(ctx, "127.0.0.1", port) }
	d := &door{writer: &writer{t: target}, rate: rate, relay: relay, pool: &pool{dial: dial}}
	d.name = fmt.Sprintf("door %d at %d Hz", i, rate)
	l.t.Cleanup(d.pool.close)
	return d
}

// noise is what a server has to bear all the time, before an outage, in it and after it.
type noise struct {
	name string
	make func(t *testing.T, l *lab, all []*door)
}

// TestTruthNoise holds the recovery from outages of known length against the injector's own clock, on a real server
// that is slow now and then for reasons of its own. Twenty of twenty are right to Δ + L, or say why they are invalid.
func TestTruthNoise(t *testing.T) {
	for _, n := range []noise{
		{"none", func(*testing.T, *lab, []*door) {}},
		{"late_0.1", lateAnswers(.001)},
		{"late_0.5", lateAnswers(.005)},
		{"late_1", lateAnswers(.01)},
		{"lock", locks},
		{"backup", backups},
		{"busy", busyLoops},
	} {
		t.Run(n.name, func(t *testing.T) { bear(t, n) })
	}
}

func bear(t *testing.T, n noise) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	l := newLab(t)
	target := l.target()
	l.open(target)
	var all []*door
	var sampled []drill.Probe
	for i, rate := range doorRates {
		d := l.door(target, i, rate)
		all, sampled = append(all, d), append(sampled, d)
	}
	r := recordThese(t, sampled)
	n.make(t, l, all)
	scripts := make([][]scripted, len(all))
	var work sync.WaitGroup
	for i, d := range all {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		work.Go(func() {
			scripts[i] = d.perform(random, time.Duration(i)*noiseHold/time.Duration(len(all)))
		})
	}
	work.Wait()
	r.stop()

	right, invalid, contained := 0, 0, 0
	var worst time.Duration
	for i, d := range all {
		for _, o := range scripts[i] {
			rep := measure.Report(r.around(d.Info(), o))
			off, holds, wrong := o.judge(rep, d.Info().Interval)
			if holds {
				contained++
			}
			switch {
			case rep.Run.Verdict == drill.VerdictInvalid:
				invalid++
				require.NotEmpty(t, rep.Run.Reasons)
				t.Logf("%s, %s: invalid: %v", d.name, o.how, rep.Run.Reasons)
			case len(wrong) > 0:
				t.Errorf("%s, %s for %v: %s\n%s", d.name, o.how, o.healed.Before.Sub(o.broke.After),
					strings.Join(wrong, "; "), r.show(d.name, o, rep))
			default:
				right++
				worst = max(worst, off.Abs())
			}
			if back := rep.Recovery; back != nil {
				t.Logf("%s, %s for %.3f s: recovery %.3f [%.3f, %.3f], off by %.1f ms, L %.0f ms, "+
					"blips %d, longest %.3f s, late %s",
					d.name, o.how, o.healed.Before.Sub(o.broke.Before).Seconds(), back.Estimate.Estimate, back.Lower, back.Upper,
					off.Seconds()*1000, back.UpWithin*1000, back.Blips.Count, back.Blips.Longest, percent(back.LateRatio.After))
			}
		}
	}
	t.Logf("noise %-10s %d of %d right, %d invalid, worst off by %v, the truth in %d intervals", n.name,
		right, len(all)*noiseTrials, invalid, worst.Round(100*time.Microsecond), contained)
	assert.Equal(t, len(all)*noiseTrials, right+invalid)
	assert.NotZero(t, right, "no run proves anything")
}

func percent(p *float64) string {
	if p == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.2f %%", 100**p)
}

// scripted is one outage as it was injected.
type scripted struct {
	how           string
	broke, healed postgres.Moment
	hold, until   time.Time // the baseline's begin, and the end of what is watched
}

// The ways in which a door breaks. Both end at one moment for every client: nobody has to log in anew.
const (
	refusedAtOnce = "refused"
	// Nothing passes, and all that was sent is delivered at the end. Few requests, or they are a crowd.
	frozen = "frozen"
)

// perform plays the door's outages.
func (d *door) perform(r *rand.Rand, first time.Duration) (all []scripted) {
	begun := time.Now()
	time.Sleep(first)
	for i := range noiseTrials {
		o := scripted{how: refusedAtOnce, hold: begun}
		time.Sleep(noiseHold)
		length := 900*time.Millisecond + time.Duration(r.Int64N(int64(time.Second)))
		rest := func() { time.Sleep(time.Until(o.broke.After.Add(length))) }
		if d.rate <= 10 && i%2 == 1 {
			o.how = frozen
			o.broke = d.relay.Freeze()
			rest()
			o.healed = d.relay.Thaw()
		} else {
			o.broke = d.relay.Refuse()
			rest()
			o.healed = d.relay.Accept()
		}
		begun = time.Now().Add(200 * time.Millisecond) // what was held back has been delivered
		o.until = time.Now().Add(noiseHold - noiseMargin)
		all = append(all, o)
	}
	time.Sleep(noiseHold)
	return all
}

// noisy is a recorder of probes alone, which also notes when this process did not run.
type noisy struct {
	*recorder
	stalls []drill.Stall
}

func recordThese(t *testing.T, all []drill.Probe) *noisy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &noisy{recorder: &recorder{clock: drill.StartClock()}}
	var wg sync.WaitGroup
	wg.Go(func() {
		probes.Sample(ctx, drill.Sampling{Clock: r.clock, Probes: all, Sample: func(s drill.Sample) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.samples = append(r.samples, s)
		}, Stall: func(s drill.Stall) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.stalls = append(r.stalls, s)
		}})
	})
	var once sync.Once
	r.stop = func() { once.Do(func() { cancel(); wg.Wait() }) }
	t.Cleanup(r.stop)
	return r
}

// around is the recording of a run with this outage alone. The injection's times are the injector's own.
func (r *noisy) around(info drill.ProbeInfo, o scripted) drill.Recording {
	hold, until := r.at(o.hold), r.at(o.until)
	change := func(m postgres.Moment, state drill.FaultState) drill.Event {
		return drill.Event{At: r.at(m.After), Type: drill.EventFault, Fault: &drill.FaultChange{
			Kind: "break", Name: "door", State: state, From: r.at(m.Before), By: "the relay"}}
	}
	victim := []drill.Member{{Namespace: "shop", Name: "relay", UID: "1"}}
	plans := []drill.FaultPlan{{Kind: "break", Name: "door", Victims: victim}}
	return drill.Recording{
		Settings: drill.Settings{Window: noiseWindow, ImpactTimeout: noiseWindow, NoLedger: true},
		Events: slices.Values([]drill.Event{
			{At: hold, Type: drill.EventPlan, Members: victim, Plans: plans},
			{At: hold, Type: drill.EventProbe, Probe: &info},
			{At: hold, Type: drill.EventStep, Step: drill.StepSteady},
			{At: hold, Type: drill.EventStep, Step: drill.StepHold},
			change(o.broke, drill.FaultInjected), change(o.broke, drill.FaultConfirmed), change(o.healed, drill.FaultReverted),
			{At: until, Type: drill.EventSamples, Samples: r.of(info.Name, hold, until), Stalls: r.stalls},
			{At: until, Type: drill.EventEnd, End: &drill.End{Cause: drill.EndFinished, Code: "finished"}},
		}),
	}
}

// judge holds a report against the truth: how far off it is, whether its interval holds the truth, and what is wrong.
// An answer that is late for its own reasons right after the end makes the end later, by no more than Δ + L.
func (o scripted) judge(rep drill.Report, delta time.Duration) (off time.Duration, holds bool, wrong []string) {
	back := rep.Recovery
	if back == nil {
		return 0, false, []string{"nothing was measured"}
	}
	length := func(s drill.Seconds) time.Duration {
		return time.Duration(float64(min(s, 3600)) * float64(time.Second))
	}
	least, most := o.healed.Since(o.broke)
	off = length(back.Estimate.Estimate) - (least+most)/2
	if allowed := delta + length(back.UpWithin); off.Abs() > allowed {
		wrong = append(wrong, fmt.Sprintf("recovery %v is off by %v, and may be off by %v: outages %+v",
			back.Estimate.Estimate, off, allowed, back.Outages))
	}
	return off, length(back.Lower) <= most && length(back.Upper) >= least, wrong
}

// show tells the slots that were not quick.
func (r *noisy) show(name string, o scripted, rep drill.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", rep.Run.Reasons)
	for _, s := range r.of(name, r.at(o.hold), r.at(o.until)) {
		if took := s.Done.Sub(s.Scheduled); took > 20*time.Millisecond || s.Outcome != drill.OutcomeOK {
			fmt.Fprintf(&b, "  due %+.3f sent %+.1f ms done %+.1f ms %s %s\n", s.Scheduled.Sub(r.at(o.broke.Before)).Seconds(),
				s.Sent.Sub(s.Scheduled).Seconds()*1000, took.Seconds()*1000, s.Outcome, s.Signal)
		}
	}
	return b.String()
}

// lateAnswers holds back a share of the answers for longer than L usually is.
func lateAnswers(share float64) func(*testing.T, *lab, []*door) {
	return func(_ *testing.T, _ *lab, all []*door) {
		for i, d := range all {
			random := rand.New(rand.NewPCG(uint64(share*1000), uint64(i)))
			d.relay.Jitter(random, share, 45*time.Millisecond, 200*time.Millisecond)
		}
	}
}

// until runs something again and again in the background, to the end of the test.
func until(t *testing.T, do func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); work.Wait() })
}

// locks lets nobody write for 60 ms every 4 s, as a job of the application's might.
func locks(t *testing.T, l *lab, _ []*door) {
	dsn := fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", l.pair.First.Address(), postgres.Database)
	conn, err := pgconn.Connect(t.Context(), dsn)
	require.NoError(t, err)
	until(t, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "BEGIN; LOCK TABLE failoverdrill.ledger; SELECT pg_sleep(0.06); COMMIT").ReadAll()
		select {
		case <-time.After(4 * time.Second):
		case <-ctx.Done():
			err = errors.Join(err, conn.Close(context.Background()))
		}
		return err
	})
}

// backups copies the server to new standbys, one after the other.
func backups(t *testing.T, l *lab, _ []*door) {
	// 100 MB.
	l.pair.First.Query(postgres.Database,
		"CREATE TABLE ballast AS SELECT repeat(md5(g::text), 64) FROM generate_series(1, 50000) g")
	n := 0
	until(t, func(context.Context) error { n++; return l.pair.First.BackUp() })
	t.Cleanup(func() { t.Logf("%d backups", n) })
}

// busyLoops keeps every core busy.
func busyLoops(t *testing.T, _ *lab, _ []*door) {
	for range runtime.NumCPU() {
		loop := exec.Command("sh", "-c", "while [ -d /proc/$PPID ]; do :; done") // not for longer than this process lives
		require.NoError(t, loop.Start())
		t.Cleanup(func() { _ = loop.Process.Kill(); _ = loop.Wait() })
	}
}
