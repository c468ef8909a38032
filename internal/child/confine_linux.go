package child

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// Linux's number of a limit that package syscall does not name on every architecture.
const rlimitData = 0x2

// apart gives a child a process group of its own, so that all of it is killed together.
func apart(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}

// Confine bounds the calling process, for good: its memory, its computing, and that it opens no file and no socket any more.
// A Go program reserves much more address space than it uses, so the bound is added to what there is.
func Confine() error {
	// The runtime opens what it waits with at the first timer.
	time.Sleep(time.Microsecond)
	space, data, err := sizes()
	if err != nil {
		return err
	}
	// The heap reserves its space 64 MiB at a time, of which most is never used; what is used counts as data.
	for _, l := range []struct {
		what int
		most uint64
	}{{syscall.RLIMIT_AS, space + Memory + 128<<20}, {rlimitData, data + Memory}, {syscall.RLIMIT_CPU, CPU},
		{syscall.RLIMIT_CORE, 0}, {syscall.RLIMIT_FSIZE, 0}, {syscall.RLIMIT_NOFILE, 3}} {
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("bound the reader: limit %d to %d: %w", l.what, l.most, err)
		}
	}
	return nil
}

// sizes are the process's address space and data, in bytes.
func sizes() (space, data uint64, err error) {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, fmt.Errorf("bound the reader: %w", err)
	}
	fields := bytes.Fields(raw) // size resident shared text lib data dt
	if len(fields) < 6 {
		return 0, 0, fmt.Errorf("bound the reader: /proc/self/statm says %q", raw)
	}
	page := uint64(os.Getpagesize())
	all, err := strconv.ParseUint(string(fields[0]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("bound the reader: %w", err)
	}
	held, err := strconv.ParseUint(string(fields[5]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("bound the reader: %w", err)
	}
	return all * page, held * page, nil
}
