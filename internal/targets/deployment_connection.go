package targets

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// held is a TCP connection to a member that sends nothing and waits for its end.
type held struct {
	conn net.Conn

	mu    sync.Mutex
	state drill.Connection
}

// Connect opens a connection to every port of the member that the Service leads to. drill sends nothing on it, so that
// it costs the member no more than an idle client.
func (t *stateless) Connect(ctx context.Context, m drill.Member) {
	t.mu.Lock()
	ports := slices.Clone(t.ports)
	before := t.held[m.UID]
	delete(t.held, m.UID)
	t.mu.Unlock()
	hangUpAll(before)
	if m.IP == "" {
		return
	}
	// With keepalives the kernel finds out, after about 3 s, that the member's node no longer answers.
	dialer := net.Dialer{Timeout: knockTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}}
	var all []*held
	for _, port := range ports {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(m.IP, strconv.Itoa(int(port))))
		if err != nil {
			continue
		}
		h := &held{conn: conn, state: drill.Connection{State: drill.ConnectionOpen}}
		all = append(all, h)
		go h.await()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = map[string][]*held{}
	}
	t.held[m.UID] = all
}

// await reads until the connection ends, and notes when and how it did.
func (h *held) await() {
	_, err := io.Copy(io.Discard, h.conn) // nil at the end of the stream
	now := time.Now()
	_ = h.conn.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case errors.Is(err, net.ErrClosed): // drill closed it
	case err == nil, errors.Is(err, syscall.ECONNRESET):
		h.state = drill.Connection{State: drill.ConnectionEnded, Since: now}
	default:
		h.state = drill.Connection{State: drill.ConnectionSilent, Since: now}
	}
}

// Connection is open while any of the member's connections is; else it is the state of the one that lasted longest.
func (t *stateless) Connection(m drill.Member) drill.Connection {
	t.mu.Lock()
	all := slices.Clone(t.held[m.UID])
	t.mu.Unlock()
	var last drill.Connection
	for _, h := range all {
		h.mu.Lock()
		state := h.state
		h.mu.Unlock()
		if state.State == drill.ConnectionOpen {
			return state
		}
		if state.Since.After(last.Since) {
			last = state
		}
	}
	return last
}

// Close ends the connections that drill still holds.
func (t *stateless) Close(context.Context) error {
	t.mu.Lock()
	all := t.held
	t.held = nil
	t.mu.Unlock()
	for _, some := range all {
		hangUpAll(some)
	}
	return nil
}

func hangUpAll(all []*held) {
	for _, h := range all {
		_ = h.conn.Close()
	}
}
