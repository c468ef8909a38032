//go:build bank

package bank

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/postgres"
)

// TestLoopback plays the rows that need real servers, about 20 s each, and those without once more, for one table.
func TestLoopback(t *testing.T) {
	var s sheet
	s.run(t, virtualRows())
	s.run(t, turn(t, loopbackRows()))
	t.Logf("\n%s", &s)
}

// killed is the crash that most rows have: the primary's processes die at once.
func killed(p *pair) {
	p.Stream.Sever()
	p.First.Kill()
}

// takeover is what an operator would do: promote the standby after a while, and rebuild the old primary.
func takeover(p *pair) {
	if p.wait(1500 * time.Millisecond) {
		p.failOver()
		p.Rejoin()
	}
}

// restart starts the old primary again in its place.
func restart(p *pair) {
	if p.wait(time.Second) {
		p.First.Start()
	}
}

// then is what comes after the takeover.
func then(more ...func(*pair)) func(*pair) {
	return func(p *pair) {
		takeover(p)
		for _, m := range more {
			m(p)
		}
	}
}

// frozen stops the new primary for a while.
func frozen(from, long time.Duration) func(*pair) {
	return func(p *pair) {
		if p.wait(from) {
			p.Second.Freeze()
			<-time.After(long)
			p.Second.Thaw()
		}
	}
}

// locks takes the ledger's table for 60 ms every so often until the run ends, as a cron job would.
func locks(every time.Duration) func(*pair) {
	return func(p *pair) {
		for at := 4 * time.Second; p.wait(at); at += every {
			p.Second.Query(postgres.Database, "BEGIN; LOCK TABLE failoverdrill.ledger IN EXCLUSIVE MODE; SELECT pg_sleep(0.06); COMMIT")
		}
	}
}

// stopSelf stops this very process for a while, as a starved node would.
func stopSelf(t testing.TB, long time.Duration) {
	t.Helper()
	script := fmt.Sprintf("kill -STOP %d; sleep %.1f; kill -CONT %[1]d", os.Getpid(), long.Seconds())
	require.NoError(t, exec.Command("sh", "-c", script).Start())
}

func l(number int, setup string, w truth, d drama) row {
	return row{number: number, lab: loopback, setup: setup, truth: w, play: func(t *testing.T) drill.Report {
		t.Helper()
		for again := 0; ; again++ {
			rep := d.play(t)
			if again == mostStarved || w.verdict == drill.VerdictInvalid || !starved(rep) {
				return rep
			}
			t.Logf("row %d is played again, for drill itself says that it was starved: %+v", number, rep.Run.Reasons)
		}
	}}
}

// mostStarved is how often a row is played again of which drill itself says that the machine was too busy to tell.
const mostStarved = 2

// starved reports whether the run is void for want of processor time, and for nothing else.
func starved(rep drill.Report) bool {
	if rep.Run.Verdict != drill.VerdictInvalid {
		return false
	}
	for _, r := range rep.Run.Reasons {
		if !slices.Contains([]string{"late_prober", "unsent_slots", "unjudged_slots", "undecided"}, r.Code) {
			return false
		}
	}
	return true
}

// between claims when clients were served again, where only bounds are known.
func between(least, most float64) func(*truth) {
	return func(w *truth) {
		w.holds = func(rep drill.Report) string {
			if e := float64(rep.Recovery.Estimate.Estimate); e < least || e > most {
				return fmt.Sprintf("clients were back after %.1f to %.1f s, not %.2f s", least, most, e)
			}
			return ""
		}
	}
}

// handedOver claims that another member took over within 3 s, which may have been so quick that it is a blip.
func handedOver(w *truth) {
	w.holds = func(rep drill.Report) string {
		rec := rep.Recovery
		told := slices.ContainsFunc(rep.Findings, func(f drill.Finding) bool { return f.Code == "not_failed_over" })
		switch {
		case rep.Primaries.LeaderChanges != 1 || told:
			return fmt.Sprintf("the leader changed once, not %d times; not_failed_over is told: %t", rep.Primaries.LeaderChanges, told)
		case rec.Outcome == drill.OutcomeNoImpact && rec.Blips.Longest <= rec.Blip:
			return ""
		case rec.Outcome != drill.OutcomeFailedOver || rec.Estimate.Estimate > 3:
			return fmt.Sprintf("it failed over within 3 s: %s after %.2f s", rec.Outcome, rec.Estimate.Estimate)
		}
		return ""
	}
}

// loopbackRows are set-ups on a real pair: a primary and its standby.
func loopbackRows() []row { return slices.Concat(lossRows(), comebackRows()) }

