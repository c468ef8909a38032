package report

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"olympos.io/encoding/edn"

	"github.com/failoverdrill/drill/internal/drill"
)

// played is a recording of every sort of operation and outcome.
func played() drill.Recording {
	at := func(ms int) drill.Offset { return drill.Offset(time.Duration(ms) * time.Millisecond) }
	probe := func(name string, check drill.Check) drill.Event {
		return drill.Event{Type: drill.EventProbe, Probe: &drill.ProbeInfo{Name: name, Target: "orders", Class: drill.ClassPooled, Check: check}}
	}
	slot := int64(0)
	sample := func(probe string, from, to int, outcome drill.Outcome, op *drill.Op) drill.Sample {
		slot++
		return drill.Sample{Probe: probe, Class: drill.ClassPooled, Slot: slot, Scheduled: at(from), Sent: at(from), Done: at(to), Outcome: outcome, Op: op}
	}
	ok, fail, doubt := drill.OutcomeOK, drill.OutcomeFail, drill.OutcomeIndeterminate
	register := func(from, to int, outcome drill.Outcome, session int64, do drill.OpFunc, args, got []int64) drill.Sample {
		return sample("orders/register", from, to, outcome, &drill.Op{Func: do, Session: session, Key: 2, Args: args, Got: got})
	}
	sum := func(from, to int, outcome drill.Outcome, do drill.OpFunc, key int64, args, got []int64) drill.Sample {
		return sample("orders/sum", from, to, outcome, &drill.Op{Func: do, Session: 1, Key: key, Args: args, Got: got})
	}
	write := func(n int64, from, to int, outcome drill.Outcome) drill.Sample {
		s := sample("orders", from, to, outcome, nil)
		s.Slot, s.Write = n, true
		return s
	}
	samples := []drill.Sample{
		register(30, 35, ok, 1, drill.OpWrite, []int64{7}, nil), // out of order, as outcomes become known
		register(10, 12, ok, 1, drill.OpRead, nil, []int64{0}),
		register(31, 40, ok, 2, drill.OpRead, nil, []int64{7}),
		register(40, 900, doubt, 2, drill.OpCAS, []int64{7, 8}, nil),
		register(41, 45, ok, 1, drill.OpCAS, []int64{7, 9}, []int64{7}),
		register(45, 46, ok, 1, drill.OpCAS, []int64{7, 10}, []int64{9}),
		register(47, 48, fail, 1, drill.OpWrite, []int64{11}, nil),
		register(900, 900, ok, 2, drill.OpRead, nil, []int64{9}),
		register(901, 902, fail, 1, drill.OpRead, nil, nil),
		{Probe: "orders/register", Outcome: drill.OutcomeBlocked, Op: &drill.Op{Func: drill.OpRead}},
		sum(10, 11, ok, drill.OpTransfer, 0, []int64{1, 5}, nil),
		sum(12, 13, ok, drill.OpSum, 0, []int64{200}, []int64{95, 105}),
		sum(14, 900, doubt, drill.OpTransfer, 1, []int64{0, 3}, nil),
		sum(901, 902, fail, drill.OpSum, 0, []int64{200}, nil),
		write(0, 0, 5, ok), write(1, 4, 7, ok), write(2, 5, 905, doubt), write(3, 6, 8, fail), write(4, 8, 9, ok),
		{Probe: "orders", Slot: 5, Outcome: drill.OutcomeUnsent, Write: true},
	}
	back := &drill.ReadBack{Target: "orders", Primary: "b", Streams: map[string]map[string]drill.Numbers{"b": {"orders": drill.NumbersOf(0, 1, 2, 4)}}}
	return drill.Recording{Events: slices.Values([]drill.Event{
		probe("orders/register", drill.CheckRegister), probe("orders/sum", drill.CheckSum), probe("orders", ""),
		{Type: drill.EventSamples, Samples: samples}, {At: at(2000), Type: drill.EventReadBack, ReadBack: back}})}
}

func TestEDN(t *testing.T) {
	for _, name := range Histories() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, EDN(&b, played(), name))
			golden := filepath.Join("testdata", "history_"+name+".edn")
			if *update {
				require.NoError(t, os.WriteFile(golden, b.Bytes(), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), b.String())
			wellFormed(t, b.Bytes())
		})
	}
	assert.Equal(t, ErrNoHistory{HistoryBank}, EDN(&bytes.Buffer{}, drill.Recording{}, HistoryBank))
}

// wellFormed reads a history with a parser that is not ours, and holds it to what Jepsen asks of one.
func wellFormed(t *testing.T, history []byte) {
	t.Helper()
	d := edn.NewDecoder(bytes.NewReader(history))
	open := map[int64]string{} // what each process is doing
	gone := map[int64]bool{}
	last := int64(-1)
	n := int64(0)
	for line := range bytes.Lines(history) {
		assert.Equal(t, byte('\n'), line[len(line)-1])
		var op struct {
			Index   int64
			Type    edn.Keyword
			Process int64
			F       edn.Keyword
			Value   any
			Time    int64
		}
		require.NoError(t, d.Decode(&op))
		assert.Equal(t, n, op.Index)
		assert.GreaterOrEqual(t, op.Time, last)
		last = op.Time
		n++
		assert.False(t, gone[op.Process], "process %d goes on after it had been in doubt", op.Process)
		if op.Type == "invoke" {
			assert.Empty(t, open[op.Process], "process %d does two things at once", op.Process)
			open[op.Process] = string(op.F)
			continue
		}
		assert.Contains(t, []edn.Keyword{"ok", "fail", "info"}, op.Type)
		assert.Equal(t, open[op.Process], string(op.F), "it ends what it has begun")
		delete(open, op.Process)
		gone[op.Process] = op.Type == "info"
		if op.F == "txn" {
			for _, micro := range op.Value.([]any) {
				m := micro.([]any)
				assert.Len(t, m, 3)
				assert.Contains(t, []any{edn.Keyword("r"), edn.Keyword("w")}, m[0])
			}
		}
	}
	assert.Empty(t, open)
	assert.NotZero(t, n)
}
