package measure

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func TestLedger(t *testing.T) {
	edit := func(seq int64, o drill.Outcome) func(*drill.Sample) {
		return func(s *drill.Sample) {
			if s.Class == drill.ClassPooled && s.Slot == seq {
				s.Outcome, s.Signal = o, drill.SignalTimeout
			}
		}
	}
	add := func(member string, seqs ...int64) func(*drill.ReadBack) {
		return func(b *drill.ReadBack) { hold(b, member, "orders", seqs...) }
	}
	for _, tc := range []struct {
		name     string
		edit     func(*scene)
		lost     int
		span     float64
		check    func(*drill.WritesReport) int
		findings []string
	}{
		{name: "all there", check: func(w *drill.WritesReport) int {
			return w.Phantom + w.Fabricated + w.Duplicate + w.IndeterminatePresent
		}},
		{name: "lost", edit: func(sc *scene) { sc.lost = func(seq int64) bool { return seq >= 900 && seq < 925 } }, lost: 25, span: 0.5},
		{name: "acknowledged by a primary that was cut off", edit: func(sc *scene) {
			sc.cuts[0].from = 25 * sec // the fault is at 20 s
			sc.lost = func(seq int64) bool { return seq >= 990 && seq < 1240 }
		}, lost: 250, span: 5, findings: []string{"doomed_writes", "victim_served_on"}},
		{name: "ghost", edit: func(sc *scene) {
			sc.edit, sc.readBack = edit(500, drill.OutcomeIndeterminate), func(b *drill.ReadBack) {
				for _, m := range []string{"a", "b", "c"} {
					add(m, 500)(b)
				}
			}
		}, check: func(w *drill.WritesReport) int { return w.IndeterminatePresent - 1 + w.IndeterminateAbsent + w.Phantom }},
		{name: "resolved", edit: func(sc *scene) { sc.edit = edit(500, drill.OutcomeIndeterminate) },
			check: func(w *drill.WritesReport) int { return w.IndeterminateAbsent - 1 + w.IndeterminatePresent }},
		{name: "phantom", edit: func(sc *scene) { sc.edit, sc.readBack = edit(500, drill.OutcomeFail), add("b", 500) },
			check: func(w *drill.WritesReport) int { return w.Phantom - 1 }},
		{name: "phantom on a replica alone", edit: func(sc *scene) { sc.edit, sc.readBack = edit(500, drill.OutcomeFail), add("c", 500) },
			check: func(w *drill.WritesReport) int { return w.Phantom - 1 }},
		{name: "fabricated", edit: func(sc *scene) { sc.readBack = add("b", 99999, 99998) },
			check: func(w *drill.WritesReport) int { return w.Fabricated - 2 }},
		{name: "never sent and there", edit: func(sc *scene) { sc.edit, sc.readBack = edit(500, drill.OutcomeUnsent), add("b", 500) },
			check: func(w *drill.WritesReport) int { return w.Fabricated - 1 + w.Unsent - 1 }},
		{name: "duplicate", edit: func(sc *scene) { sc.readBack = add("b", 500, 500) },
			check: func(w *drill.WritesReport) int { return w.Duplicate - 1 }},
		{name: "a replica misses some", edit: func(sc *scene) {
			sc.readBack = func(b *drill.ReadBack) { drop(b, "c", "orders", 0, 1, 2) }
		}, findings: []string{"replica_misses_writes"}},
		{name: "replicas not caught up", edit: func(sc *scene) {
			sc.readBack = func(b *drill.ReadBack) { b.Complete = false; delete(b.Streams, "c") }
		}, findings: []string{"read_back_incomplete"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := failover()
			if tc.edit != nil {
				tc.edit(&sc)
			}
			rep := sc.report()
			require.NotNil(t, rep.Writes.Lost)
			require.Equal(t, tc.lost, *rep.Writes.Lost)
			require.InDelta(t, tc.span, float64(*rep.Writes.LostSpan), 0.001)
			if tc.check != nil {
				require.Zero(t, tc.check(rep.Writes), "%+v", rep.Writes)
			}
			codes := []string{}
			for _, f := range rep.Findings {
				codes = append(codes, f.Code)
			}
			require.ElementsMatch(t, tc.findings, codes)
			require.Equal(t, rep.Writes.Sent, rep.Writes.Acked+rep.Writes.Failed+rep.Writes.IndeterminatePresent+rep.Writes.IndeterminateAbsent)
		})
	}
}