// lossRows are those of before the fault, of what is lost, and of who writes.
func lossRows() []row {
	failedOver := passed(0, drill.OutcomeFailedOver)
	async := map[string]float64{drill.ObjectiveLostWrites: 1000}
	return []row{
		l(501, "the primary is killed; the standby takes over after 1.5 s", failedOver.and(between(1.5, 3)), drama{inject: killed, after: takeover, objectives: async}),
		l(2, "the same; the ledger is locked for 60 ms every 2 s", failedOver.and(between(1.5, 3)),
			drama{inject: killed, after: then(locks(2 * time.Second)), objectives: async}),
		l(4, "a handover in good order, with a standby that has everything", passed(0, "").and(handedOver), drama{
			inject: func(p *pair) { p.First.Stop() },
			after: func(p *pair) {
				p.Stream.Sever()
				p.failOver()
				p.Rejoin()
			}}),
		l(10, "drill itself is stopped for 3 s after the recovery", void("unsent_slots"), drama{inject: killed, objectives: async,
			after: then(func(p *pair) {
				if p.wait(5 * time.Second) {
					stopSelf(p.t, 3*time.Second)
				}
			})}),
		l(12, "replay is paused before the run", truth{verdict: drill.VerdictRefused, code: "replica_behind", cause: drill.CauseLag}, drama{before: func(p *pair) {
			p.Second.PauseReplay()
			p.First.Query(postgres.Database, "CREATE TABLE shop AS SELECT 1 AS n")
		}}),
		l(503, "the stream is black-holed before the fault", truth{verdict: drill.VerdictRefused, code: "not_steady", says: "behind"}, drama{before: func(p *pair) {
			p.plot.Go(func() {
				<-time.After(2 * time.Second) // from when on the ledger is there
				p.Stream.Freeze()
				<-p.ended
				p.Stream.Thaw()
			})
		}}),
		l(14, "a failover by label alone: the first is not fenced", missed(drill.ObjectiveDualPrimary, drill.CauseSplit, 0), drama{
			objectives: limit(drill.ObjectiveDualPrimary, 0),
			inject:     func(p *pair) { p.Stream.Sever() },
			after:      func(p *pair) { p.failOver() }}),
		l(505, "the same, and no objective says a word of it", truth{verdict: drill.VerdictFailed, code: "two_primaries", cause: drill.CauseSplit}, drama{
			objectives: map[string]float64{drill.ObjectiveLostWrites: -1, drill.ObjectiveRedundancyTime: -1, drill.ObjectiveLeaderChanges: -1},
			inject:     func(p *pair) { p.Stream.Sever() },
			after:      func(p *pair) { p.failOver() }}),
		l(16, "a pooler acknowledges every hundredth write and drops it", missed(drill.ObjectiveLostWrites, drill.CauseLoss, 0), drama{
			objectives: limit(drill.ObjectiveRedundancyTime, -1),
			before: func(p *pair) {
				var n atomic.Int64
				_, p.dsn = p.Liar(func() bool { return p.lying.Load() && n.Add(1)%100 == 50 })
			},
			inject: func(p *pair) { p.lying.Store(true) }}),
		l(507, "asynchronous, 0.4 s behind when the primary is killed", missed(drill.ObjectiveLostWrites, drill.CauseLoss, 0), drama{
			before: func(p *pair) { p.Stream.Delay(400 * time.Millisecond) },
			inject: killed,
			after: func(p *pair) {
				p.Stream.Delay(0)
				takeover(p)
			}}),
		l(509, "the same with remote_apply: nothing is lost", failedOver, drama{
			before: func(p *pair) {
				p.First.Exec(`ALTER SYSTEM SET synchronous_standby_names = '"orders-1"'`)
				p.First.Exec("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
				p.First.Exec("SELECT pg_reload_conf()")
			},
			inject: killed, after: takeover}),
	}
}

// comebackRows are those of how clients are served again.
func comebackRows() []row {
	recovery := drill.ObjectiveRecoveryTime
	failedOver := passed(0, drill.OutcomeFailedOver)
	async := map[string]float64{drill.ObjectiveLostWrites: 1000}
	return []row{
		l(18, "the promoted server answers every write in 0.1 s", missed(recovery, drill.CauseServe, never).and(saying("ever since")), drama{objectives: async,
			inject: killed, after: func(p *pair) {
				p.Service.Delay(100 * time.Millisecond)
				takeover(p)
			}}),
		l(20, "a relapse: the new primary is frozen for 1 s after 9 s, limit 8 s", missed(recovery, drill.CauseRelapse, 0).and(saying("again")),
			drama{objectives: async, inject: killed, after: then(frozen(9*time.Second, time.Second))}),
		l(511, "it is frozen for 0.15 s: a blip", failedOver.and(between(1.5, 3)), drama{objectives: async, inject: killed, after: then(frozen(9*time.Second, 150*time.Millisecond))}),
		l(513, "no client that connects anew can, for ever", missed(recovery, drill.CauseFresh, 0), drama{objectives: async, inject: killed,
			after: then(func(p *pair) {
				if p.wait(5 * time.Second) {
					p.Service.Route("")
				}
			})}),
		l(515, "the Service never leads to the new primary", missed(recovery, drill.CauseRoute, never), drama{objectives: async, inject: killed,
			after: func(p *pair) {
				if p.wait(time.Second) {
					p.Second.Promote()
					p.label(p.First, "replica")
					p.label(p.Second, "master")
				}
			}}),
		l(517, "nobody notices", missed(recovery, drill.CauseDetect, never), drama{inject: killed}),
		l(519, "the primary is stopped, and started again in its place after 1 s", passed(0, drill.OutcomeRestartedInPlace), drama{
			inject: func(p *pair) { p.First.Stop() }, after: restart}),
		l(521, "the same, failed_over = true", missed(drill.ObjectiveFailedOver, drill.CausePromote, 0), drama{
			objectives: limit(drill.ObjectiveFailedOver, 1), inject: func(p *pair) { p.First.Stop() }, after: restart}),
		l(523, "the standby dies and stays away", missed(drill.ObjectiveRedundancyTime, drill.CauseMembership, 0), drama{
			inject: func(p *pair) { p.Second.Kill() }}),
		l(525, "writes had failed for 1 s when the fault came", void("already_down"), drama{objectives: async,
			journal: func(p *pair) {
				p.First.Freeze()
				<-time.After(time.Second)
			},
			inject: killed, after: takeover}),
	}
}
