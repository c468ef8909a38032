package measure

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestPruningChangesNothing: random histories, with writes handed over late, members that are away, lost writes and
// changes of the leader, seen by a cluster that forgets what can never matter again, and by one that cannot forget: a
// member of it never shows anything.
func TestPruningChangesNothing(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		members := []drill.Member{{Name: "a", Role: drill.RolePrimary, Epoch: 1}, {Name: "b", Role: drill.RoleReplica, Epoch: 1}, {Name: "c", Role: drill.RoleReplica, Epoch: 1}}
		made := func(names ...string) *cluster {
			c := newCluster(1)
			c.plan(members)
			for _, n := range names {
				c.probe(drill.ProbeInfo{Class: drill.ClassPinned, Member: n, Interval: 100 * ms, Deadline: sec})
			}
			c.probe(drill.ProbeInfo{Class: drill.ClassPooled, Interval: 20 * ms})
			return c
		}
		pruned, whole := made("a", "b", "c"), made("a", "b", "c", "never")
		leader, epoch, seq, longest := 0, int64(1), int64(0), 0
		type write struct {
			seq int64
			by  int
		}
		var written []write
		had := make([]int, len(members))
		away := make([]int, len(members)) // until this step
		var late []slot
		both := func(s slot, take func(*cluster, slot)) { take(pruned, s); take(whole, s) }
		for step := range 600 {
			at := drill.Offset(step) * drill.Offset(20*ms)
			if rng.IntN(100) == 0 { // a change of the leader, which may lose the newest writes
				leader = rng.IntN(len(members))
				epoch += int64(rng.IntN(2))
				away[rng.IntN(len(members))] = step + rng.IntN(60)
			}
			by := leader
			if rng.IntN(15) == 0 { // one that has not heard of the new leader
				by = rng.IntN(len(members))
			}
			s := slot{Slot: seq, Scheduled: at, Sent: at, Done: at + drill.Offset(rng.IntN(15))*drill.Offset(ms), extra: noExtra,
				trait: &trait{Outcome: drill.OutcomeOK, Write: true, By: members[by].Name}}
			seq++
			if rng.IntN(10) > 0 {
				written = append(written, write{s.Slot, by})
				if rng.IntN(20) == 0 {
					late = append(late, s)
				} else {
					both(s, (*cluster).write)
				}
			}
			if len(late) > 0 && rng.IntN(30) == 0 {
				both(late[0], (*cluster).write)
				late = late[1:]
			}
			for i, m := range members {
				if rng.IntN(5) > 0 {
					continue
				}
				s := slot{Slot: int64(step), Scheduled: at, Sent: at + drill.Offset(ms), Done: at + drill.Offset(2*ms), extra: noExtra,
					trait: &trait{Outcome: drill.OutcomeOK, Member: m.Name, Role: drill.RoleReplica, Epoch: epoch}}
				if step < away[i] {
					s.trait = &trait{Outcome: drill.OutcomeFail, Member: m.Name, Role: drill.RoleUnknown}
				} else {
					if i == leader {
						s.Role = drill.RolePrimary
					}
					r := &drill.Reading{Streaming: true}
					upTo := max(had[i], len(written)-rng.IntN(4))
					for _, w := range written[had[i]:upTo] {
						if w.by == i || w.by == leader && rng.IntN(200) > 0 { // one that only its primary has, and never will another
							r.Seen = append(r.Seen, w.seq)
						}
					}
					had[i] = upTo
					s.extra = &extra{Reading: r}
				}
				both(s, func(c *cluster, s slot) { c.pinned(s) })
				where := fmt.Sprintf("seed %d, step %d, member %s", seed, step, m.Name)
				require.Equal(t, whole.leader, pruned.leader, where)
				require.Equal(t, whole.epoch, pruned.epoch, where)
				for _, m := range members {
					require.Equal(t, whole.members[m.Name].word, pruned.members[m.Name].word, where)
				}
				for range 2 {
					wasWhole, whyWhole := whole.whole(at)
					wasPruned, whyPruned := pruned.whole(at)
					require.Equal(t, wasWhole, wasPruned, where)
					require.Equal(t, whyWhole, whyPruned, where)
				}
				longest = max(longest, len(pruned.acks))
			}
		}
		require.Greater(t, len(whole.acks), 400)
		if seed == 0 {
			t.Logf("%d writes held of %d", longest, len(whole.acks))
		}
	}
}

// TestLiveHoldsNoMoreThanItNeeds: nothing that Live keeps grows with a run's length, once all members are back.
func TestLiveHoldsNoMoreThanItNeeds(t *testing.T) {
	sc := failover()
	sc.end, sc.lost = 10*time.Minute, func(seq int64) bool { return seq >= 980 && seq < 990 }
	l := NewLive(settings)
	for e := range sc.recording().Events {
		l.Event(e)
		for _, s := range e.Samples {
			l.Sample(s)
		}
	}
	c := l.targets["orders"].cluster
	require.LessOrEqual(t, len(c.acks), 20)
	require.Equal(t, 10, c.gone.Count())
	for name, m := range c.members {
		require.LessOrEqual(t, len(m.seen.Ranges), 5, name)
	}
	p := l.probes["orders"]
	require.LessOrEqual(t, len(p.recent), 4*int(ratioWindow/sc.delta))
	require.Empty(t, p.missing)
	require.LessOrEqual(t, len(p.latency), int(sc.from/sc.delta)+1, "of the baseline alone")
}
