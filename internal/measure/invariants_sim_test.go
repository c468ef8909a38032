package measure

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// The systems below are simulated in virtual time, with random concurrency, failures, answers that never come, and a
// failover in the middle. What they answer is by construction what a correct system may answer.

// scriptEnd is how long a simulated run takes; the fault is in its middle.
const scriptEnd = 14 * sec

// script gathers the slots of one simulated run.
type script struct {
	*rand.Rand
	samples map[drill.Check][]drill.Sample
	writes  []drill.Sample // of the ledger's pooled stream
	fault   time.Duration
}

func newScript(seed uint64) *script {
	r := rand.New(rand.NewPCG(seed, 9))
	return &script{Rand: r, samples: map[drill.Check][]drill.Sample{}, fault: 4*sec + time.Duration(r.Int64N(int64(2*sec)))}
}

// between is a random length of time.
func (sc *script) between(low, high time.Duration) time.Duration {
	return low + time.Duration(sc.Int64N(int64(high-low)+1))
}

// add puts a slot into the history of a check.
func (sc *script) add(check drill.Check, from, to time.Duration, outcome drill.Outcome, member string, op drill.Op) {
	s := drill.Sample{Probe: "orders/" + string(check), Class: drill.ClassPooled, Slot: int64(len(sc.samples[check])), Member: member, By: member,
		Scheduled: drill.Offset(from), Sent: drill.Offset(from), Done: drill.Offset(to), Outcome: outcome, Op: &op}
	if outcome != drill.OutcomeOK {
		s.By, s.Signal = "", drill.SignalTimeout
	}
	sc.samples[check] = append(sc.samples[check], s)
}

// last is when the last slot of a check was answered.
func (sc *script) last(check drill.Check) time.Duration {
	var last drill.Offset
	for _, s := range sc.samples[check] {
		last = max(last, s.Done)
	}
	return time.Duration(last)
}

func (sc *script) recording() drill.Recording {
	at := func(t time.Duration, e drill.Event) drill.Event { e.At = drill.Offset(t); return e }
	probe := func(name string, interval time.Duration, check drill.Check) drill.Event {
		return drill.Event{Type: drill.EventProbe, Probe: &drill.ProbeInfo{Name: name, Kind: "postgresql", Target: "orders", Class: drill.ClassPooled,
			Interval: interval, Deadline: sec, Check: check}}
	}
	events := []drill.Event{probe("orders", 20*ms, "")}
	all := slices.Clone(sc.writes)
	for _, c := range []drill.Check{drill.CheckReads, drill.CheckOwn, drill.CheckSum, drill.CheckRegister} {
		if len(sc.samples[c]) > 0 {
			events = append(events, probe("orders/"+string(c), 50*ms, c))
			all = append(all, sc.samples[c]...)
		}
	}
	sc.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	events = append(events, at(0, drill.Event{Type: drill.EventStep, Step: drill.StepSteady}),
		at(sc.fault, drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "kill_primary", Name: "orders", State: drill.FaultInjected, From: drill.Offset(sc.fault)}}),
		at(scriptEnd, drill.Event{Type: drill.EventSamples, Samples: all}),
		at(scriptEnd, drill.Event{Type: drill.EventEnd, End: &drill.End{Cause: drill.EndFinished}}))
	return drill.Recording{Settings: settings, Events: slices.Values(events)}
}

// judged are the invariants by the report, and by the live values at the end.
func (sc *script) judged() (*drill.InvariantsReport, map[string]float64) {
	rec := sc.recording()
	live := NewLive(settings)
	for e := range rec.Events {
		live.Event(e)
		order := make([]int, len(e.Samples))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, j int) int {
			a, b := &e.Samples[i], &e.Samples[j]
			return cmp.Or(cmp.Compare(a.Done, b.Done), cmp.Compare(a.Probe, b.Probe), cmp.Compare(a.Slot, b.Slot))
		})
		for _, i := range order {
			live.Sample(e.Samples[i])
		}
	}
	return Report(rec).Invariants, live.Values(drill.Offset(scriptEnd))["target"]["orders"]
}

