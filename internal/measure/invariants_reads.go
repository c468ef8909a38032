package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// written is what became of one number of the ledger's pooled stream.
type written struct {
	sent, done drill.Offset
	epoch      int64
	acked      bool
	gone       bool // a later epoch does not have it: it is lost, and its age says nothing of a read
}

// journal holds the acknowledged writes of the pooled stream by their numbers.
type journal struct {
	first int64 // the number of all[0]
	all   []written
	keep  int // how many to hold at least; 0: all of them
}

// note takes in a slot of the stream.
func (j *journal) note(s slot) {
	if !acknowledged(s) || s.Slot < j.first {
		return
	}
	for int64(len(j.all)) <= s.Slot-j.first {
		j.all = append(j.all, written{})
	}
	j.all[s.Slot-j.first] = written{sent: s.Sent, done: s.Done, epoch: s.Epoch, acked: true}
	if j.keep > 0 && len(j.all) >= 2*j.keep {
		gone := len(j.all) - j.keep
		j.all, j.first = append([]written{}, j.all[gone:]...), j.first+int64(gone)
	}
}

// hidden calls visit with every acknowledged write that the answer looked for and does not show.
func (j *journal) hidden(s shown, visit func(w *written)) {
	from := s.after + 1
	gap := func(to int64) {
		for n := max(from, j.first); n <= to && n-j.first < int64(len(j.all)); n++ {
			if w := &j.all[n-j.first]; w.acked && !w.gone {
				visit(w)
			}
		}
	}
	for _, x := range s.ranges {
		gap(x.first - 1)
		from = x.last + 1
	}
	gap(j.first + int64(len(j.all)) - 1)
}

// settle finds what is lost: a server that shows a write of an epoch has everything that this epoch inherited, so what
// it does not show of an earlier one will never be shown.
func (j *journal) settle(s shown) {
	epoch := j.newest(s)
	if epoch == 0 {
		return
	}
	j.hidden(s, func(w *written) { w.gone = w.epoch != 0 && w.epoch < epoch })
}

// newest is the epoch of the newest acknowledged write that is shown.
func (j *journal) newest(s shown) int64 {
	for _, x := range slices.Backward(s.ranges) {
		for n := min(x.last, j.first+int64(len(j.all))-1); n >= max(x.first, j.first); n-- {
			if w := j.all[n-j.first]; w.acked {
				return w.epoch
			}
		}
	}
	return 0
}

// age is the age of the oldest write that was acknowledged before the question and is not shown: at least from its
// acknowledgement to the question, at most from its sending to the answer. It is 0 when everything is shown.
func (j *journal) age(s shown, asked, answered drill.Offset) drill.Bounds {
	var b drill.Bounds
	j.hidden(s, func(w *written) {
		if w.done < asked {
			b.Lower, b.Upper = max(b.Lower, seconds(asked.Sub(w.done))), max(b.Upper, seconds(answered.Sub(w.sent)))
		}
	})
	return b
}

// reads follows what the members show of the ledger.
type reads struct {
	writes   *journal
	answers  int
	sessions map[int64]*session
	again    int // answers to sessions that had been answered before
	worst    drill.Bounds
	worstBy  slot
	newest   map[string]aged // by the member that was asked
	backward violations
	outage   silence
}

// session is what one client has been shown.
type session struct {
	shown ranges
	by    string
}

// aged is how stale a member's newest read was.
type aged struct {
	at  drill.Offset
	age drill.Bounds
}

func newReads(writes *journal) *reads {
	return &reads{writes: writes, sessions: map[int64]*session{}, newest: map[string]aged{}, outage: newSilence()}
}

func (r *reads) take(s slot) {
	r.outage.take(s)
	got, ok := answerOf(s, drill.OpRead)
	if !ok {
		return
	}
	r.answers++
	r.writes.settle(got)
	age := r.writes.age(got, s.Sent, s.Done)
	if age.Upper > r.worst.Upper || r.worstBy.trait == nil {
		r.worst, r.worstBy = age, s
	}
	if s.Scheduled >= r.newest[s.Member].at {
		r.newest[s.Member] = aged{s.Scheduled, age}
	}
	had := r.sessions[s.Op.Session]
	if had == nil {
		had = &session{}
		r.sessions[s.Op.Session] = had
	} else {
		r.again++
	}
	if n, first := had.shown.missing(got.ranges, got.after); n > 0 {
		r.backward.add(s.Done, fmt.Sprintf("Session %d had been shown write %d by %s, and %s no longer shows it (%s in all)",
			s.Op.Session, first, had.by, someone(s), plural(int(n), "write")))
	}
	had.shown, had.by = had.shown.replaced(got), someone(s)
}

// staleness is the worst of the members' newest reads, as long as they hold.
func (r *reads) staleness(now drill.Offset) (worst drill.Seconds, ok bool) {
	for _, a := range r.newest {
		if now.Sub(a.at) <= ratioWindow {
			worst, ok = max(worst, a.age.Upper), true
		}
	}
	return worst, ok
}

// answerOf is what a slot was shown.
func answerOf(s slot, do drill.OpFunc) (shown, bool) {
	if s.Outcome != drill.OutcomeOK || s.Op == nil || s.Op.Func != do {
		return shown{}, false
	}
	return shownIn(s.Op.Got)
}

