package cli

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/report"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/internal/schedule"
)

// fullPipe is a pipe that nobody reads, full to the brim.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	raw, err := w.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		for chunk := make([]byte, 4096); len(chunk) > 0; {
			if _, err := syscall.Write(int(fd), chunk); err != nil {
				chunk = chunk[:len(chunk)/2]
			}
		}
	}))
	return w
}

// TestAStoppedStderrBlocksNoLog: a log line is written within a revert.
func TestAStoppedStderrBlocksNoLog(t *testing.T) {
	pipe := fullPipe(t)
	log := logger(&Env{Stderr: pipe})
	began := time.Now()
	for range 20_000 {
		log.Warn("revert failed, trying again", zap.String("fault", strings.Repeat("x", 100)), zap.Error(errors.New("no")))
	}
	require.NoError(t, log.Sync())
	require.Less(t, time.Since(began), logTimeout+3*time.Second)
}

// slowWriter takes nothing until it is let go.
type slowWriter struct {
	gate chan struct{}
	mu   sync.Mutex
	bytes.Buffer
}

func (w *slowWriter) Write(b []byte) (int, error) {
	<-w.gate
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Buffer.Write(b)
}

// TestThePumpCountsWhatItDrops and keeps the order.
func TestThePumpCountsWhatItDrops(t *testing.T) {
	w := &slowWriter{gate: make(chan struct{})}
	p := &pump{to: w}
	line := []byte(strings.Repeat("y", 1023) + "\n")
	for range 2000 {
		_, err := p.Write(line)
		require.NoError(t, err)
	}
	close(w.gate)
	require.NoError(t, p.Sync())
	require.Equal(t, maxPumped/1024, strings.Count(w.String(), "yy\n"))
	dropped := 0 // said in one line, or in two when the pump's goroutine began late
	for _, said := range regexp.MustCompile(`"lines":(\d+)`).FindAllStringSubmatch(w.String(), -1) {
		n, err := strconv.Atoi(said[1])
		require.NoError(t, err)
		dropped += n
	}
	require.Equal(t, 976, dropped)
}

// TestCtrlCComesBeforeItsWords: with a stopped terminal, the first Ctrl-C still ends the run, and the second one leaves.
func TestCtrlCComesBeforeItsWords(t *testing.T) {
	pipe := fullPipe(t)
	var signals chan<- os.Signal
	left := make(chan int, 1)
	env := &Env{Stderr: pipe, Notify: func(c chan<- os.Signal) { signals = c }, Exit: func(code int) { left <- code }}
	ctx, stop := env.interruptible(t.Context(), func() { env.status("Ending") }, func() { env.status("Left") })
	defer stop()
	began := time.Now()
	signals <- os.Interrupt
	<-ctx.Done()
	require.Less(t, time.Since(began), 200*time.Millisecond)
	signals <- os.Interrupt
	require.Equal(t, exitInterrupted, <-left)
	require.Less(t, time.Since(began), 2*sayTimeout+time.Second)
}

// hostile answers as a database might that wants to steer the operator's terminal and to forge a line.
const hostile = "\x1b]0;owned\x07\r\n    9.9s  Verdict: PASSED \u202egnp"

// TestT20NothingSteersTheTerminal: neither the events of a run, nor others' records, nor an error.
func TestT20NothingSteersTheTerminal(t *testing.T) {
	var shown bytes.Buffer
	env := &Env{Stdout: &shown, Stderr: &shown, Getenv: func(string) string { return "" }}
	v := newView(env, "text")
	for _, e := range []drill.Event{
		{Type: drill.EventFinding, Finding: &drill.Finding{Severity: "warning", Text: hostile}},
		{Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "kill", Name: "x", By: hostile, Residue: []string{hostile}}},
		{Type: drill.EventRule, Rule: &drill.RuleChange{Kind: drill.RuleAbort, Name: "a", Truth: drill.True, Fired: true, Message: hostile}},
		{Type: drill.EventPlan, Plans: []drill.FaultPlan{{Sentence: hostile, Undo: hostile}}},
		{Type: drill.EventViews, Views: &drill.Views{Member: []string{hostile}}},
		{Type: drill.EventStep, Text: hostile},
	} {
		v.Observe(e)
	}
	env.status("Run %s: %v", "r", errors.New(hostile))
	list := &scheduleList{Problems: []schedule.SourceProblem{{Source: hostile, Text: hostile}}, Schedules: []listedSchedule{{Entry: schedule.Entry{
		Drill: hostile, Requester: hostile, Problem: hostile, Newest: &schedule.Miss{Reason: hostile}, Schedule: drill.Schedule{Cron: hostile}}}}}
	require.NoError(t, list.show(&shown, "text", time.Now()))
	require.NoError(t, report.Text(&shown, drill.Report{FormatVersion: drill.FormatVersion, Run: drill.RunReport{Verdict: drill.VerdictError,
		Reasons: []drill.Reason{{Text: hostile}}}}, report.Style{}))
	shown.WriteString(errorText(errors.New(hostile)))
	for _, bad := range []string{"\x1b", "\x07", "\r", "\u202e", "\n    9.9s"} {
		require.NotContains(t, strings.TrimPrefix(shown.String(), "\n"), bad)
	}
}

// TestAStuckReaderKeepsNoProcess: trials of this process go on, and end.
func TestAStuckReaderKeepsNoProcess(t *testing.T) {
	pipe := fullPipe(t)
	env := &Env{Stdout: pipe, Stderr: pipe}
	v := runner.NewOutbox(&jsonView{w: pipe})
	name := "r"
	tr := &trials{env: env, outbox: v}
	tr.name.Store(&name)
	v.Observe(drill.Event{Type: drill.EventStep})
	require.NotZero(t, v.Flush(10*time.Millisecond))
	began := time.Now()
	tr.isStuck("r")
	tr.status("Trial %d", 2)
	require.NoError(t, tr.print(func() error { _, err := pipe.Write([]byte("x")); return err }))
	require.Less(t, time.Since(began), 2*sayTimeout)
}