// commit is a write of the simulated primary.
type commit struct {
	n    int64
	at   time.Duration
	lost bool // only the first primary ever had it
}

// database is a primary a and replicas b and c that apply its commits in order, late. At the fault a dies; b leads from
// leads on, with epoch 2, and a comes back as its replica.
type database struct {
	sc      *script
	log     []commit
	lost    map[int64]bool
	leads   time.Duration
	loses   time.Duration // what was committed in this time before the fault is lost
	bound   time.Duration // the most that a replica is behind
	lags    map[string]func(t time.Duration) time.Duration
	session map[int64]time.Duration // up to where each has been shown the log
}

// newDatabase scripts the writes of the ledger's stream.
func newDatabase(sc *script, loses time.Duration) *database {
	d := &database{sc: sc, loses: loses, leads: sc.fault + sc.between(300*ms, 3*sec), bound: sc.between(50*ms, 2*sec),
		lost: map[int64]bool{}, lags: map[string]func(time.Duration) time.Duration{}, session: map[int64]time.Duration{}}
	for _, m := range []string{"a", "b", "c"} {
		period, most := sc.between(sec, 5*sec), sc.between(0, d.bound)
		// A lag that grows as slowly as time passes, and then is made up for at once: no replica ever goes back.
		d.lags[m] = func(t time.Duration) time.Duration { return min(most, t%period) }
	}
	for k := int64(0); time.Duration(k)*20*ms < scriptEnd; k++ {
		from := time.Duration(k) * 20 * ms
		commits := from + sc.between(ms, 5*ms)
		done := commits + sc.between(0, 3*ms)
		s := drill.Sample{Probe: "orders", Class: drill.ClassPooled, Slot: k, Scheduled: drill.Offset(from), Sent: drill.Offset(from),
			Done: drill.Offset(done), Outcome: drill.OutcomeOK, Write: true, By: "a", Epoch: 1}
		if from >= d.leads {
			s.By, s.Epoch = "b", 2
		}
		switch dice := sc.IntN(100); {
		case done > sc.fault && from < d.leads:
			s.Outcome, s.By, s.Epoch = drill.OutcomeIndeterminate, "", 0
			if commits < sc.fault && d.loses == 0 {
				d.log = append(d.log, commit{n: k, at: commits})
			}
		case dice == 0: // the answer was lost on its way
			s.Outcome, s.By, s.Epoch, s.Done = drill.OutcomeIndeterminate, "", 0, drill.Offset(from+900*ms)
			d.log = append(d.log, commit{n: k, at: commits})
		case dice == 1:
			s.Outcome, s.By, s.Epoch, s.Signal = drill.OutcomeFail, "", 0, drill.SignalRefused
		default:
			d.log = append(d.log, commit{n: k, at: commits})
		}
		sc.writes = append(sc.writes, s)
	}
	for i, c := range d.log {
		if c.at < sc.fault && c.at >= sc.fault-loses {
			d.log[i].lost, d.lost[c.n] = true, true
		}
	}
	return d
}

// upTo is how much of the log a member has applied at a time.
func (d *database) upTo(member string, t time.Duration) time.Duration {
	leader := member == "a" && t < d.sc.fault || member == "b" && t >= d.leads
	switch {
	case leader:
		return t
	case t >= d.sc.fault && t < d.leads:
		return max(d.sc.fault-d.lags[member](d.sc.fault), 0)
	}
	return t - d.lags[member](t)
}

// has lists what a member shows at a time.
func (d *database) has(member string, t time.Duration) []int64 {
	var ns []int64
	upTo := d.upTo(member, t)
	for _, c := range d.log {
		if c.at <= upTo && (!c.lost || member == "a" && t < d.sc.fault) {
			ns = append(ns, c.n)
		}
	}
	return ns
}

// told writes numbers as a read is answered, as far as it looks back.
func told(ns []int64, window int64) []int64 {
	after := int64(-1)
	if n := len(ns); n > 0 {
		after = max(-1, ns[n-1]-window)
	}
	got := []int64{after}
	for _, n := range ns {
		switch last := len(got) - 1; {
		case n <= after:
		case last > 0 && got[last] == n-1:
			got[last] = n
		default:
			got = append(got, n, n)
		}
	}
	return got
}