// someone names the server that answered.
func someone(s slot) string {
	if name := by(s); name != "" {
		return name
	}
	return "the Service"
}

// ownReads follows what clients are shown of what they wrote themselves.
type ownReads struct {
	answers int // to clients that had had something acknowledged
	acked   map[int64]ranges
	missing violations
}

func newOwnReads() *ownReads { return &ownReads{acked: map[int64]ranges{}} }

func (o *ownReads) take(s slot) {
	if s.Outcome != drill.OutcomeOK || s.Op == nil {
		return
	}
	id := s.Op.Session
	if s.Op.Func == drill.OpWrite && len(s.Op.Args) == 1 {
		o.acked[id] = o.acked[id].with(stretch{s.Op.Args[0], s.Op.Args[0]})
		return
	}
	got, ok := answerOf(s, drill.OpRead)
	if !ok || len(o.acked[id]) == 0 {
		return
	}
	o.answers++
	n, first := o.acked[id].missing(got.ranges, got.after)
	if n == 0 {
		return
	}
	o.missing.add(s.Done, fmt.Sprintf("Session %d had write %d of its own acknowledged, and %s does not show it (%s in all)",
		id, first, someone(s), plural(int(n), "write")))
	o.acked[id] = o.acked[id].only(got) // what was missing once is not counted again
}

// only is what of the set is below what the answer looked at, or shown by it.
func (r ranges) only(s shown) ranges {
	var out ranges
	for _, x := range r {
		if x.first <= s.after {
			out = append(out, stretch{x.first, min(x.last, s.after)})
		}
		for _, y := range s.ranges {
			if from, to := max(x.first, y.first, s.after+1), min(x.last, y.last); from <= to {
				out = append(out, stretch{from, to})
			}
		}
	}
	return out
}

// violations counts, and keeps the first as an example.
type violations struct {
	n     int
	at    drill.Offset
	first string
}

func (v *violations) add(at drill.Offset, text string) {
	if v.n++; v.n == 1 {
		v.at, v.first = at, text
	}
}

// silence follows whether reads can be had: they can as long as any of those who are asked in turn answers.
type silence struct {
	turns  map[string]turn // the newest slot of each that says anything
	downs  map[string]row  // each one's newest
	lastUp drill.Offset
	isUp   bool
}

// row is a row of down slots: the turns of the first and of the last one; when the first had failed, and the last was
// sent.
type row struct{ first, last, failed, sent drill.Offset }

func newSilence() silence { return silence{turns: map[string]turn{}, downs: map[string]row{}} }

func (q *silence) take(s slot) {
	if s.state == unknown {
		return
	}
	if have, ok := q.turns[s.Member]; !ok || s.Scheduled >= have.at {
		q.turns[s.Member] = turn{s.Scheduled, s.state}
		switch {
		case s.state == down && ok && have.state == down:
			q.downs[s.Member] = row{q.downs[s.Member].first, s.Scheduled, q.downs[s.Member].failed, s.Sent}
		case s.state == down:
			q.downs[s.Member] = row{s.Scheduled, s.Scheduled, s.Done, s.Sent}
		}
	}
	if s.state == up && (!q.isUp || s.Scheduled > q.lastUp) {
		q.lastUp, q.isUp = s.Scheduled, true
	}
}

// dead reports whether the newest word of everyone is that nothing was answered.
func (q *silence) dead() bool {
	for _, t := range q.turns {
		if t.state != down {
			return false
		}
	}
	return len(q.turns) > 0
}

// overlap is whether everyone was down at the same time, and how long at least. A member may have come back before it was
// asked again, and another one gone away only then: that is no outage of reads.
func (q *silence) overlap() (least time.Duration, proved bool) {
	turns, sure := span{0, forever}, span{0, forever}
	for member := range q.turns {
		w, ok := q.downs[member]
		if !ok {
			return 0, false
		}
		turns = span{max(turns.from, w.first), min(turns.to, w.last)}
		sure = span{max(sure.from, w.failed), min(sure.to, w.sent)}
	}
	return max(0, sure.to.Sub(sure.from)), turns.from <= turns.to
}

// lasts is how long reads cannot be had by now; 0 when they can.
func (q *silence) lasts(now drill.Offset, delta time.Duration) (d time.Duration, known bool) {
	if len(q.turns) == 0 {
		return 0, false
	}
	if _, proved := q.overlap(); !proved || !q.dead() {
		return 0, true
	}
	if !q.isUp {
		return time.Duration(now), true
	}
	return max(0, now.Sub(q.lastUp)-delta), true
}

// readOutage is how long nobody answered a read, of the slots from a moment on: at least as long as everyone is proved to
// have been down, at most from the last answered slot's turn to the next answer.
func readOutage(slots []slot, from drill.Offset) drill.Bounds {
	var total drill.Bounds
	q := newSilence()
	open := false
	for _, s := range slots {
		lastUp, both := q.lastUp, time.Duration(0)
		proved := false
		if open {
			both, proved = q.overlap()
		}
		q.take(s)
		switch {
		case s.Scheduled < from || s.state == unknown:
		case q.dead():
			open = true
		default:
			if open && proved {
				total.Lower += seconds(both)
				total.Upper += seconds(s.Done.Sub(lastUp))
			}
			open = false
		}
	}
	if both, proved := q.overlap(); open && proved {
		total.Lower += seconds(both)
		total.Upper = drill.Never()
	}
	return total
}
