//go:build e2e

package e2e

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

//go:embed testdata/witness.py
var witness string

//go:embed testdata/pinger.py
var pinger string

// span is a stretch in which something happened, in seconds on the machine's monotonic clock, which every process on it
// shares; or, after minus, a length of time with its bounds.
type span struct{ from, to float64 }

func (s span) minus(o span) span { return span{s.from - o.to, s.to - o.from} }

func (s span) String() string { return fmt.Sprintf("[%.3f, %.3f]", s.from, s.to) }

// attempt is one try of a client that is not drill's.
type attempt struct {
	number int
	span
	ok bool
	by string
}

// silence is the longest stretch of attempts that failed: when it began and when it ended, each as exactly as the
// attempts around it tell.
func silence(t *testing.T, all []attempt) (began, ended span) {
	t.Helper()
	first, last := -1, -1
	for i := 0; i < len(all); i++ {
		j := i
		for j < len(all) && !all[j].ok {
			j++
		}
		if j > i && i > 0 && j < len(all) && (first < 0 || all[j].to-all[i].from > all[last].to-all[first].from) {
			first, last = i, j-1
		}
		i = max(i, j-1)
	}
	require.Positive(t, first, "the client saw no outage that began and ended")
	return span{all[first-1].from, all[first].to}, span{all[last].from, all[last+1].to}
}

// promoted is when a member that was a replica took its first write.
func promoted(t *testing.T, all []attempt) span {
	t.Helper()
	first := slices.IndexFunc(all, func(a attempt) bool { return a.ok })
	require.Positive(t, first, "it was the primary all the time, or never")
	return span{all[first-1].from, all[first].to}
}

// witnessed is what the clients of witness.py saw, by client.
func witnessed(t *testing.T, c *kube.Client) map[string][]attempt {
	t.Helper()
	all := map[string][]attempt{}
	for line := range strings.Lines(printed(t, c, "witness")) {
		var name, outcome string
		var a attempt
		_, err := fmt.Sscan(line, &name, &a.number, &a.from, &a.to, &outcome, &a.by)
		require.NoError(t, err, line)
		a.ok = outcome == "ok"
		all[name] = append(all[name], a)
	}
	return all
}

// startPinger pings the API server from inside a pod until the test asks what came of it.
func startPinger(t *testing.T, pod string) func() []attempt {
	t.Helper()
	var out bytes.Buffer
	cmd := kubectl(t, "exec", "-i", pod, "-c", "patroni", "--", "python3", "-")
	cmd.Stdin, cmd.Stdout = strings.NewReader(pinger), &out
	require.NoError(t, cmd.Start())
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	return func() []attempt {
		stop()
		var all []attempt
		for line := range strings.Lines(out.String()) {
			var a attempt
			var outcome string
			if _, err := fmt.Sscan(line, &a.from, &a.to, &outcome); err != nil {
				require.False(t, strings.HasSuffix(line, "\n"), line) // the last one was cut short by its end
				continue
			}
			a.ok = outcome == "ok"
			all = append(all, a)
		}
		return all
	}
}

// kept are the numbers that a member holds of what the witness wrote through the Service.
func kept(t *testing.T, pod string) map[int]bool {
	t.Helper()
	out, err := kubectl(t, "exec", pod, "-c", "patroni", "--", "psql", "-XAt", "-d", "orders", "-c",
		"SELECT number FROM witness WHERE client = 'service'").CombinedOutput()
	require.NoError(t, err, "%s", out)
	rows := map[int]bool{}
	for line := range strings.Lines(string(out)) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		require.NoError(t, err, line)
		rows[n] = true
	}
	return rows
}

