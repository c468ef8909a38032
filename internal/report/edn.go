package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// The histories that EDN writes, each as a checker of elle-cli reads it.
const (
	HistoryRegister = "register" // --model rw-register: a write is [[:w key value]], a cas reads and writes in one transaction
	HistoryBank     = "bank"     // --model bank --allow-negative-balances
	HistorySet      = "set"      // --model set: the ledger's pooled stream, and what the primary held in the end
)

// Histories names them.
func Histories() []string { return []string{HistoryRegister, HistoryBank, HistorySet} }

// ErrNoHistory says that the run recorded nothing of the kind.
type ErrNoHistory struct{ History string }

// Error says so for people.
func (e ErrNoHistory) Error() string { return "the run recorded no history of the kind " + e.History }

// EDN writes one history of a run as Jepsen does: a map for each call and one for what became of it, a line each. A
// process whose operation is in doubt is heard of no more, and its client goes on as a new one.
func EDN(w io.Writer, rec drill.Recording, history string) error {
	ops := collect(rec, history)
	if len(ops) == 0 {
		return ErrNoHistory{history}
	}
	out := bufio.NewWriter(w)
	for i, e := range entries(ops) {
		fmt.Fprintf(out, "{:index %d, :type :%s, :process %d, :f :%s, :value %s, :time %d}\n", i, e.kind, e.process, e.f, e.value, int64(e.at))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	return nil
}

// operation is one call with its outcome.
type operation struct {
	from, to     drill.Offset
	session      int64 // 0: of nobody in particular
	f            string
	asked, found string // the value of the call, and of what became of it
	outcome      string // ok, fail or info
}

// collect gathers the operations of a history.
func collect(rec drill.Recording, history string) []operation {
	if rec.Events == nil {
		return nil
	}
	checks := map[string]drill.Check{}
	ledger := ""
	var ops []operation
	for e := range rec.Events {
		if p := e.Probe; p != nil {
			checks[p.Name] = p.Check
			if p.Check == "" && p.Target != "" && p.Class == drill.ClassPooled && ledger == "" {
				ledger = p.Name
			}
		}
		for _, s := range e.Samples {
			var op operation
			ok := s.Outcome == drill.OutcomeOK || s.Outcome == drill.OutcomeFail || s.Outcome == drill.OutcomeIndeterminate
			switch {
			case !ok:
			case history == HistorySet && s.Probe == ledger && s.Write:
				op = called(s)
				op.f, op.asked, op.found = "add", digits(s.Slot), digits(s.Slot)
				ops = append(ops, op)
			case history == HistoryRegister && checks[s.Probe] == drill.CheckRegister:
				if op, ok = register(s); ok {
					ops = append(ops, op)
				}
			case history == HistoryBank && checks[s.Probe] == drill.CheckSum:
				if op, ok = bank(s); ok {
					ops = append(ops, op)
				}
			}
		}
		if b := e.ReadBack; b != nil && history == HistorySet && ledger != "" {
			if held, ok := b.Streams[b.Primary][ledger]; ok {
				ops = append(ops, operation{from: e.At, to: e.At, f: "read", asked: "nil", found: elements(held), outcome: "ok"})
			}
		}
	}
	return ops
}

// called takes from a slot when it was and what became of it, in Jepsen's words.
func called(s drill.Sample) operation {
	op := operation{from: s.Sent, to: s.Done, outcome: "ok"}
	if s.Op != nil {
		op.session = s.Op.Session
	}
	switch s.Outcome {
	case drill.OutcomeFail:
		op.outcome = "fail"
	case drill.OutcomeIndeterminate:
		op.outcome = "info"
	}
	return op
}

// register is a transaction on one register. A cas that found another value than it expected has not taken place.
func register(s drill.Sample) (operation, bool) {
	op := called(s)
	op.f = "txn"
	if s.Op == nil {
		return op, false
	}
	key, args, got := digits(s.Op.Key), s.Op.Args, s.Op.Got
	switch {
	case s.Op.Func == drill.OpRead:
		op.asked = "[[:r " + key + " nil]]"
		if len(got) == 1 {
			op.found = "[[:r " + key + " " + held(got[0]) + "]]"
		}
	case s.Op.Func == drill.OpWrite && len(args) == 1:
		op.asked = "[[:w " + key + " " + digits(args[0]) + "]]"
		op.found = op.asked
	case s.Op.Func == drill.OpCAS && len(args) == 2:
		write := " [:w " + key + " " + digits(args[1]) + "]]"
		op.asked = "[[:r " + key + " nil]" + write
		op.found = "[[:r " + key + " " + held(args[0]) + "]" + write
		if op.outcome == "ok" && (len(got) != 1 || got[0] != args[0]) {
			op.outcome = "fail"
		}
	default:
		return op, false
	}
	if op.outcome != "ok" {
		op.found = op.asked
	}
	return op, op.found != ""
}

// bank is a transfer, or a read of all accounts.
func bank(s drill.Sample) (operation, bool) {
	op := called(s)
	switch {
	case s.Op == nil:
		return op, false
	case s.Op.Func == drill.OpTransfer && len(s.Op.Args) == 2:
		op.f = "transfer"
		op.asked = "{:from " + digits(s.Op.Key) + ", :to " + digits(s.Op.Args[0]) + ", :amount " + digits(s.Op.Args[1]) + "}"
		op.found = op.asked
	case s.Op.Func == drill.OpSum:
		op.f, op.asked, op.found = "read", "nil", "nil"
		if op.outcome == "ok" {
			var balances []string
			for id, balance := range s.Op.Got {
				balances = append(balances, digits(int64(id))+" "+digits(balance))
			}
			op.found = "{" + strings.Join(balances, ", ") + "}"
		}
	default:
		return op, false
	}
	return op, true
}

func digits(n int64) string { return strconv.FormatInt(n, 10) }

// held is a register's value. What it holds before the first write is nil to Elle.
func held(v int64) string {
	if v == 0 {
		return "nil"
	}
	return digits(v)
}

func elements(held drill.Numbers) string {
	var all []string
	for _, r := range held.Ranges {
		for n := r.First; n <= r.Last; n++ {
			all = append(all, digits(n))
		}
	}
	return "#{" + strings.Join(all, " ") + "}"
}

// entry is a call, or what became of one.
type entry struct {
	at      drill.Offset
	kind    string
	process int
	f       string
	value   string
}

// entries puts calls and outcomes in the order of time, and gives each client its processes: no process ever does two
// things at once.
func entries(ops []operation) []entry {
	slices.SortStableFunc(ops, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.session, b.session))
	})
	type process struct {
		number int
		until  drill.Offset
	}
	of := map[int64]process{} // of each session that has one
	var free []process        // of those without a session
	made := 0
	var all []entry
	for _, op := range ops {
		to := max(op.to, op.from+1)
		p, ok := of[op.session]
		if op.session == 0 {
			i := slices.IndexFunc(free, func(p process) bool { return p.until <= op.from })
			if ok = i >= 0; ok {
				p = free[i]
				free = slices.Delete(free, i, i+1)
			}
		}
		if !ok || p.until > op.from {
			p = process{number: made}
			made++
		}
		p.until = to
		switch {
		case op.outcome == "info":
			delete(of, op.session)
		case op.session == 0:
			free = append(free, p)
		default:
			of[op.session] = p
		}
		all = append(all, entry{op.from, "invoke", p.number, op.f, op.asked}, entry{to, op.outcome, p.number, op.f, op.found})
	}
	// What is over is over before what begins at the same moment.
	slices.SortStableFunc(all, func(a, b entry) int {
		first := func(e entry) int {
			if e.kind == "invoke" {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(first(a), first(b)))
	})
	return all
}