func TestLostIsUnknownWithoutThePrimary(t *testing.T) {
	sc := failover()
	sc.objectives = []drill.Objective{{Name: drill.ObjectiveLostWrites}}
	for _, edit := range []func(*scene){
		func(sc *scene) { sc.noReadBack = true },
		func(sc *scene) { sc.readBack = func(b *drill.ReadBack) { delete(b.Streams, b.Primary) } },
	} {
		sc := sc
		edit(&sc)
		rep := sc.report()
		require.Nil(t, rep.Writes.Lost)
		require.Contains(t, rep.Unknown, "writes.lost")
		require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
		require.Equal(t, "unknown", rep.Objectives[0].JudgedBy)
	}
}

func TestLag(t *testing.T) {
	behind := func(d time.Duration) func(string, time.Duration) time.Duration {
		return func(m string, _ time.Duration) time.Duration {
			if m == "c" {
				return d
			}
			return 0
		}
	}
	for _, d := range []time.Duration{0, 100 * ms, 500 * ms, 2 * sec} {
		sc := failover()
		sc.cuts, sc.heirAt, sc.replication = nil, 0, behind(d)
		l := sc.report().ReplicationLag
		for _, b := range []*drill.Bounds{l.Before, l.AtFault, l.Peak} {
			require.InDelta(t, secs(d), float64(b.Lower), 0.022, d.String())
			require.InDelta(t, secs(d), float64(b.Upper), 0.022, d.String())
		}
		require.InDelta(t, secs(d), float64(l.ByMember["c"].Upper), 0.022)
		require.Equal(t, drill.Bounds{Upper: 0.02}, l.ByMember["b"])
		require.Zero(t, l.Unknown)
		require.Nil(t, l.EngineDisagreement)
	}
}

func TestTheEngineThatSaysZero(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.replication = func(m string, at time.Duration) time.Duration {
		if m == "c" && at > 30*sec && at < 50*sec {
			return at - 30*sec // the stream is black-holed: c stands still
		}
		return 0
	}
	sc.edit = func(s *drill.Sample) {
		if s.Member == "c" {
			s.Reading.EngineLag = 0
		}
	}
	rep := sc.report()
	require.InDelta(t, 20, float64(rep.ReplicationLag.Peak.Upper), 0.15)
	require.InDelta(t, 20, float64(*rep.ReplicationLag.EngineDisagreement), 0.15)
	require.Equal(t, "lag_metric_lies", rep.Findings[0].Code)
	require.Regexp(t, `^c was (19\.9|20)\S* s behind, by the writes that it did not show; your dashboard's query said 0 s\.$`, rep.Findings[0].Text)
}

func TestUnreadableReplicaIsUnknownNotZero(t *testing.T) {
	silent := func(from, to time.Duration, o drill.Outcome) func(string, time.Duration) drill.Outcome {
		return func(m string, t time.Duration) drill.Outcome {
			if m == "c" && t >= from && t < to {
				return o
			}
			return ""
		}
	}
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.silent = silent(50*sec, 60*sec, drill.OutcomeBlocked)
	require.InDelta(t, 10, float64(sc.report().ReplicationLag.Unknown), 0.11)

	sc.silent = silent(15*sec, 25*sec, drill.OutcomeIndeterminate) // over the fault, and too long before it
	sc.objectives = []drill.Objective{{Name: drill.ObjectiveReplicationLag, Limit: 1}}
	rep := sc.report()
	require.Nil(t, rep.ReplicationLag.Before)
	require.Nil(t, rep.ReplicationLag.AtFault)
	require.Contains(t, rep.Unknown, "replication_lag.before_seconds")
	require.Contains(t, rep.Unknown, "replication_lag.at_fault_seconds")
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)

	sc.silent = silent(0, 200*sec, drill.OutcomeIndeterminate)
	rep = sc.report()
	require.Nil(t, rep.ReplicationLag.Before)
	require.InDelta(t, 90, float64(rep.ReplicationLag.Unknown), 0.11)

	sc = failover() // the dead primary counts once another one leads: from 27.9 s until it is back at 41 s
	require.InDelta(t, 13.1, float64(sc.report().ReplicationLag.Unknown), 0.2)
}