// TestLateImpact cuts the primary off from its lease only. It serves on until it cannot renew it: for more than ten
// seconds nothing is wrong, and whoever looks no longer than that calls it a recovery in 0 s. What really happened is
// told by clients of the test's own, and by a pinger in the primary's pod, which sees when it lost the API server.
func TestLateImpact(t *testing.T) {
	// A primary that has tried for retry_timeout to renew its lease stops serving, and the lease runs out after ttl.
	const ttl, retry = 30, 12
	// kube-proxy on the witness's node may follow the new primary so much later, or sooner, than on the runner's.
	const proxies = 2.0
	c := cluster(t)
	whole(t, c)
	configure(t, c, map[string]any{"ttl": ttl, "retry_timeout": retry})
	t.Cleanup(func() { configure(t, c, map[string]any{"ttl": 20, "retry_timeout": 7}) })
	old, _, _ := cutPods(t, c)
	startClient(t, c, "witness", "", []string{"python3", "-c", witness})
	pings := startPinger(t, old)

	_, rep := drillRun(t, "drills/late-impact.hcl")
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	clients := witnessed(t, c)
	heir, _, _ := cutPods(t, c)
	require.Equal(t, old, rep.Faults[0].Victims[0].Name)
	require.NotEqual(t, old, heir)

	cut, _ := silence(t, pings())
	began, ended := silence(t, clients["service"])
	impact, back, led := began.minus(cut), ended.minus(cut), promoted(t, clients[heir]).minus(cut)
	rec := rep.Recovery
	t.Logf("witness: impact %s after the cut, the new primary writes after %s, through the Service after %s", impact, led, back)
	t.Logf("drill:   %+v, first success %.3f, %d relapses, phases %+v", rec.Estimate, *rec.FirstSuccess, rec.Flaps, rec.Phases)
	require.Greater(t, impact.from, retry-1.0, "or this is no late impact, and proves nothing")

	require.Equal(t, drill.OutcomeFailedOver, rec.Outcome)
	require.Greater(t, float64(rec.Lower), impact.from)
	require.GreaterOrEqual(t, float64(rec.Upper), led.from, "nobody could write before there was a primary")
	require.Equal(t, "impact", rec.Phases[0].Name)
	if first := float64(rec.Phases[0].Seconds); first < impact.from-0.5 {
		t.Logf("an answer was late %.3f s after the cut, long before the impact: it is counted as that", first)
	} else {
		require.InDelta(t, (impact.from+impact.to)/2, first, 0.5)
		require.InDelta(t, back.to, float64(*rec.FirstSuccess), proxies+back.to-back.from)
	}
	if rec.Flaps == 0 {
		require.LessOrEqual(t, float64(rec.Lower), back.to+proxies)
		require.GreaterOrEqual(t, float64(rec.Upper), back.from-proxies)
	}
	slots(t, recording(t, c, rep.Run.ID), impact, led)
	splitBrain(t, rep, clients[old], clients[heir])
	losses(t, rep, clients["service"], kept(t, heir))
	noAgents(t, c)
	nothingLeft(t, c)
}

// slots: of the writes that drill sent through the Service, none was accepted at a time at which the witness knows that
// nobody could accept one, and nearly all were before.
func slots(t *testing.T, rec drill.Recording, impact, led span) {
	t.Helper()
	var began, returned drill.Offset // the call that cut
	for e := range rec.Events {
		if e.Type == drill.EventFault && e.Fault.State == drill.FaultInjected {
			began, returned = e.Fault.From, e.At
		}
	}
	before, served, during := 0, 0, 0
	for e := range rec.Events {
		for _, s := range e.Samples {
			switch {
			case s.Class != drill.ClassPooled || !s.Write || s.Outcome == drill.OutcomeUnsent || s.Sent < returned:
			case s.Done.Sub(began).Seconds() < impact.from:
				before++
				if s.Outcome == drill.OutcomeOK {
					served++
				}
			case s.Sent.Sub(returned).Seconds() > impact.to && s.Done.Sub(began).Seconds() < led.from:
				during++
				require.NotEqual(t, drill.OutcomeOK, s.Outcome, "slot %d, sent %s after the cut, by %s", s.Slot, s.Sent.Sub(returned), s.By)
			}
		}
	}
	t.Logf("drill's slots: %d of %d were served before the impact, and none of %d between it and the new primary's first write", served, before, during)
	require.Greater(t, before, 300)
	require.Greater(t, during, 300)
	require.Greater(t, float64(served), 0.95*float64(before))
}

// splitBrain: what drill says of two primaries is what the clients of the two saw.
func splitBrain(t *testing.T, rep drill.Report, old, heir []attempt) {
	t.Helper()
	var last span
	for _, a := range old {
		if a.ok {
			last = a.span
		}
	}
	both := last.minus(promoted(t, heir))
	t.Logf("witness: the old primary's last write %s after the new one's first", both)
	require.Less(t, both.to, 0.0, "Patroni keeps the two apart by seconds; if not, this test has something else to say")
	require.Zero(t, rep.Primaries.DualPrimary)
	require.Zero(t, rep.Primaries.ZombieTail)
	require.Equal(t, 1, rep.Primaries.LeaderChanges)
}

// losses: what drill says was lost is what the new primary does not hold of another client's acknowledged writes.
func losses(t *testing.T, rep drill.Report, acked []attempt, rows map[int]bool) {
	t.Helper()
	var lost []attempt
	for _, a := range acked {
		if a.ok && !rows[a.number] {
			lost = append(lost, a)
		}
	}
	require.NotNil(t, rep.Writes.Lost)
	require.NotNil(t, rep.Writes.LostSpan)
	length := 0.0
	if len(lost) > 0 {
		length = lost[len(lost)-1].to - lost[0].to
	}
	t.Logf("witness: lost %d writes within %.3f s; drill: %d within %.3f s", len(lost), length, *rep.Writes.Lost, *rep.Writes.LostSpan)
	require.InDelta(t, length, float64(*rep.Writes.LostSpan), 0.1)
	if len(lost) == 0 {
		require.LessOrEqual(t, *rep.Writes.Lost, 5, "what drill's three probes write between two writes of the witness")
	}
}
