package measure

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/failoverdrill/drill/internal/drill"
)

// registerLimit is how long the search for an order may take. What is not decided by then is unknown.
const registerLimit = 10 * time.Second

// registerOp is one operation on one register whose effect is known. Every write has a value of its own.
type registerOp struct {
	call, ret drill.Offset
	read      bool // it found a value
	found     int64
	write     bool // it left a value
	value     int64
	session   int64
	by        string
}

// inDoubt is a write of which nobody knows whether it happened.
type inDoubt struct {
	registerOp
	key int64
}

// registers are the histories of all registers, ready to be searched.
type registers struct {
	keys       map[int64][]registerOp
	operations int // that are in a history
}

// gather takes what is known of every operation: what is proved not to have happened is left out, and so is a read that
// was not answered.
//
// A write that is in doubt is left out when nobody read its value, because it may have happened after everything else.
// When somebody did, it happened before that answer: so it ends there. Both keep exactly the orders that are possible,
// since no value is written twice; and without them a search with some 25 writes in doubt does not end.
func gather(slots []slot) registers {
	r := registers{keys: map[int64][]registerOp{}}
	var doubts []inDoubt
	for _, s := range slots {
		if !sent(s) || s.Op == nil {
			continue
		}
		op := registerOp{call: s.Sent, ret: s.Done, session: s.Op.Session, by: someone(s)}
		args, got := s.Op.Args, s.Op.Got
		switch {
		case s.Op.Func == drill.OpRead && len(got) == 1:
			op.read, op.found = true, got[0]
		case s.Op.Func == drill.OpWrite && len(args) == 1:
			op.write, op.value = true, args[0]
		case s.Op.Func == drill.OpCAS && len(args) == 2 && (len(got) == 1 || s.Outcome == drill.OutcomeIndeterminate):
			op.read, op.found = true, args[0]
			if op.write, op.value = true, args[1]; len(got) == 1 && got[0] != args[0] {
				op.write, op.found = false, got[0]
			}
		default:
			continue
		}
		switch s.Outcome {
		case drill.OutcomeOK:
			r.keys[s.Op.Key] = append(r.keys[s.Op.Key], op)
		case drill.OutcomeIndeterminate:
			if op.write {
				doubts = append(doubts, inDoubt{op, s.Op.Key})
			}
		default: // nothing happened
		}
	}
	r.resolve(doubts)
	for key, ops := range r.keys {
		slices.SortStableFunc(ops, func(a, b registerOp) int {
			return cmp.Or(cmp.Compare(a.call, b.call), cmp.Compare(a.ret, b.ret), cmp.Compare(a.session, b.session))
		})
		r.keys[key] = ops
		r.operations += len(ops)
	}
	return r
}

// resolve decides the writes in doubt: a value that was found was there before the answer that found it. A cas in doubt
// whose value was found has found its own expected value in turn.
func (r *registers) resolve(doubts []inDoubt) {
	type cell struct{ key, value int64 }
	writer := map[cell]int{}
	for i, d := range doubts {
		writer[cell{d.key, d.value}] = i
	}
	ends := make([]drill.Offset, len(doubts))
	var queue []int
	found := func(key, value int64, ret drill.Offset) {
		i, ok := writer[cell{key, value}]
		if ok && (ends[i] == 0 || ret < ends[i]) {
			ends[i] = ret
			queue = append(queue, i)
		}
	}
	for key, ops := range r.keys {
		for _, op := range ops {
			if op.read {
				found(key, op.found, op.ret)
			}
		}
	}
	for len(queue) > 0 {
		d := doubts[queue[0]]
		if d.read {
			found(d.key, d.found, ends[queue[0]])
		}
		queue = queue[1:]
	}
	for i, d := range doubts {
		if ends[i] > 0 {
			d.ret = max(d.call, ends[i])
			r.keys[d.key] = append(r.keys[d.key], d.registerOp)
		}
	}
}

// pieces cuts a history after every write that overlaps with no other operation: whatever the order before it, from
// there on the register holds its value. So each piece can be searched by itself, and each that has no order is a
// violation of its own.
func pieces(ops []registerOp) [][]registerOp {
	var all [][]registerOp
	begin := 0
	var busy drill.Offset // when the last operation so far returned
	for i, op := range ops {
		alone := (i == 0 || op.call > busy) && (i+1 == len(ops) || ops[i+1].call > op.ret)
		busy = max(busy, op.ret)
		if alone && op.write {
			all = append(all, ops[begin:i+1])
			begin = i + 1
		}
	}
	if begin < len(ops) {
		all = append(all, ops[begin:])
	}
	return all
}

// check searches an order for every piece. ok is false when that took too long.
func (r registers) check(limit time.Duration) (broken violations, ok bool) {
	deadline := time.Now().Add(limit)
	ok = true
	for _, key := range sortedNumbers(r.keys) {
		holds := int64(0)
		for _, piece := range pieces(r.keys[key]) {
			left := time.Until(deadline)
			if left <= 0 {
				return broken, false
			}
			switch ordered(holds, piece, left) {
			case porcupine.Illegal:
				culprit := blame(holds, piece, time.Until(deadline))
				text := fmt.Sprintf("No order of the operations on register %d explains what they were answered", key)
				if culprit.read {
					text += fmt.Sprintf(": session %d found %d on %s", culprit.session, culprit.found, culprit.by)
				}
				broken.add(culprit.ret, text)
			case porcupine.Unknown:
				ok = false
			default:
			}
			holds = piece[len(piece)-1].value // of a write that overlaps with nothing, or there is no next piece
		}
	}
	return broken, ok
}