// zombie lets a go on accepting pinned writes from the fault on, until the given time.
func zombie(until time.Duration, epoch int64) scene {
	sc := failover()
	sc.edit = func(s *drill.Sample) {
		if s.Member == "a" && s.Scheduled >= drill.Offset(20*sec) && s.Scheduled < drill.Offset(until) {
			s.Outcome, s.Signal, s.Role, s.By, s.Write, s.Epoch = drill.OutcomeOK, "", drill.RolePrimary, "a", true, epoch
		}
	}
	return sc
}

func TestDualPrimary(t *testing.T) {
	for _, x := range []time.Duration{500 * ms, 3 * sec, 10 * sec} {
		p := zombie(27900*ms+x, 1).report().Primaries
		require.InDelta(t, secs(x), float64(p.DualPrimary), 0.101, x.String())
		require.InDelta(t, secs(x), float64(p.ZombieTail), 0.101, x.String())
		require.Equal(t, 1, p.LeaderChanges)
	}
	p := zombie(30900*ms, 0).report().Primaries // the zombie tells no epoch
	require.InDelta(t, 3, float64(p.ZombieTail), 0.101)

	clean := failover()
	clean.cuts, clean.heirAt, clean.back = nil, 27950*ms, 20*sec // a handover within one interval
	p = clean.report().Primaries
	require.Zero(t, p.DualPrimary)
	require.Zero(t, p.ZombieTail)
	require.Equal(t, 1, p.LeaderChanges)
	require.Equal(t, drill.OutcomeNoImpact, clean.report().Recovery.Outcome)
}

// TestAZombieDisownsNothing: a primary of an old epoch does not show the new one's writes, and they are not lost for it.
func TestAZombieDisownsNothing(t *testing.T) {
	sc := zombie(80*sec, 1)
	sc.edit = func(edit func(*drill.Sample)) func(*drill.Sample) {
		return func(s *drill.Sample) {
			if edit(s); s.Member == "a" && s.Role == drill.RolePrimary && s.Scheduled > drill.Offset(20*sec) {
				s.Reading = &drill.Reading{UID: "a", EngineLag: math.NaN()}
			}
		}
	}(sc.edit)
	sc.replication = func(m string, at time.Duration) time.Duration {
		if m == "c" && at > 50*sec && at < 75*sec {
			return 5 * sec
		}
		return 0
	}
	require.InDelta(t, 5, float64(sc.report().ReplicationLag.ByMember["c"].Upper), 0.15)
}

// TestAnAckThatArrivesLate: the order in which outcomes are handed over does not change what counts as lost.
func TestAnAckThatArrivesLate(t *testing.T) {
	c := newCluster(1)
	c.plan([]drill.Member{{Name: "a", Role: drill.RolePrimary, Epoch: 1}, {Name: "b", Role: drill.RoleReplica, Epoch: 1}, {Name: "c", Role: drill.RoleReplica, Epoch: 1}})
	for _, m := range c.names {
		c.probe(drill.ProbeInfo{Class: drill.ClassPinned, Member: m})
	}
	ack := func(seq int64, at time.Duration, by string) {
		c.write(slotOf(drill.Sample{Slot: seq, Sent: drill.Offset(at - ms), Done: drill.Offset(at), By: by, Outcome: drill.OutcomeOK, Write: true}))
	}
	read := func(m string, at time.Duration, role drill.Role, seen ...int64) *member {
		return c.pinned(slotOf(drill.Sample{Member: m, Scheduled: drill.Offset(at), Sent: drill.Offset(at), Done: drill.Offset(at + ms), Outcome: drill.OutcomeOK,
			Role: role, Epoch: 2, Reading: &drill.Reading{Seen: seen, Streaming: true, EngineLag: math.NaN()}}))
	}
	ack(1, sec, "a")
	ack(3, 3*sec, "b")
	read("b", 4*sec, drill.RolePrimary, 1, 3)
	require.True(t, read("c", 4*sec, drill.RoleReplica, 1, 3).word.caught)
	ack(2, 2*sec, "a") // b has been asked, and did not show it
	require.Equal(t, drill.Bounds{Lower: 3, Upper: 3.002}, read("c", 5*sec, drill.RoleReplica).word.lag)
	read("b", 6*sec, drill.RolePrimary)
	require.True(t, read("c", 6*sec, drill.RoleReplica).word.caught)
}

