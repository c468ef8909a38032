//go:build bench

package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// How a child process learns what it is.
const (
	roleVar   = "DRILL_BENCH_ROLE"
	configVar = "DRILL_BENCH_CONFIG"
)

// profileVar names a folder that CPU profiles of the children go to.
const profileVar = "DRILL_BENCH_PROFILE"

// ready is what a child says when its load has begun. A child goes on until its stdin ends, and then says what it found.
const ready = "ready"

// play is a child's whole life.
func play(role string, config []byte) error {
	roles := map[string]func([]byte) (any, error){
		"serve": serve, "http": takeHTTP, "closed": closedLoop, "ledger": takeLedger, "plain": takePlain, "spin": spin,
		"nothing": takeNothing, "readback": readBack,
	}
	if roles[role] == nil {
		return fmt.Errorf("there is no role %q", role)
	}
	found, err := roles[role](config)
	if err != nil {
		return fmt.Errorf("%s: %w", role, err)
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// say is a child's line to its parent.
func say(line string) { _, _ = os.Stdout.WriteString(line + "\n") }

// told waits until the parent wants the child to end.
func told() { _, _ = io.Copy(io.Discard, os.Stdin) }

// profiled does something, and writes a CPU profile of it where the developer wants one.
func profiled(do func()) {
	if path := os.Getenv(profileVar); path != "" {
		f, err := os.CreateTemp(path, "cpu-*.pprof")
		if err == nil && pprof.StartCPUProfile(f) == nil {
			defer f.Close()
			defer pprof.StopCPUProfile()
		}
	}
	do()
}

// child is this very binary, at work in a process of its own.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// place is where a child runs.
type place struct {
	core int // the only one that it may use, counted from 1; 0 any
	env  []string
}

// start runs a role and waits until its load has begun; it returns what the child said of itself in that line.
func start(t *testing.T, at place, role string, config any) (*child, string) {
	t.Helper()
	text, err := json.Marshal(config)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	args := []string{self}
	if at.core > 0 {
		args = []string{"taskset", "-c", fmt.Sprint(at.core - 1), self}
	}
	c := &child{t: t, cmd: exec.Command(args[0], args[1:]...)} //nolint:gosec // this binary
	c.cmd.Env = append(append(os.Environ(), roleVar+"="+role, configVar+"="+string(text)), at.env...)
	c.cmd.Stderr = os.Stderr
	c.in, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.out = bufio.NewReader(out)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() { c.in.Close(); _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	line, err := c.out.ReadString('\n')
	require.NoError(t, err, "%s ended early", role)
	require.True(t, strings.HasPrefix(line, ready), "%s said %q", role, line)
	return c, strings.TrimSpace(strings.TrimPrefix(line, ready))
}

// stop ends the child and reads what it found.
func (c *child) stop(found any) {
	c.t.Helper()
	c.in.Close()
	c.found(found)
}

// found waits for what the child found.
func (c *child) found(found any) {
	c.t.Helper()
	require.NoError(c.t, json.NewDecoder(c.out).Decode(found))
	require.NoError(c.t, c.cmd.Wait())
}

// processor is the processor time that a process has used so far in all of its threads, user and system: the kernel's
// own clock of it, read from outside, in nanoseconds.
func processor(t *testing.T, pid int) time.Duration {
	t.Helper()
	var ts unix.Timespec
	// The number of that clock, as clock_getcpuclockid(3) makes it.
	require.NoError(t, unix.ClockGettime(int32(^pid<<3|2), &ts), "the clock of process %d", pid) //nolint:gosec // small
	return time.Duration(ts.Nano())
}

// stretch is how long one measurement takes, and rounds how many there are of each side, in turn.
const (
	stretch = 6 * time.Second
	rounds  = 3
	settle  = time.Second // from the first operations to the measured stretch
)

// steady is the processor time of one operation, once the load is under way: what the process used in a stretch of it,
// by as many operations as the server counted meanwhile. Starting and stopping are no part of it.
func steady(t *testing.T, pid int, count func() int64) float64 {
	t.Helper()
	first := count()
	require.Eventually(t, func() bool { return count() >= first+10 }, time.Minute, 20*time.Millisecond, "the load does not begin")
	time.Sleep(settle)
	n, used := count(), processor(t, pid)
	time.Sleep(stretch)
	used, n = processor(t, pid)-used, count()-n
	require.Positive(t, n, "the server counted nothing")
	return float64(used) / float64(n)
}
