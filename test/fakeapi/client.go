package fakeapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// Mode is what goes wrong with a write.
type Mode string

// The modes. A process that dies sends nothing more; what it had sent may still be carried out.
const (
	None     Mode = ""
	Refuse   Mode = "refuse"     // 503, not carried out
	Throttle Mode = "throttle"   // 429 with Retry-After, not carried out
	Fault    Mode = "fault"      // 500 without being carried out
	Reset    Mode = "reset"      // the connection breaks before it is sent
	Lose     Mode = "lose"       // carried out, and the answer does not come
	Stall    Mode = "stall"      // no answer, and carried out late: after the caller has given up, if it ever does
	Twice    Mode = "twice"      // carried out twice; the second answer comes
	DieFirst Mode = "die-before" // the process dies and has not sent it
	DieAfter Mode = "die-after"  // the process dies right after it was carried out
	DieLate  Mode = "die-late"   // the process dies, and it is carried out late
)

// Modes are all.
var Modes = []Mode{Refuse, Throttle, Fault, Reset, Lose, Stall, Twice, DieFirst, DieAfter, DieLate}

// Deadly reports whether the process ends by it.
func (m Mode) Deadly() bool { return m == DieFirst || m == DieAfter || m == DieLate }

// Trouble is what goes wrong with one process's writes.
type Trouble struct {
	Mode  Mode
	Write int           // the how many-th, from 1
	Late  time.Duration // of those that come late
}

// Write is a write as its process sent it.
type Write struct {
	At   time.Time
	What string // "PUT drillruns/x/status"
}

// Client is one process's way to the API server. It is an http.RoundTripper.
type Client struct {
	Name    string
	Trouble Trouble
	// Counts reports whether a write counts; nil counts all.
	Counts func(method, path string) bool
	// Died is called once, when the process has died.
	Died func()

	server *Server
	mu     sync.Mutex
	writes []Write
	dead   bool
	late   sync.WaitGroup
}

// Client makes a process's way to the server.
func (s *Server) Client(name string) *Client { return &Client{Name: name, server: s} }

// Config is how client-go uses it.
func (c *Client) Config() *rest.Config {
	return &rest.Config{Host: "http://fake", Transport: c, QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"}}
}

// Writes are those that were sent so far and that count.
func (c *Client) Writes() []Write {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Write(nil), c.writes...)
}

// Kill ends the process: nothing that it sends arrives any more.
func (c *Client) Kill() {
	c.mu.Lock()
	was := c.dead
	c.dead = true
	c.mu.Unlock()
	if !was && c.Died != nil {
		c.Died()
	}
}

// Dead reports whether the process has died.
func (c *Client) Dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// Wait waits for what is still on its way.
func (c *Client) Wait() { c.late.Wait() }

var (
	errDead  = errors.New("TEST: the process is dead")
	errReset = errors.New("read tcp 10.0.0.1:443: connection reset by peer")
)

// RoundTrip implements http.RoundTripper.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	if c.Dead() {
		return nil, errDead
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	q := parse(c.Name, r, body)
	switch {
	case r.Method == http.MethodGet && q.query.Get("watch") != "":
		return c.watch(r, q), nil
	case r.Method == http.MethodGet && q.sub == "log":
		text := ""
		if c.server.Logs != nil {
			text = c.server.Logs(q.name)
		}
		return response(r, http.StatusOK, io.NopCloser(strings.NewReader(text))), nil
	case r.Method == http.MethodGet, strings.HasSuffix(q.resource, "reviews"), q.query.Get("dryRun") != "":
		return c.carryOut(r, q)
	}
	return c.write(r, q)
}

func (c *Client) write(r *http.Request, q request) (*http.Response, error) {
	mode := None
	if c.Counts == nil || c.Counts(q.method, q.path()) {
		c.mu.Lock()
		c.writes = append(c.writes, Write{At: time.Now(), What: q.method + " " + q.path()})
		if len(c.writes) == c.Trouble.Write {
			mode = c.Trouble.Mode
		}
		c.mu.Unlock()
	}
	switch mode {
	case Refuse:
		return response(r, http.StatusServiceUnavailable, io.NopCloser(strings.NewReader("TEST: not now"))), nil
	case Throttle:
		too := response(r, http.StatusTooManyRequests, io.NopCloser(strings.NewReader("TEST: too many")))
		too.Header.Set("Retry-After", "1")
		return too, nil
	case Fault:
		return response(r, http.StatusInternalServerError, io.NopCloser(strings.NewReader("TEST: etcd is not well"))), nil
	case Reset:
		return nil, errReset
	case Lose:
		_, _ = c.carryOut(r, q)
		return nil, errReset
	case Twice:
		_, _ = c.carryOut(r, q)
	case Stall:
		answer := make(chan *http.Response, 1)
		c.later(r, q, answer)
		select {
		case a := <-answer:
			return a, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	case DieFirst:
		c.Kill()
		return nil, errDead
	case DieAfter:
		_, _ = c.carryOut(r, q)
		c.Kill()
		return nil, errDead
	case DieLate:
		c.later(r, q, nil)
		c.Kill()
		return nil, errDead
	}
	return c.carryOut(r, q)
}

// later carries the request out when its time has come.
func (c *Client) later(r *http.Request, q request, answer chan<- *http.Response) {
	c.late.Go(func() {
		time.Sleep(c.Trouble.Late)
		a, _ := c.carryOut(r, q) //nolint:bodyclose // its body is in memory, and the caller's
		if answer != nil {
			answer <- a
		}
	})
}

func (c *Client) carryOut(r *http.Request, q request) (*http.Response, error) {
	code, out := c.server.serve(q)
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return response(r, code, io.NopCloser(bytes.NewReader(raw))), nil
}

func (c *Client) watch(r *http.Request, q request) *http.Response {
	ctx, cancel := context.WithCancel(r.Context())
	from, to := io.Pipe()
	go func() { _ = to.CloseWithError(c.server.watch(ctx, q, to)) }()
	context.AfterFunc(ctx, func() { _ = from.CloseWithError(io.EOF) })
	return response(r, http.StatusOK, stream{from, cancel})
}

// stream is a watch's body. Closing it ends the watch.
type stream struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (s stream) Close() error {
	s.cancel()
	return s.PipeReader.Close()
}

func response(r *http.Request, code int, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": []string{"application/json"}}, Body: body, Request: r}
}
