package targets

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/failoverdrill/drill/internal/drill"
)

// registers is how many of them there are. Few, so that clients meet on each.
const registers = 3

func registerSQL() string {
	return `IF to_regclass('failoverdrill.registers') IS NULL THEN
  CREATE TABLE failoverdrill.registers (run text, key bigint, value bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, key));
END IF;
` + checkFunction("register_read_1", "text, bigint", "a_run text, a_key bigint", ", OUT holds bigint",
		`SELECT value INTO holds FROM failoverdrill.registers WHERE run = a_run AND key = a_key;`) + "\n" +
		checkFunction("register_write_1", "text, bigint, bigint", "a_run text, a_key bigint, a_value bigint", "", `IF NOT recovering THEN
      UPDATE failoverdrill.registers SET value = a_value WHERE run = a_run AND key = a_key;
    END IF;`) + "\n" +
		checkFunction("register_cas_1", "text, bigint, bigint, bigint", "a_run text, a_key bigint, a_expected bigint, a_value bigint", ", OUT holds bigint", `IF NOT recovering THEN
      SELECT value INTO holds FROM failoverdrill.registers WHERE run = a_run AND key = a_key FOR UPDATE;
      IF holds = a_expected THEN
        UPDATE failoverdrill.registers SET value = a_value WHERE run = a_run AND key = a_key;
      END IF;
    END IF;`)
}

// registerProbe is the probe whose clients read, write, and compare-and-set a few registers through the writable
// Service. No value is written twice: it is the slot's number, counted from 1, and registers begin with 0.
type registerProbe struct {
	t   *postgreSQL
	at  *place
	ids atomic.Int64

	mu   sync.Mutex
	seen [registers]int64 // the last value of each that any client was told of
}

func newRegisters(t *postgreSQL) *registerProbe {
	r := &registerProbe{t: t}
	r.at = t.writable(registerClients, &r.ids)
	return r
}

func (r *registerProbe) places() []*place { return []*place{r.at} }

// Info describes the probe.
func (r *registerProbe) Info() drill.ProbeInfo {
	return r.t.checkInfo(drill.CheckRegister, registerInterval, registerClients)
}

// Sample does one operation: half of them read. Of the registers no two are at the same point, so that after any pause
// some register is read before it is written: what was lost meanwhile shows.
func (r *registerProbe) Sample(ctx context.Context, s *drill.Sample) {
	key, value := s.Slot%registers, s.Slot+1
	op := &drill.Op{Key: key}
	s.Op = op
	function, args := "register_read_1", []int64{key}
	switch (s.Slot/registers + key) % 4 {
	case 1:
		op.Func, op.Args = drill.OpWrite, []int64{value}
		function, args = "register_write_1", []int64{key, value}
	case 3:
		op.Func, op.Args = drill.OpCAS, []int64{r.last(key), value}
		function, args = "register_cas_1", []int64{key, op.Args[0], value}
	default:
		op.Func = drill.OpRead
	}
	r.at.as(ctx, s, func(c *client) error {
		said, values, err := r.t.tables.call(ctx, c.sess, function, args...)
		if err != nil {
			return err
		}
		r.t.answered(s, said)
		confirm(s, said, c.sess) // a replica's answer is no register's: how old its reads may be is judged by staleness
		if s.Outcome != drill.OutcomeOK {
			return nil
		}
		found := value
		if op.Func != drill.OpWrite {
			if found, err = strconv.ParseInt(string(values[0]), 10, 64); err != nil {
				return fmt.Errorf("read a register: %w", err)
			}
			op.Got = []int64{found}
		}
		if op.Func == drill.OpCAS && found == op.Args[0] {
			found = value
		}
		r.learn(key, found)
		return nil
	})
	if op.Func == drill.OpRead && s.Outcome == drill.OutcomeIndeterminate {
		s.Outcome = drill.OutcomeFail // a read that is not answered has done nothing
	}
}

func (r *registerProbe) last(key int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[key]
}

func (r *registerProbe) learn(key, value int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[key] = value
}
