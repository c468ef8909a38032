// Command limit runs a command within limits, and writes down what it cost: a small process between a test and what the
// test starts, because the kernel counts the memory of a process from that of whoever started it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Cost is what the command's processes took.
type Cost struct {
	Code      int
	CPU, Peak int64 // nanoseconds, bytes
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(125)
	}
}

func run(account, seconds, bytes string, command []string) error {
	for which, value := range map[int]string{unix.RLIMIT_CPU: seconds, unix.RLIMIT_AS: bytes, unix.RLIMIT_CORE: "0"} {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return err
		}
		if err := unix.Setrlimit(which, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	c := exec.Command(command[0], command[1:]...) //nolint:gosec // the test's
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		if _, ended := errors.AsType[*exec.ExitError](err); !ended {
			return err
		}
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("the kernel keeps no account")
	}
	cost := Cost{Code: c.ProcessState.ExitCode(), CPU: int64(c.ProcessState.UserTime() + c.ProcessState.SystemTime()), Peak: usage.Maxrss << 10}
	raw, err := json.Marshal(cost)
	if err != nil {
		return err
	}
	return os.WriteFile(account, raw, 0o600)
}
