//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/internal/probes"
)

// warmup is not judged: the first slots grow the process, and what is to disturb it begins.
const warmup = 2 * time.Second

// taken is what became of the slots that a child took, after the warm-up.
type taken struct {
	Slots, OK, Unsent int
	Blocked           int           // pinned slots whose member had not answered the one before: not our lateness
	P50, P99, Max     time.Duration // of the lateness
	Signals           map[string]int
}

// check makes sure that it was the work that was measured: a slot may be late on a busy machine, or fail for it.
func (f taken) check(t *testing.T) {
	t.Helper()
	require.Greater(t, f.OK, f.Slots/2, "%+v", f)
}

// take samples the probes until the parent wants an end, and does with each slot what a run does: the live values see
// it, and the detail keeps it.
func take(all []drill.Probe) taken {
	ctx, cancel := context.WithCancel(context.Background())
	clock := drill.StartClock()
	live := measure.NewLive(drill.Settings{Window: 10 * time.Second, RedundancyLag: 1})
	live.Event(drill.Event{Type: drill.EventStep, Step: drill.StepSteady})
	for _, p := range all {
		info := p.Info()
		live.Event(drill.Event{Type: drill.EventProbe, Probe: &info})
	}
	log := detail.NewWriter(drill.Recording{})
	found := taken{Signals: map[string]int{}}
	var late []time.Duration
	var batch []drill.Sample
	var work sync.WaitGroup
	work.Go(func() {
		probes.Sample(ctx, drill.Sampling{Clock: clock, Probes: all, Sample: func(s drill.Sample) {
			live.Sample(s)
			if batch = append(batch, s); s.Done.Sub(batch[0].Done) >= time.Second {
				log.Append(drill.Event{Type: drill.EventSamples, Samples: batch})
				batch = nil
			}
			if time.Duration(s.Scheduled) < warmup {
				return
			}
			found.Slots++
			switch s.Outcome {
			case drill.OutcomeOK:
				found.OK++
			case drill.OutcomeUnsent:
				found.Unsent++
				return
			case drill.OutcomeBlocked:
				found.Blocked++
				return
			default:
				found.Signals[s.Signal]++
			}
			late = append(late, s.Lateness())
		}})
	})
	say(ready)
	profiled(told)
	cancel()
	work.Wait()
	slices.Sort(late)
	if n := len(late); n > 0 {
		found.P50, found.P99, found.Max = late[n/2], late[int(math.Ceil(0.99*float64(n)))-1], late[n-1]
	}
	return found
}

// httpLoad is what a child that probes over HTTP does.
type httpLoad struct {
	URL    string
	Class  string
	Rate   int // Hz, of each probe
	Probes int
}

// takeHTTP is the role that takes slots of drill's http probes.
func takeHTTP(config []byte) (any, error) {
	var c httpLoad
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	kind, _ := probes.Find("http")
	body, err := block(fmt.Sprintf("url = %q\nclass = %q\nrate = %d\nexpect_body = %q\n", c.URL, c.Class, c.Rate, answer))
	if err != nil {
		return nil, err
	}
	spec, decoded := kind.Decode(body, nil)
	if decoded.Diagnostics.HasErrors() {
		return nil, decoded.Diagnostics
	}
	var all []drill.Probe
	for i := range c.Probes {
		p, err := kind.Bind(probes.Deps{}, fmt.Sprintf("http-%d", i), spec)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return take(all), nil
}

// block parses the inside of a block of a drill file.
func block(text string) (hcl.Body, error) {
	file, diags := hclsyntax.ParseConfig([]byte(text), "bench.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	return file.Body, nil
}

// nothing is a probe that does nothing: what is left is the sampler.
type nothing struct {
	name     string
	interval time.Duration
}

func (n nothing) Info() drill.ProbeInfo {
	return drill.ProbeInfo{
		Name: n.name, Kind: "nothing", Class: drill.ClassPooled, Interval: n.interval, Deadline: time.Second / 2,
		Sessions: int(time.Second/n.interval) + 1,
	}
}

func (n nothing) Sample(_ context.Context, s *drill.Sample) { s.Outcome = drill.OutcomeOK }

// takeNothing is the role that takes slots of probes which do nothing.
func takeNothing(config []byte) (any, error) {
	var c httpLoad
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	var all []drill.Probe
	for i := range c.Probes {
		all = append(all, nothing{name: fmt.Sprintf("nothing-%d", i), interval: time.Second / time.Duration(c.Rate)})
	}
	return take(all), nil
}

// spin is the role that keeps one core busy, at the same priority as everything else.
func spin([]byte) (any, error) {
	done := make(chan struct{})
	go func() { told(); close(done) }()
	say(ready)
	for n := 0; ; n++ {
		if n%1_000_000 != 0 {
			continue
		}
		select {
		case <-done:
			return n, nil
		default:
		}
	}
}
