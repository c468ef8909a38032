package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// callTimeout bounds a call that does not say how long it may take.
const callTimeout = 10 * time.Second

// Client is the runner's end: one agent, one connection, a heartbeat.
type Client struct {
	name       string
	address    string
	config     *tls.Config
	run        string
	generation func() int64
	ttl        time.Duration

	dialing sync.Mutex // one at a time
	mu      sync.Mutex // guards all below
	conn    *tls.Conn
	waiting map[int64]chan reply
	lastID  int64
	beaten  time.Time // when the agent last answered a heartbeat
	failed  error     // why the last one was not answered
	status  Status    // what it answered last

	stop    context.CancelFunc
	stopped chan struct{}
}

// Target says which agent a client talks to, and for whom.
type Target struct {
	Name       string // the agent's, in its certificate
	Address    string // host:port
	Run        string
	Generation func() int64 // the newest that the runner holds
	TTL        time.Duration
}

// Connect reaches an agent and begins to beat. The caller retries: an agent's pod may need a moment to listen.
func (a *Authority) Connect(ctx context.Context, own Certificate, t Target) (*Client, error) {
	config, err := a.clientConfig(own, t.Name)
	if err != nil {
		return nil, err
	}
	if t.TTL == 0 {
		t.TTL = TTL
	}
	c := &Client{name: t.Name, address: t.Address, config: config, run: t.Run, generation: t.Generation, ttl: t.TTL,
		stopped: make(chan struct{}), beaten: time.Now()}
	if err := c.call(ctx, opHello, nil, nil); err != nil {
		c.hangUp(nil)
		return nil, err
	}
	beating, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = cancel
	go c.beat(beating)
	return c, nil
}

// Close ends the heartbeat. An agent that still cuts something heals it after a TTL.
func (c *Client) Close() {
	c.stop()
	<-c.stopped
	c.hangUp(nil)
}

func (c *Client) beat(ctx context.Context) {
	defer close(c.stopped)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		trying, cancel := context.WithTimeout(ctx, c.ttl/2)
		var status Status
		err := c.call(trying, opBeat, nil, &status)
		cancel()
		c.mu.Lock()
		c.failed = err
		if err == nil {
			c.beaten, c.status = time.Now(), status
		}
		c.mu.Unlock()
	}
}

// Lost says since when the agent has not answered, once that is longer than a TTL; by then it has healed.
func (c *Client) Lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if silent := time.Since(c.beaten); silent > c.ttl {
		return errors.Join(fmt.Errorf("agent %s has not answered for %s", c.name, silent.Round(100*time.Millisecond)), c.failed)
	}
	return nil
}

// Broken says why what was cut is not cut any more, as far as the heartbeat has shown: the agent says so, nobody listens
// where it did, or it has not answered for a TTL. It waits for nothing.
func (c *Client) Broken() error {
	c.mu.Lock()
	broken, failed := c.status.Broken, c.failed
	c.mu.Unlock()
	switch {
	case broken != "":
		return errors.New(broken)
	case errors.Is(failed, syscall.ECONNREFUSED):
		return fmt.Errorf("agent %s died: %w", c.name, failed)
	}
	return c.Lost()
}

// Prepare finds the pods on the agent's node.
func (c *Client) Prepare(ctx context.Context, pods []Pod) error {
	return c.call(ctx, opPrepare, prepareArgs{pods}, nil)
}

// Listen starts an echo at the pod's address.
func (c *Client) Listen(ctx context.Context, pod string) (netip.AddrPort, error) {
	var r listenResult
	err := c.call(ctx, opListen, listenArgs{pod}, &r)
	return r.Address, err
}

// Reach tries a new connection over the path.
func (c *Client) Reach(ctx context.Context, p Path, within time.Duration) (Reach, error) {
	var r Reach
	err := c.call(ctx, opReach, tryArgs{Path: p, Within: within}, &r)
	return r, err
}