// model is a register that holds a value.
func model(holds int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return holds },
		Step: func(state, input, _ any) (bool, any) {
			op := input.(*registerOp)
			if op.read && op.found != state.(int64) {
				return false, state
			}
			if op.write {
				return true, op.value
			}
			return true, state
		},
		Hash: func(state any) uint64 { return uint64(state.(int64)) }, //nolint:gosec // any number will do
	}
}

// ordered searches an order of the operations that explains what each of them found, beginning with a value.
func ordered(holds int64, ops []registerOp, limit time.Duration) porcupine.CheckResult {
	if len(ops) == 1 && (!ops[0].read || ops[0].found == holds) {
		return porcupine.Ok
	}
	history := make([]porcupine.Operation, len(ops))
	for i := range ops {
		history[i] = porcupine.Operation{Input: &ops[i], Call: int64(ops[i].call), Return: int64(ops[i].ret)}
	}
	return porcupine.CheckOperationsTimeout(model(holds), history, limit)
}

// blame finds the operation whose answer first made an order impossible.
func blame(holds int64, ops []registerOp, limit time.Duration) registerOp {
	byReturn := slices.Clone(ops)
	slices.SortStableFunc(byReturn, func(a, b registerOp) int { return cmp.Compare(a.ret, b.ret) })
	deadline := time.Now().Add(limit)
	// Orders exist for the operations answered before some answer, and for no more: halve. Writes still under way then
	// may have happened, so all of them are kept.
	low, high := 0, len(byReturn)-1
	for low < high && time.Until(deadline) > 0 {
		mid := (low + high) / 2
		some := slices.Clone(byReturn[:mid+1])
		for _, op := range byReturn[mid+1:] {
			if op.write && !op.read && op.call < byReturn[mid].ret {
				some = append(some, op)
			}
		}
		if ordered(holds, some, time.Until(deadline)) == porcupine.Illegal {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return byReturn[high]
}

// register follows registers while a run goes on. It sees only what needs no search: a value that was found although a
// write that came after it had been acknowledged before.
type register struct {
	operations int
	reads      int
	keys       map[int64]*cell
	stale      violations
}

// cell is what is known of one register.
type cell struct {
	ends  map[int64]drill.Offset // by when a value was written
	acked []acked                // by return
}

// acked is an acknowledged write, and the latest call of it and those before it.
type acked struct{ ret, call drill.Offset }

// keepWrites is how many writes of a register are remembered while a run goes on.
const keepWrites = 1 << 12

func newRegister() *register { return &register{keys: map[int64]*cell{}} }

func (r *register) take(s slot) {
	if s.Outcome != drill.OutcomeOK || s.Op == nil {
		return
	}
	key := s.Op.Key
	c := r.keys[key]
	if c == nil {
		c = &cell{ends: map[int64]drill.Offset{0: 0}}
		r.keys[key] = c
	}
	for _, op := range gather([]slot{s}).keys[key] {
		r.operations++
		if op.read {
			r.reads++
			if c.overwritten(op) {
				r.stale.add(op.ret, fmt.Sprintf("Session %d found %d in register %d on %s, after that had been overwritten", op.session, op.found, key, op.by))
				// What was lost is lost once: go on with what there is.
				c.acked, c.ends[op.found] = nil, op.ret
			}
			if end, ok := c.ends[op.found]; !ok || op.ret < end {
				c.ends[op.found] = op.ret
			}
		}
		if op.write {
			c.write(op)
		}
	}
}

// overwritten reports whether a write that began after the found one had ended was acknowledged before the question.
func (c *cell) overwritten(op registerOp) bool {
	end, ok := c.ends[op.found]
	if !ok {
		return false
	}
	i, _ := slices.BinarySearchFunc(c.acked, op.call, func(a acked, t drill.Offset) int { return cmp.Compare(a.ret, t) })
	return i > 0 && c.acked[i-1].call > end
}

func (c *cell) write(op registerOp) {
	if end, ok := c.ends[op.value]; !ok || op.ret < end {
		c.ends[op.value] = op.ret
	}
	i, _ := slices.BinarySearchFunc(c.acked, op.ret, func(a acked, t drill.Offset) int { return cmp.Compare(a.ret, t) })
	latest := op.call
	if i > 0 {
		latest = max(latest, c.acked[i-1].call)
	}
	c.acked = slices.Insert(c.acked, i, acked{op.ret, latest})
	for k := i + 1; k < len(c.acked); k++ {
		c.acked[k].call = max(c.acked[k].call, latest)
	}
	if len(c.acked) < 2*keepWrites {
		return
	}
	c.acked = append([]acked{}, c.acked[keepWrites:]...)
	for value, end := range c.ends {
		if end < c.acked[0].ret {
			delete(c.ends, value)
		}
	}
}

func sortedNumbers[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
