package measure

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// checks follows the invariants of one target, slot by slot, in the order in which the outcomes became known. The live
// values and the report share it. What the drill does not ask for is nil.
type checks struct {
	writes   journal
	reads    *reads
	own      *ownReads
	sum      *sum
	register *register
	info     map[drill.Check]drill.ProbeInfo
}

// keepAcked is how many of the newest writes are remembered while a run goes on: an hour at the usual rate.
const keepAcked = 1 << 17

// probe begins a check.
func (c *checks) probe(info drill.ProbeInfo) {
	if c.info == nil {
		c.info = map[drill.Check]drill.ProbeInfo{}
	}
	c.info[info.Check] = info
	switch info.Check {
	case drill.CheckReads:
		c.reads = newReads(&c.writes)
	case drill.CheckOwn:
		c.own = newOwnReads()
	case drill.CheckSum:
		c.sum = &sum{}
	case drill.CheckRegister:
		c.register = newRegister()
	}
}

// take takes in a slot of a check's probe, which has been judged.
func (c *checks) take(check drill.Check, s slot) {
	switch {
	case check == drill.CheckReads && c.reads != nil:
		c.reads.take(s)
	case check == drill.CheckOwn && c.own != nil:
		c.own.take(s)
	case check == drill.CheckSum && c.sum != nil:
		c.sum.take(s)
	case check == drill.CheckRegister && c.register != nil:
		c.register.take(s)
	}
}

// write takes in a slot of the ledger's pooled stream, if reads are to be compared with it.
func (c *checks) write(s slot) {
	if c.reads != nil {
		c.writes.note(s)
	}
}

// values are the live values of the invariants. A number of violations has no reading before anything was looked at.
func (c *checks) values(now drill.Offset, v map[string]float64) {
	set := func(objective string, value float64, known bool) {
		if known {
			v[valueOf(objective)] = value
		}
	}
	if r := c.reads; r != nil {
		out, known := r.outage.lasts(now, c.info[drill.CheckReads].Interval)
		set(drill.ObjectiveReadOutage, out.Seconds(), known)
		worst, known := r.staleness(now)
		set(drill.ObjectiveStaleness, float64(worst), known && len(c.writes.all) > 0)
		set(drill.ObjectiveMonotonicReads, float64(r.backward.n), r.again > 0)
	}
	if c.own != nil {
		set(drill.ObjectiveReadYourWrites, float64(c.own.missing.n), c.own.answers > 0)
	}
	if c.sum != nil {
		set(drill.ObjectiveSum, float64(c.sum.broken.n), c.sum.answers > 0)
	}
	if c.register != nil {
		set(drill.ObjectiveRegister, float64(c.register.stale.n), c.register.reads > 0)
	}
}

// valueOf is the live value that says how an invariant stands.
func valueOf(objective string) string {
	for _, i := range drill.Invariants() {
		if i.Objective == objective {
			return i.Value
		}
	}
	return objective
}

// invariants judges the histories of the checks; nil when the drill asks for none.
func (r *run) invariants() (*drill.InvariantsReport, []drill.Finding) {
	c, history := r.history()
	if len(c.info) == 0 {
		return nil, nil
	}
	rep := &drill.InvariantsReport{Checked: map[drill.Check]int{}}
	var found []drill.Finding
	tell := func(code string, v violations) {
		if v.n > 0 {
			found = append(found, drill.Finding{Severity: "warning", Code: code, Text: fmt.Sprintf("%s, %s.", v.first, r.when(v.at))})
		}
	}
	if x := c.reads; x != nil {
		rep.Checked[drill.CheckReads] = x.answers
		rep.ReadOutage = r.readOutage(history[drill.CheckReads])
		if x.answers > 0 && len(c.writes.all) > 0 {
			rep.Staleness = &x.worst
		}
		if x.again > 0 {
			rep.MonotonicReads = &x.backward.n
		}
		tell("read_went_back", x.backward)
	}
	if x := c.own; x != nil {
		if rep.Checked[drill.CheckOwn] = x.answers; x.answers > 0 {
			rep.ReadYourWrites = &x.missing.n
		}
		tell("own_write_missing", x.missing)
	}
	if x := c.sum; x != nil {
		if rep.Checked[drill.CheckSum] = x.answers; x.answers > 0 {
			rep.Sum = &x.broken.n
		}
		tell("sum_broken", x.broken)
	}
	if x := c.register; x != nil {
		rep.Checked[drill.CheckRegister] = x.operations
		broken, decided := gather(history[drill.CheckRegister]).check(registerLimit)
		if !decided {
			found = append(found, drill.Finding{Severity: "warning", Code: "register_undecided", Text: fmt.Sprintf(
				"Whether the registers are linearizable could not be decided within %s: too many operations overlapped.", say(seconds(registerLimit)))})
		}
		if broken.n > 0 || decided && x.reads > 0 {
			rep.Register = &broken.n
		}
		tell("register_not_linearizable", broken)
	}
	return rep, found
}

