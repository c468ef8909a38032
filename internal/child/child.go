// Package child does work on hostile bytes in a process of its own, whose memory and time are bounded: bytes in on standard
// input, bytes out on standard output. Whatever they do to it, the parent lives.
package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// The bounds of one piece of work. The child sets those of its process itself, with Confine, before it looks at its input.
const (
	Memory    = 64 << 20 // bytes beyond what it has when it begins
	CPU       = 3        // seconds
	Wall      = 8 * time.Second
	MaxInput  = 4 << 20
	MaxOutput = 1 << 20
	maxErrors = 4 << 10
)

// KilledError says that the child ended without an answer: its bounds ended it, or it crashed.
type KilledError struct{ Why string }

// Error implements error.
func (e *KilledError) Error() string { return e.Why }

// Worker starts children, one at a time: all of them have what one needs.
type Worker struct {
	path string
	args []string
	env  []string
	turn chan struct{}
}

// New makes a worker whose children are a program with its arguments. They get nothing of the parent's environment.
func New(path string, args ...string) *Worker {
	w := &Worker{path: path, args: args, turn: make(chan struct{}, 1),
		env: []string{"GOMAXPROCS=1", "GOTRACEBACK=none", fmt.Sprintf("GOMEMLIMIT=%d", Memory*3/4)}}
	return w
}

// Do does a piece of work when it is its turn. A *KilledError is the work's fault, and any other is this machine's.
func (w *Worker) Do(ctx context.Context, input []byte) ([]byte, error) {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
		return w.do(ctx, input)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a reader: %w", ctx.Err())
	}
}

func (w *Worker) do(ctx context.Context, input []byte) ([]byte, error) {
	if len(input) > MaxInput {
		return nil, &KilledError{fmt.Sprintf("it has %d KiB, and %d KiB can be read", len(input)>>10, MaxInput>>10)}
	}
	limited, cancel := context.WithTimeout(ctx, Wall)
	defer cancel()
	c := exec.CommandContext(limited, w.path, w.args...)
	c.Env, c.Dir = w.env, "/"
	c.Stdin = bytes.NewReader(input)
	out, errs := &limitedBuffer{most: MaxOutput, over: cancel}, &limitedBuffer{most: maxErrors}
	c.Stdout, c.Stderr = out, errs
	c.WaitDelay = time.Second
	apart(c)
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start a reader: %w", err)
	}
	err := c.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("the reader was stopped: %w", ctx.Err())
	case out.full:
		return nil, &KilledError{fmt.Sprintf("what it says is more than %d KiB", MaxOutput>>10)}
	case limited.Err() != nil:
		return nil, &KilledError{fmt.Sprintf("it could not be read within %v", Wall)}
	case err != nil:
		return nil, &KilledError{fmt.Sprintf("it could not be read within %d MiB and %d s of computing (%s)", Memory>>20, CPU, reason(err, errs.kept.String()))}
	}
	return out.kept.Bytes(), nil
}

// reason is how a child ended, with the first line of what it said.
func reason(err error, said string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	if line == "" {
		return err.Error()
	}
	if len(line) > 200 {
		line = line[:200]
	}
	return fmt.Sprintf("%v: %q", err, line)
}

// limitedBuffer keeps so much; what is more is thrown away, and over called.
type limitedBuffer struct {
	kept bytes.Buffer // and not embedded: its ReadFrom knows no bound
	most int
	full bool
	over func()
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) <= b.most {
		return b.kept.Write(p) //nolint:wrapcheck // it has none
	}
	if b.full = true; b.over != nil {
		b.over()
	}
	return len(p), nil
}

// Input reads all that a child was given.
func Input(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	if len(raw) > MaxInput {
		return nil, errors.New("read the input: it is too large")
	}
	return raw, nil
}
