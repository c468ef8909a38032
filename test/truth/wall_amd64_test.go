//go:build truth

package truth

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"math/rand/v2"

	"github.com/stretchr/testify/require"
)

// wall is this process's own wall clock. Stepping the machine's would disturb every other process, and a time namespace
// has no wall clock of its own; so the function that the kernel maps into every process to read its clocks, the vDSO's, is
// replaced in this one: writing to one's own memory makes a private copy of the page.
type wall struct {
	memory *os.File
	ahead  int64 // where in memory is by how many seconds the clock is put ahead
}

// reader is the replacement: it asks the kernel by a system call, and adds the seconds to the clock 0, which is the
// wall clock. The seconds follow at ahead.
var reader = []byte{
	0xb8, 0xe4, 0, 0, 0, // mov eax, 228 (clock_gettime)
	0x0f, 0x05, // syscall
	0x85, 0xff, // test edi, edi
	0x75, 0x0a, // jne ret
	0x48, 0x8b, 0x0d, 6, 0, 0, 0, // mov rcx, [rip+6]
	0x48, 0x01, 0x0e, // add [rsi], rcx
	0xc3, 0x90, 0x90, // ret
	0, 0, 0, 0, 0, 0, 0, 0, // by how many seconds
}

const aheadAt = 24

func ownWall() (*wall, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	var from, to int64
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "[vdso]") {
			if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
				return nil, fmt.Errorf("read %q: %w", line, err)
			}
		}
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	image := make([]byte, to-from)
	if _, err := memory.ReadAt(image, from); err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name != "__vdso_clock_gettime" || s.Size < uint64(len(reader)) {
			continue
		}
		at := from + int64(s.Value)
		if _, err := memory.WriteAt(reader, at); err != nil {
			return nil, fmt.Errorf("replace the clock: %w", err)
		}
		return &wall{memory, at + aheadAt}, nil
	}
	return nil, errors.New("the vDSO has no clock that could be replaced")
}

// set puts the wall clock ahead of the machine's.
func (w *wall) set(ahead time.Duration) error {
	_, err := w.memory.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(int64(ahead/time.Second))), w.ahead)
	return err
}

// stepWall steps this process's wall clock again and again, and notes how far it is ahead after each.
func stepWall(ctx context.Context, steps []time.Duration, pause time.Duration, walls *[]time.Duration) error {
	if len(steps) == 0 {
		return nil
	}
	w, err := ownWall()
	if err != nil {
		return err
	}
	began := time.Now()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if err := w.set(steps[i%len(steps)]); err != nil {
			return fmt.Errorf("step the wall clock: %w", err)
		}
		now := time.Now()
		*walls = append(*walls, now.Round(0).Sub(began.Round(0))-now.Sub(began))
	}
}

// TestTheWallClockIsStepped: it goes an hour forth and back all the time, and no figure changes.
func TestTheWallClockIsStepped(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 3))
	s := newStage(t)
	s.calm = true
	lanes := s.lanes(t, 8, 0)
	plan := assign(script(r, 24, 1500*time.Millisecond), len(lanes), 0)
	p := probesOf(lanes)
	p.For = duration(plan) + time.Second
	p.Steps, p.Pause = []time.Duration{time.Hour, 0, -time.Hour, time.Hour, -time.Hour, 0}, 170*time.Millisecond
	prober := s.play(t, roleProber, p)
	outages := s.perform(t, lanes, plan, r)
	got := home[seen](t, prober)
	require.Greater(t, len(got.Walls), 30)
	for i, ahead := range got.Walls {
		require.InDelta(t, p.Steps[i%len(p.Steps)].Seconds(), ahead.Seconds(), 1, "the wall clock was stepped")
	}
	t.Logf("the prober's wall clock was stepped %d times", len(got.Walls))
	compare(t, outages, got, closedSeen{})
}