// readAll lets clients read what the members show. Each client keeps to a member that shows at least what it has been
// shown, which is what a system with monotonic reads sees to.
func (d *database) readAll() (worst drill.Bounds) {
	sc := d.sc
	members := []string{"a", "b", "c"}
	for k := 0; time.Duration(k)*50*ms < scriptEnd; k++ {
		from := time.Duration(k)*50*ms + 7*ms
		member := members[k%3]
		id := int64(1 + k%3 + 3*sc.IntN(2))
		at := from + sc.between(ms/2, 10*ms)
		done := at + sc.between(0, 5*ms)
		away := member == "a" && at >= sc.fault && at < d.leads+2*sec
		switch dice := sc.IntN(100); {
		case away:
			sc.add(drill.CheckReads, from, from+ms, drill.OutcomeFail, member, drill.Op{Func: drill.OpRead, Session: id})
			continue
		case dice < 4 && member == "c":
			sc.add(drill.CheckReads, from, from+900*ms, drill.OutcomeIndeterminate, member, drill.Op{Func: drill.OpRead, Session: id})
			continue
		}
		if d.upTo(member, at) < d.session[id] {
			continue
		}
		d.session[id] = d.upTo(member, at)
		shows := d.has(member, at)
		sc.add(drill.CheckReads, from, done, drill.OutcomeOK, member, drill.Op{Func: drill.OpRead, Session: id, Got: told(shows, 500)})
		worst = d.stale(worst, shows, from, at)
	}
	return worst
}

// stale is the true age of the oldest acknowledged write that is not shown. What is lost has no age.
func (d *database) stale(worst drill.Bounds, shows []int64, asked, at time.Duration) drill.Bounds {
	for _, w := range d.sc.writes {
		if _, shown := slices.BinarySearch(shows, w.Slot); !shown && !d.lost[w.Slot] && w.Outcome == drill.OutcomeOK && time.Duration(w.Done) < asked {
			age := seconds(at - time.Duration(w.Done))
			worst.Lower, worst.Upper = max(worst.Lower, age), max(worst.Upper, age)
			break
		}
	}
	return worst
}

// ownWrites lets clients write rows of their own and read them on members that have applied them.
func ownWrites(sc *script) {
	type row struct {
		n  int64
		at time.Duration
	}
	rows := map[int64][]row{}
	next := map[int64]drill.OpFunc{}
	busy := map[int64]time.Duration{}
	for k := range int64(240) {
		from := time.Duration(k)*50*ms + sc.between(0, 20*ms)
		id := 1 + k%3
		if from < busy[id] {
			continue
		}
		at := from + sc.between(ms, 5*ms)
		done := at + sc.between(0, 20*ms)
		down := from > sc.fault && from < sc.fault+sec
		outcome := drill.OutcomeOK
		if dice := sc.IntN(20); down || dice == 0 {
			outcome = drill.OutcomeIndeterminate
			done = from + 900*ms
		} else if dice == 1 {
			outcome = drill.OutcomeFail
		}
		busy[id] = done
		if next[id] == drill.OpRead {
			var ns []int64
			for _, r := range rows[id] {
				if r.at <= at {
					ns = append(ns, r.n)
				}
			}
			next[id] = drill.OpWrite
			sc.add(drill.CheckOwn, from, done, outcome, "", drill.Op{Func: drill.OpRead, Session: id, Got: told(ns, 50)})
			continue
		}
		next[id] = drill.OpRead
		if outcome == drill.OutcomeOK || outcome == drill.OutcomeIndeterminate && sc.IntN(2) == 0 {
			if outcome != drill.OutcomeOK {
				at += sc.between(0, 900*ms-5*ms) // in doubt: any time before the session goes on
			}
			rows[id] = append(rows[id], row{k, at})
		}
		sc.add(drill.CheckOwn, from, done, outcome, "", drill.Op{Func: drill.OpWrite, Session: id, Args: []int64{k}})
	}
}

