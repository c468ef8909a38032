package probes

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/failoverdrill/drill/internal/drill"
)

const (
	// beat is how often the kernel is asked to wake this process.
	beat = 5 * time.Millisecond
	// tardy is how much later than that counts as a stall.
	tardy = 5 * time.Millisecond
	// asleep is how far the clock that counts a suspended machine's sleep may run ahead of the one that does not.
	asleep = time.Millisecond
)

// heartbeat tells of every stretch in which this process did not take in what the kernel had for it, until ctx ends. It
// waits for a timer of the kernel's on the very path that an answer takes: a descriptor gets ready, the runtime's poller
// sees it, and a goroutine gets a processor. A runtime timer would not do: while every processor is busy the runtime
// serves its timers, and looks for the network only every 10 ms.
func heartbeat(ctx context.Context, clock drill.Clock, stalled func(drill.Stall)) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create the heartbeat's timer: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "heartbeat")
	defer timer.Close()
	every := unix.NsecToTimespec(int64(beat))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("set the heartbeat's timer: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = timer.SetReadDeadline(time.Now()) })
	defer stop()

	last, slept := clock.Now(), suspended()
	for beats := make([]byte, 8); ; { // the kernel writes how many have passed
		if _, err := timer.Read(beats); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("wait for the heartbeat's timer: %w", err)
		}
		now := clock.Now()
		s := drill.Stall{From: last, To: now}
		sleep := suspended()
		s.Slept, slept = sleep.longer(slept), sleep
		if s.Slept || now.Sub(last) > beat+tardy {
			stalled(s)
		}
		last = now
	}
}

// suspension is how long the machine has been suspended since it was started, at least and at most.
type suspension struct{ least, most time.Duration }

// suspended is the difference between the kernel's clock that counts such time and the one that does not, which is the
// run's. Between two readings of clocks this process may be kept waiting, so that the one is read before and after the other.
func suspended() suspension {
	var with, before, after unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &before) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &with) != nil ||
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &after) != nil {
		return suspension{}
	}
	return suspension{least: time.Duration(with.Nano() - after.Nano()), most: time.Duration(with.Nano() - before.Nano())}
}

// longer reports whether the machine was suspended between the two, beyond doubt.
func (s suspension) longer(before suspension) bool { return s.least-before.most > asleep }
