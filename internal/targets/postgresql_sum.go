package targets

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/failoverdrill/drill/internal/drill"
)

// The accounts of the sum, and what each begins with.
const (
	accounts       = 5
	accountBalance = 100
)

func sumSQL() string {
	return `IF to_regclass('failoverdrill.accounts') IS NULL THEN
  CREATE TABLE failoverdrill.accounts (run text, id bigint, balance bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, id));
END IF;
` + checkFunction("transfer_1", "text, bigint, bigint, bigint", "a_run text, a_from bigint, a_to bigint, a_amount bigint", "", `IF NOT recovering THEN
      PERFORM FROM failoverdrill.accounts WHERE run = a_run AND id IN (a_from, a_to) ORDER BY id FOR UPDATE;
      UPDATE failoverdrill.accounts SET balance = balance - a_amount WHERE run = a_run AND id = a_from;
      UPDATE failoverdrill.accounts SET balance = balance + a_amount WHERE run = a_run AND id = a_to;
    END IF;`) + "\n" + checkFunction("accounts_1", "text", "a_run text", ", OUT balances bigint[]", `balances := ARRAY(
      SELECT balance FROM failoverdrill.accounts WHERE run = a_run ORDER BY id);`)
}

// sum is the probe that moves amounts between accounts through the writable Service, each in one transaction of several
// statements, and reads all accounts at each member in turn.
type sum struct {
	t       *postgreSQL
	writes  *place
	readers []*place
	ids     atomic.Int64
}

func newSum(t *postgreSQL) *sum {
	x := &sum{t: t}
	x.writes, x.readers = t.writable(sumClients, &x.ids), t.everyMember(sumReaders, &x.ids)
	return x
}

func (x *sum) places() []*place { return append([]*place{x.writes}, x.readers...) }

// Info describes the probe.
func (x *sum) Info() drill.ProbeInfo {
	return x.t.checkInfo(drill.CheckSum, sumInterval, sumClients+sumReaders*len(x.readers))
}

// Sample moves an amount, or reads what there is.
func (x *sum) Sample(ctx context.Context, s *drill.Sample) {
	turn := s.Slot / 2
	if s.Slot%2 == 1 {
		x.read(ctx, s, x.readers[turn%int64(len(x.readers))])
		return
	}
	from := turn % accounts
	to, amount := (from+1+turn/accounts%(accounts-1))%accounts, 1+turn%7
	s.Op = &drill.Op{Func: drill.OpTransfer, Key: from, Args: []int64{to, amount}}
	x.writes.as(ctx, s, func(c *client) error {
		said, _, err := x.t.tables.call(ctx, c.sess, "transfer_1", from, to, amount)
		if err != nil {
			return err
		}
		x.t.answered(s, said)
		confirm(s, said, c.sess)
		return nil
	})
}

func (x *sum) read(ctx context.Context, s *drill.Sample, at *place) {
	s.Op = &drill.Op{Func: drill.OpSum, Args: []int64{accounts * accountBalance}}
	at.as(ctx, s, func(c *client) error {
		said, values, err := x.t.tables.call(ctx, c.sess, "accounts_1")
		if err != nil {
			return err
		}
		balances, err := sequences(string(values[0]))
		if err != nil {
			return fmt.Errorf("read the accounts: %w", err)
		}
		x.t.answered(s, said)
		s.Op.Got = balances
		return nil
	})
	if s.Outcome == drill.OutcomeIndeterminate {
		s.Outcome = drill.OutcomeFail // a read that is not answered has done nothing
	}
}
