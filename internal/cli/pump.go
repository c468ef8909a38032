package cli

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// Bounds of what the process writes while something may be in place.
const (
	maxPumped   = 1 << 20          // bytes of log that wait for standard error
	logTimeout  = 2 * time.Second  // how long the end waits for the log
	showTimeout = 10 * time.Second // how long the end waits for whoever reads the output
	sayTimeout  = time.Second      // how long one line of status may take where something waits for it
)

// pump is a writer that never blocks: a goroutine writes what it is given. Beyond a bound, lines are dropped, and counted.
type pump struct {
	to io.Writer

	mu      sync.Mutex
	lines   [][]byte
	size    int
	dropped int
	busy    bool
	idle    chan struct{} // closed when everything is written
}

// Write implements io.Writer.
func (p *pump) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size+len(line) > maxPumped {
		p.dropped++
		return len(line), nil
	}
	p.lines = append(p.lines, append([]byte(nil), line...))
	p.size += len(line)
	if !p.busy {
		p.busy, p.idle = true, make(chan struct{})
		go p.work()
	}
	return len(line), nil
}

func (p *pump) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.lines) > 0 {
		lines, dropped := p.lines, p.dropped
		p.lines, p.dropped = nil, 0
		p.mu.Unlock()
		for _, line := range lines {
			_, _ = p.to.Write(line)
			p.mu.Lock()
			p.size -= len(line)
			p.mu.Unlock()
		}
		if dropped > 0 {
			fmt.Fprintf(p.to, `{"level":"warn","msg":"log lines were dropped, because standard error was stopped or too slow","lines":%d}`+"\n", dropped)
		}
		p.mu.Lock()
	}
	p.busy = false
	close(p.idle)
}

// Sync implements zapcore.WriteSyncer: it waits for what was written, but not for ever.
func (p *pump) Sync() error {
	p.mu.Lock()
	busy, idle := p.busy, p.idle
	p.mu.Unlock()
	if busy {
		select {
		case <-idle:
		case <-time.After(logTimeout):
		}
	}
	return nil
}

// logger writes JSON lines to standard error, and never waits for that; people read the events, not the log. Sync it at
// the end of the command.
func logger(env *Env) *zap.Logger {
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, &pump{to: env.Stderr}, zap.InfoLevel))
}

// divertKlog keeps the Kubernetes client's own log from blocking: it writes to standard error within calls of the client,
// those of a revert too.
func divertKlog(env *Env) {
	klog.SetSlogLogger(slog.New(slog.NewJSONHandler(&pump{to: env.Stderr}, nil)))
}

// within waits for something that may block on a terminal, but no longer than the timeout. It reports whether it is done.
func within(timeout time.Duration, do func()) bool {
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
		return true
	case <-time.After(timeout):
		return false
	}
}
