//go:build truth

package truth

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/failoverdrill/drill/internal/drill"
)

// The script of a starved prober: one outage of each sort.
const (
	starvedAfter = 5 * time.Second // the outage begins, after the baseline's begin
	starvedFor   = 4 * time.Second
	starvedWatch = 6 * time.Second
	stop         = 3 * time.Second
)

// TestAStarvedProberPublishesNoNarrowWrongNumber stops one prober for 3 s in each phase of an outage, and lets two others
// have 5 % of a processor. Each bound is widened, or the run is invalid.
func TestAStarvedProberPublishesNoNarrowWrongNumber(t *testing.T) {
	s := newStage(t)
	s.usual = 12 // so that a stop often falls into the wait for an answer
	lanes := s.lanes(t, len(sorts), 0)
	for _, l := range lanes {
		_, err := s.heal(l, slow)
		require.NoError(t, err)
	}
	p := probesOf(lanes)
	p.For = starvedAfter + starvedFor + starvedWatch + 2*time.Second
	stopped := map[string]time.Duration{ // after the outage's begin
		"before it":         -stop - 500*time.Millisecond,
		"across its begin":  -stop / 2,
		"inside it":         500 * time.Millisecond,
		"across its end":    starvedFor - stop/2,
		"right after it":    starvedFor + 100*time.Millisecond,
		"later":             starvedFor + 1500*time.Millisecond,
		"to its very end":   starvedFor - stop,
		"from its very end": starvedFor,
	}
	s.calm = true
	probers := map[string]*actor{}
	for name := range stopped {
		probers[name] = s.play(t, roleProber, p)
	}
	s.calm = false // what goes first is under no quota
	probers["quota of 5 %"] = s.play(t, roleProber, p)
	quota(t, probers["quota of 5 %"].cmd.Process.Pid)
	probers["stopped for 95 % of the time"] = s.play(t, roleProber, p)
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	go duty(probers["stopped for 95 % of the time"].cmd.Process.Pid, end)

	time.Sleep(time.Second)
	begin := kernelNow()
	for name, after := range stopped {
		pid := probers[name].cmd.Process.Pid
		time.AfterFunc(starvedAfter+after, func() {
			_ = unix.Kill(pid, unix.SIGSTOP)
			time.AfterFunc(stop, func() { _ = unix.Kill(pid, unix.SIGCONT) })
		})
	}
	time.Sleep(starvedAfter)
	outages := make([]happened, len(lanes))
	for i, l := range lanes {
		var err error
		outages[i] = happened{planned: planned{sorts[i], starvedFor}, lane: i, steady: begin}
		outages[i].broke, err = s.break_(l, sorts[i])
		require.NoError(t, err)
	}
	time.Sleep(starvedFor)
	for i, l := range lanes {
		var err error
		outages[i].healed, err = s.heal(l, sorts[i])
		require.NoError(t, err)
	}
	time.Sleep(starvedWatch)

	for name, prober := range probers {
		got := home[seen](t, prober)
		widest, invalid, runs := time.Duration(0), 0, 0
		for _, h := range outages {
			for _, class := range []drill.Class{drill.ClassPooled, drill.ClassFresh} {
				w := got.cutOut(h, class)
				w.watch = starvedWatch
				w.samples, w.stalls = got.during(w.info.Name, w.steady, w.until())
				v := w.judge()
				runs++
				if v.report.Run.Verdict == drill.VerdictInvalid {
					invalid++
				}
				_, held := stopped[name]
				// A short stop may leave the run valid, so its numbers must hold whatever the verdict; who has 5 % of a
				// processor all the time can publish anything that is called invalid.
				if len(v.wrong) > 0 && (held || v.report.Run.Verdict != drill.VerdictInvalid) {
					t.Errorf("%s: %v", name, v)
				}
				if v.report.Recovery != nil {
					widest = max(widest, length(v.estimate.Upper)-length(v.estimate.Lower))
				}
			}
		}
		t.Logf("starved %-30s %d of %d runs invalid, widest interval %v, %d stalls", name, invalid, runs, widest, len(got.Stalls))
	}
}

// duty lets a process run for 5 ms of every 100.
func duty(pid int, end <-chan struct{}) {
	for on := false; ; on = !on {
		signal, d := unix.SIGSTOP, 95*time.Millisecond
		if on {
			signal, d = unix.SIGCONT, 5*time.Millisecond
		}
		_ = unix.Kill(pid, signal)
		select {
		case <-end:
			_ = unix.Kill(pid, unix.SIGCONT)
			return
		case <-time.After(d):
		}
	}
}

// quota gives a process 5 % of a processor, by whichever version of control groups is there.
func quota(t *testing.T, pid int) {
	t.Helper()
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("drill-truth-%d", pid)
	version1 := filepath.Join(root, "cpu", name)
	version2 := filepath.Join(root, name)
	write := func(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
	group := version2
	err := os.Mkdir(version1, 0o755)
	if err == nil {
		group = version1
		require.NoError(t, write(filepath.Join(group, "cpu.cfs_period_us"), "100000"))
		err = write(filepath.Join(group, "cpu.cfs_quota_us"), "5000")
	} else if err = os.Mkdir(version2, 0o755); err == nil {
		err = write(filepath.Join(group, "cpu.max"), "5000 100000")
	}
	if err != nil {
		t.Logf("no control group can be made here (%v); the duty cycle alone must do", err)
		_ = os.Remove(group)
		return
	}
	require.NoError(t, write(filepath.Join(group, "cgroup.procs"), strconv.Itoa(pid)))
	t.Cleanup(func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		require.Eventually(t, func() bool { return os.Remove(group) == nil }, 5*time.Second, 50*time.Millisecond, "the control group goes")
	})
}