// Open opens a connection over the path, and keeps it for Echo.
func (c *Client) Open(ctx context.Context, p Path, within time.Duration) (Reach, error) {
	var r Reach
	err := c.call(ctx, opOpen, tryArgs{Path: p, Within: within}, &r)
	return r, err
}

// Echo uses a kept connection.
func (c *Client) Echo(ctx context.Context, kept int, within time.Duration) (Reach, error) {
	var r Reach
	err := c.call(ctx, opEcho, tryArgs{Kept: kept, Within: within}, &r)
	return r, err
}

// Cut puts the cuts in place, by pod UID; the agent heals them by itself after the given time at the latest.
func (c *Client) Cut(ctx context.Context, cuts map[string]Cut, atMost time.Duration) error {
	return c.call(ctx, opCut, cutArgs{Cuts: cuts, For: atMost}, nil)
}

// Heal takes every cut away, makes sure that nothing is left, and returns how they stood before.
func (c *Client) Heal(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, opHeal, nil, &s)
	return s, err
}

// Status asks how the cuts stand.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, opBeat, nil, &s)
	return s, err
}

// call sends a request and waits for its answer, over a new connection when the last one broke.
func (c *Client) call(ctx context.Context, op string, args, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	q := request{Op: op, Run: c.run, Generation: c.generation()}
	if args != nil {
		raw, err := json.Marshal(args)
		if err != nil {
			return fmt.Errorf("encode %s: %w", op, err)
		}
		q.Args = raw
	}
	answer, err := c.send(ctx, q)
	if err != nil {
		return fmt.Errorf("ask agent %s to %s: %w", c.name, op, err)
	}
	select {
	case r, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("ask agent %s to %s: the connection broke", c.name, op)
		case r.Error != "":
			return fmt.Errorf("agent %s: %s: %s", c.name, op, r.Error)
		case result == nil:
			return nil
		}
		if err := json.Unmarshal(r.Result, result); err != nil {
			return fmt.Errorf("read the answer of agent %s to %s: %w", c.name, op, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ask agent %s to %s: %w", c.name, op, ctx.Err())
	}
}

// send writes the request; the answer comes on the channel, which is closed when the connection breaks before.
func (c *Client) send(ctx context.Context, q request) (<-chan reply, error) {
	conn, err := c.connection(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != conn {
		return nil, net.ErrClosed
	}
	c.lastID++
	q.ID = c.lastID
	raw, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(c.ttl / 2))
	if _, err := conn.Write(append(raw, '\n')); err != nil {
		c.breakLocked()
		return nil, err
	}
	answer := make(chan reply, 1)
	c.waiting[q.ID] = answer
	return answer, nil
}

func (c *Client) connection(ctx context.Context) (*tls.Conn, error) {
	c.dialing.Lock()
	defer c.dialing.Unlock()
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	d := tls.Dialer{Config: c.config, NetDialer: &net.Dialer{Timeout: c.ttl / 2}}
	raw, err := d.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	conn, ok := raw.(*tls.Conn)
	if !ok {
		return nil, errors.New("not a TLS connection")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.waiting = conn, map[int64]chan reply{}
	go c.read(conn)
	return conn, nil
}

// read hands each answer to whoever waits for it.
func (c *Client) read(conn *tls.Conn) {
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var r reply
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			break
		}
		c.mu.Lock()
		if answer := c.waiting[r.ID]; answer != nil && c.conn == conn {
			delete(c.waiting, r.ID)
			answer <- r
		}
		c.mu.Unlock()
	}
	c.hangUp(conn)
}

// hangUp drops the connection, if it is still the one given; nil is whichever there is.
func (c *Client) hangUp(conn *tls.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || conn != nil && c.conn != conn {
		return
	}
	c.breakLocked()
}

func (c *Client) breakLocked() {
	_ = c.conn.Close()
	c.conn = nil
	for id, answer := range c.waiting {
		close(answer)
		delete(c.waiting, id)
	}
}
