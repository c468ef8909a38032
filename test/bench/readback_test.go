//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/targets"
	"github.com/failoverdrill/drill/test/postgres"
)

// readRows is how many rows are read back, from each of two members.
const readRows = 10_000_000

// memoryGoal is what reading them may add to the process.
const memoryGoal = 256 << 20

// reread is what a child found that read a ledger back.
type reread struct {
	Took   time.Duration
	Before int64 // bytes resident when it began
	Peak   int64
	Rows   int // on all members
}

// readBack is the role that reads a ledger back, whenever it is sent a line. It does not remove the ledger.
func readBack(config []byte) (any, error) {
	var d database
	if err := json.Unmarshal(config, &d); err != nil {
		return nil, err
	}
	all, err := d.open(context.Background())
	if err != nil {
		return nil, err
	}
	say(ready)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		found, err := readOnce(all[0].(targets.Replicated))
		if err != nil {
			return nil, err
		}
		if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func readOnce(target targets.Replicated) (found reread, err error) {
	debug.FreeOSMemory()
	// From here on the kernel's high-water mark is that of reading back.
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		return found, err
	}
	if found.Before, err = status("VmRSS"); err != nil {
		return found, err
	}
	began := time.Now()
	rb, err := target.ReadBack(context.Background())
	found.Took = time.Since(began)
	if err != nil {
		return found, err
	}
	if !rb.Complete {
		return found, fmt.Errorf("the read-back is not complete: %d members", len(rb.Streams))
	}
	for _, streams := range rb.Streams {
		for _, numbers := range streams {
			found.Rows += numbers.Count()
		}
	}
	found.Peak, err = status("VmHWM")
	return found, err
}

// status reads a size from /proc/self/status.
func status(name string) (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("the kernel says nothing of %s", name)
}

// TestReadBack reads a long ledger back from a primary and its standby, and has psql copy the same rows out of both.
func TestReadBack(t *testing.T) {
	p, d := newPair(t)
	newLedger(t, d)
	d.Run = "long"
	fill(t, p, d)
	load, _ := start(t, place{}, "readback", d)
	var found []pair
	var peak int64
	for range 2 {
		_, err := io.WriteString(load.in, "again\n")
		require.NoError(t, err)
		var back reread
		line, err := load.out.ReadBytes('\n')
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(line, &back))
		require.GreaterOrEqual(t, back.Rows, 2*readRows, "rows that were read back")

		began := time.Now()
		for _, s := range []*postgres.Server{p.First, p.Second} { // drill reads the primary first, too
			copyOut(t, s, d.Run)
		}
		copied := time.Since(began)
		t.Logf("read back in %v, from %s to %s resident; psql in %v", back.Took, mebibytes(back.Before), mebibytes(back.Peak), copied)
		found = append(found, pair{back.Took.Seconds(), copied.Seconds()})
		peak = max(peak, back.Peak-back.Before)
	}
	load.stop(new(any))
	drill, psql := columns(found)
	results.add(row{fmt.Sprintf("read-back of 2 x %d M rows, time", readRows/1_000_000), fmt.Sprintf("%.1f s", median(drill)),
		fmt.Sprintf("psql COPY TO STDOUT %.1f s", median(psql)), spread(found), ""})
	results.add(row{fmt.Sprintf("read-back of 2 x %d M rows, memory", readRows/1_000_000), mebibytes(peak) + " above the start", "", "",
		met("<= 256 MiB", peak <= memoryGoal)})
}

// fill enters the rows as if drill had written them, and waits until the standby shows them.
func fill(t *testing.T, p *postgres.Pair, d database) {
	t.Helper()
	began := time.Now()
	defer func() { t.Logf("filled in %v", time.Since(began)) }()
	conn, err := pgconn.Connect(t.Context(), d.DSN)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(t.Context(), fmt.Sprintf(
		`INSERT INTO failoverdrill.ledger (run, stream, seq) SELECT '%s', 'orders-0', n FROM generate_series(1, %d) n ON CONFLICT DO NOTHING`,
		d.Run, readRows)).ReadAll()
	require.NoError(t, err)
	head := p.First.Query(postgres.Database, "SELECT pg_current_wal_lsn()")[0][0]
	require.Eventually(t, func() bool {
		return p.Second.Query(postgres.Database, "SELECT pg_last_wal_replay_lsn() >= '"+head+"'")[0][0] == "t"
	}, 5*time.Minute, 100*time.Millisecond, "the standby does not show the rows")
}

// copyOut has psql write the same rows out, into a pipe that is read.
func copyOut(t *testing.T, s *postgres.Server, run string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "psql"), "-X", "-h", s.IP, "-p", strconv.Itoa(s.Port), "-U", postgres.User, "-d", postgres.Database, //nolint:gosec // fixed
		"-c", "COPY (SELECT stream, seq FROM failoverdrill.ledger WHERE run = '"+run+"' AND stream <> '') TO STDOUT")
	cmd.Env = []string{"PGPASSWORD=" + postgres.Password, "PGSSLMODE=disable", "PATH=/usr/bin:/bin"}
	var lines counter
	cmd.Stdout, cmd.Stderr = &lines, os.Stderr
	require.NoError(t, cmd.Run())
	require.GreaterOrEqual(t, int(lines), readRows)
}

// counter counts lines.
type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(bytes.Count(b, []byte{'\n'}))
	return len(b), nil
}
