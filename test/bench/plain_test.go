//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// takePlain is the role of the least that a Go program can do to write the same rows at the same rate: one goroutine with
// a session and a ticker each. It schedules nothing, judges nothing and forgets every answer.
func takePlain(config []byte) (any, error) {
	var d database
	if err := json.Unmarshal(config, &d); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const sessions = 10
	var work sync.WaitGroup
	for i := range sessions {
		conn, err := pgconn.Connect(ctx, d.DSN)
		if err != nil {
			return nil, err
		}
		work.Go(func() {
			defer func() { _ = conn.Close(context.Background()) }()
			time.Sleep(time.Duration(i) * time.Second / time.Duration(d.Rate*d.Targets))
			tick := time.NewTicker(sessions * time.Second / time.Duration(d.Rate*d.Targets))
			defer tick.Stop()
			for seq := i * 1_000_000_000; ; seq++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				within, cancel := context.WithTimeout(ctx, 900*time.Millisecond)
				conn.ExecParams(within, `SELECT addr, recovering, timeline FROM failoverdrill.write_1($1, $2, $3)`,
					[][]byte{[]byte(d.Run), []byte("plain"), []byte(strconv.Itoa(seq))}, nil, nil, nil).Read()
				cancel()
			}
		})
	}
	say(ready)
	profiled(told)
	cancel()
	work.Wait()
	return nil, nil
}