// transfers moves amounts between five accounts and reads all of them, from snapshots of any age.
func transfers(sc *script) {
	states := [][]int64{{100, 100, 100, 100, 100}}
	for k := range int64(200) {
		from := time.Duration(k)*50*ms + sc.between(0, 20*ms)
		done := from + sc.between(ms, 30*ms)
		down := from > sc.fault && from < sc.fault+sec
		if k%2 == 1 {
			snapshot := states[len(states)-1-sc.IntN(min(5, len(states)))]
			sc.add(drill.CheckSum, from, done, drill.OutcomeOK, "b", drill.Op{Func: drill.OpSum, Session: 1, Args: []int64{500}, Got: snapshot})
			continue
		}
		a, b, amount := sc.Int64N(5), sc.Int64N(5), 1+sc.Int64N(9)
		outcome := drill.OutcomeOK
		if down || sc.IntN(10) == 0 {
			outcome = drill.OutcomeIndeterminate
		}
		if outcome == drill.OutcomeOK || sc.IntN(2) == 0 {
			now := slices.Clone(states[len(states)-1])
			now[a] -= amount
			now[b] += amount
			states = append(states, now)
		}
		sc.add(drill.CheckSum, from, done, outcome, "a", drill.Op{Func: drill.OpTransfer, Session: 1, Key: a, Args: []int64{b, amount}})
	}
}

// registerPlay lets clients read, write and compare-and-set registers at the same time. Each operation takes effect at
// one moment between its call and its return; one in doubt at any later moment, or never.
func registerPlay(sc *script, operations, clients, doubts int) {
	type effect struct {
		at   time.Duration
		do   func(at time.Duration)
		slot func()
	}
	var effects []effect
	value, seen := map[int64]int64{}, map[int64]int64{}
	length := scriptEnd * time.Duration(operations) / 400
	busy := make([]time.Duration, clients)
	perDoubt := operations
	if doubts > 0 {
		perDoubt = operations / doubts
	}
	for k := range int64(operations) {
		id := sc.IntN(clients)
		from := max(busy[id]+ms/10, length*time.Duration(k)/time.Duration(operations))
		done := from + sc.between(ms, 120*ms)
		at := from + time.Duration(sc.Int64N(int64(done-from)))
		key := k % 3
		op := drill.Op{Key: key, Session: int64(id + 1)}
		outcome := drill.OutcomeOK
		happens := true
		kind := sc.IntN(4)
		switch {
		case int(k)%perDoubt == perDoubt-1:
			kind = 2 + sc.IntN(2)
			outcome, done, happens = drill.OutcomeIndeterminate, from+900*ms, sc.IntN(2) == 0
			at = from + sc.between(0, 3*sec)
		case from > sc.fault && from < sc.fault+sec && sc.IntN(2) == 0:
			outcome, happens = drill.OutcomeFail, false
		}
		busy[id] = done
		slot := func() { sc.add(drill.CheckRegister, from, done, outcome, "", op) }
		switch kind {
		case 0, 1:
			op.Func = drill.OpRead
			effects = append(effects, effect{at, func(time.Duration) {
				if outcome == drill.OutcomeOK {
					op.Got = []int64{value[key]}
					seen[key] = value[key]
				}
			}, slot})
		case 2:
			op.Func, op.Args = drill.OpWrite, []int64{k + 1}
			effects = append(effects, effect{at, func(time.Duration) {
				if happens {
					value[key] = k + 1
				}
			}, slot})
		case 3:
			op.Func = drill.OpCAS
			// The expected value is chosen when the operation is called.
			effects = append(effects, effect{from, func(time.Duration) { op.Args = []int64{seen[key], k + 1} }, nil}, effect{at, func(time.Duration) {
				found := value[key]
				if happens && found == op.Args[0] {
					value[key] = k + 1
				}
				if outcome == drill.OutcomeOK {
					op.Got = []int64{found}
					seen[key] = found
				}
			}, slot})
		}
	}
	slices.SortStableFunc(effects, func(a, b effect) int { return cmp.Compare(a.at, b.at) })
	for _, e := range effects {
		e.do(e.at)
	}
	for _, e := range effects {
		if e.slot != nil {
			e.slot()
		}
	}
}