// history takes in every slot of the target's checks, in the order in which the outcomes became known. The writes come
// first, and what is lost: a read that was answered early must know of it.
func (r *run) history() (*checks, map[drill.Check][]slot) {
	c := &checks{}
	history := map[drill.Check][]slot{}
	for _, p := range r.checks {
		if p.Target == r.target && history[p.Check] == nil {
			c.probe(p.ProbeInfo)
			history[p.Check] = p.slots
		}
	}
	if c.reads != nil && r.headline != nil {
		for _, s := range r.headline.slots {
			c.writes.note(s)
		}
		for _, s := range history[drill.CheckReads] {
			if got, ok := answerOf(s, drill.OpRead); ok {
				c.writes.settle(got)
			}
		}
	}
	for check, slots := range history {
		byDone := slices.SortedFunc(slices.Values(slots), func(a, b slot) int {
			return cmp.Or(cmp.Compare(a.Done, b.Done), cmp.Compare(a.Slot, b.Slot))
		})
		for _, s := range byDone {
			c.take(check, s)
		}
	}
	return c, history
}

// readOutage is how long no read was answered from the injection on; nil when that cannot be told.
func (r *run) readOutage(slots []slot) *drill.Bounds {
	if r.injection == nil {
		return nil
	}
	i := slices.IndexFunc(slots, func(s slot) bool { return s.Scheduled >= r.injection.from })
	if i < 0 {
		return nil
	}
	after := slots[i:]
	gone := 0
	for _, s := range after {
		if !sent(s) {
			gone++
		}
	}
	if float64(gone) > unsentLimit*float64(len(after)) || count(after, up)+count(after, down) == 0 {
		return nil
	}
	return new(readOutage(slots, r.injection.from))
}

// when says how long after the fault something was.
func (r *run) when(t drill.Offset) string {
	switch {
	case r.injection == nil || t < r.injection.from:
		return "before the fault"
	default:
		return say(r.since(t)) + " after the fault"
	}
}

// unknownInvariants names what was asked for and is not known.
func unknownInvariants(rep *drill.InvariantsReport, miss func(absent bool, name string)) {
	if rep == nil {
		return
	}
	for _, i := range drill.Invariants() {
		if _, asked := rep.Checked[i.Check]; asked {
			length, number := invariant(i.Objective, rep)
			miss(length == nil && number == nil, "invariants."+i.Value)
		}
	}
}

// invariant is the number of an invariant: the worse bound of a length, or how many violations there were.
func invariant(objective string, rep *drill.InvariantsReport) (length *drill.Seconds, number *int) {
	if rep == nil {
		return nil, nil
	}
	upper := func(b *drill.Bounds) *drill.Seconds {
		if b == nil {
			return nil
		}
		return &b.Upper
	}
	switch objective {
	case drill.ObjectiveReadOutage:
		return upper(rep.ReadOutage), nil
	case drill.ObjectiveStaleness:
		return upper(rep.Staleness), nil
	case drill.ObjectiveMonotonicReads:
		return nil, rep.MonotonicReads
	case drill.ObjectiveReadYourWrites:
		return nil, rep.ReadYourWrites
	case drill.ObjectiveSum:
		return nil, rep.Sum
	case drill.ObjectiveRegister:
		return nil, rep.Register
	}
	return nil, nil
}

// judgedBy is the key of an invariant's number, and whether it counts violations.
func judgedBy(objective string) (key string, counts bool) {
	for _, i := range drill.Invariants() {
		if i.Objective == objective && i.Seconds {
			return i.Value + ".upper", false
		}
	}
	return objective, true
}

// broken says in a sentence how an invariant did not hold.
func broken(o drill.ObjectiveReport) string {
	switch o.Name {
	case drill.ObjectiveReadOutage:
		if *o.ValueSeconds == drill.Never() {
			return fmt.Sprintf("Reads could not be had any more when drill stopped watching, limit %s.", say(*o.LimitSeconds))
		}
		return fmt.Sprintf("No member answered a read for up to %s, limit %s.", say(*o.ValueSeconds), say(*o.LimitSeconds))
	case drill.ObjectiveStaleness:
		return fmt.Sprintf("A read did not show a write that had been acknowledged up to %s before, limit %s.", say(*o.ValueSeconds), say(*o.LimitSeconds))
	case drill.ObjectiveMonotonicReads:
		return fmt.Sprintf("What a session had been shown was gone from a later read of it %s, limit %d.", plural(*o.ValueCount, "time"), *o.LimitCount)
	case drill.ObjectiveReadYourWrites:
		return fmt.Sprintf("A session was not shown what it had written itself %s, limit %d.", plural(*o.ValueCount, "time"), *o.LimitCount)
	case drill.ObjectiveSum:
		return fmt.Sprintf("The sum of all accounts was wrong in %s, limit %d.", plural(*o.ValueCount, "answer"), *o.LimitCount)
	case drill.ObjectiveRegister:
		return fmt.Sprintf("No order explains the answers of a register %s, limit %d.", plural(*o.ValueCount, "time"), *o.LimitCount)
	}
	return fmt.Sprintf("The objective %s was missed.", o.Name)
}