// TestZombieTailAfterAFailback: who leads in the end is the old primary again, and only epochs tell.
func TestZombieTailAfterAFailback(t *testing.T) {
	ack := func(at time.Duration, by string, epoch int64) slot {
		return slotOf(drill.Sample{Sent: drill.Offset(at - ms), Done: drill.Offset(at), By: by, Epoch: epoch})
	}
	r := &run{}
	acks := []slot{ack(sec, "a", 1), ack(2*sec, "b", 2), ack(4*sec, "a", 1), ack(5*sec, "b", 2), ack(9*sec, "a", 3)}
	require.Equal(t, 2*sec, r.zombieTail(acks, supersededEpochs(acks)))
}

func TestDisagreements(t *testing.T) {
	sc := failover()
	sc.events = []drill.Event{
		views(5*sec, "a", "b", "a"), // before the fault
		views(6*sec, "a", "a", "a"),
		views(22*sec, "a", "", ""),
		views(24*sec, "a", "", ""),
		views(28*sec, "b", "b", "b"),
	}
	both := views(60*sec, "b", "b", "b")
	both.Views.Member = []string{"b", "a"}
	sc.events = append(sc.events, both)
	ds := sc.report().Primaries.Disagreements
	require.Len(t, ds, 2)
	require.Equal(t, map[string]string{"label": "a", "service": "none", "member": "none"}, ds[0].Views)
	require.InDelta(t, 2, float64(ds[0].Start), 0)
	require.InDelta(t, 6, float64(ds[0].Seconds), 0)
	require.Equal(t, "a+b", ds[1].Views["member"])
	require.InDelta(t, 30, float64(ds[1].Seconds), 0.1, "until the end of the observation")
}

func TestProbes(t *testing.T) {
	sc := failover()
	sc.fresh = 100 * ms
	ps := sc.report().Probes
	require.Len(t, ps, 5)
	require.InDelta(t, 50, ps[0].RateHz, 0)
	require.Equal(t, 4500, ps[0].Slots)
	require.Equal(t, 400, ps[0].Failed)
	require.Equal(t, map[string]int{drill.SignalRefused: 400}, ps[0].FailuresBySignal)
	require.InDelta(t, 8, float64(*ps[0].Outage), 0.011, "to the middle of the last down slot and the first up one")
	require.Equal(t, drill.Seconds(0), *ps[0].LatenessMax)
	require.InDelta(t, 0.0014, float64(*ps[0].LatencyP99), 1e-9)
	require.Nil(t, ps[2].Outage, "pinned probes have no outage")
	require.Equal(t, "a", ps[2].Member)
}

// TestDoomedWrites: only what was sent after the fault counts, and only what the former primary acknowledged.
func TestDoomedWrites(t *testing.T) {
	sc := failover()
	sc.cuts[0].from = 25 * sec // the fault is at 20 s
	sc.lost = func(seq int64) bool { return seq >= 990 && seq < 1240 }
	rep := sc.report()
	require.Equal(t, []string{"doomed_writes", "victim_served_on"}, findingCodes(rep))
	require.Equal(t, "a went on acknowledging writes until 4.781 s after the fault: 239 acknowledged writes of that time are lost.", rep.Findings[0].Text)
	sc.cuts[0].from = 20 * sec
	sc.lost = func(seq int64) bool { return seq >= 990 && seq < 1000 }
	require.Empty(t, sc.report().Findings, "lost by replication that lagged: nobody was cut off")
}
