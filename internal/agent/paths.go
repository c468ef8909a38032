package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// paths are the connections and listeners by which it is shown that a cut bites, and that nothing is left of it. The
// sockets belong to the pods' network namespaces, and are used from here.
type paths struct {
	mu        sync.Mutex
	listeners []net.Listener
	kept      []*connection
	closed    bool
}

// connection is an open connection over a path.
type connection struct {
	net.Conn
	reader   *bufio.Reader
	protocol Protocol
	used     sync.Mutex
}

// listen starts an echo at the pod's address, on a port that is free.
func (ps *paths) listen(p pod) (netip.AddrPort, error) {
	var l net.Listener
	err := p.do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(p.IP, 0).String())
		return err
	})
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen in pod %s: %w", p.UID, err)
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		_ = l.Close()
		return netip.AddrPort{}, net.ErrClosed
	}
	ps.listeners = append(ps.listeners, l)
	go serveEcho(l)
	return netip.ParseAddrPort(l.Addr().String())
}

func serveEcho(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
	}
}

// dial opens a connection from the pod and uses it once.
func (ps *paths) dial(p pod, path Path, within time.Duration) (*connection, error) {
	end := time.Now().Add(within)
	var c net.Conn
	err := p.do(func() (err error) {
		d := net.Dialer{Timeout: within, FallbackDelay: -1}
		c, err = d.DialContext(context.Background(), "tcp", path.To.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	if path.Protocol == HTTPS {
		// Whoever answers: this is about the path, and nothing secret is said.
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
	}
	conn := &connection{Conn: c, reader: bufio.NewReader(c), protocol: path.Protocol}
	if err := conn.use(time.Until(end)); err != nil {
		_ = c.Close()
		return nil, err
	}
	return conn, nil
}

// use sends something over the connection and waits for the answer.
func (c *connection) use(within time.Duration) error {
	c.used.Lock()
	defer c.used.Unlock()
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	switch c.protocol {
	case Echo:
		// A word of its own each time: what an earlier attempt sent may still come back.
		word := fmt.Sprintf("%d\n", time.Now().UnixNano())
		if _, err := io.WriteString(c, word); err != nil {
			return err
		}
		for {
			line, err := c.reader.ReadString('\n')
			if err != nil {
				return err
			}
			if line == word {
				return nil
			}
		}
	case HTTPS:
		if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: kubernetes\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(c.reader, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return nil
}

// reach tries a new connection.
func (ps *paths) reach(p pod, path Path, within time.Duration) Reach {
	c, err := ps.dial(p, path, within)
	if err == nil {
		_ = c.Close()
	}
	return reached(err)
}

// open opens a connection and keeps it, for echo.
func (ps *paths) open(p pod, path Path, within time.Duration) Reach {
	c, err := ps.dial(p, path, within)
	if err != nil {
		return reached(err)
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		_ = c.Close()
		return reached(net.ErrClosed)
	}
	ps.kept = append(ps.kept, c)
	r := reached(nil)
	r.Kept = len(ps.kept)
	return r
}

// echo uses a kept connection.
func (ps *paths) echo(kept int, within time.Duration) Reach {
	ps.mu.Lock()
	if kept < 1 || kept > len(ps.kept) {
		ps.mu.Unlock()
		return Reach{How: "there is no such connection"}
	}
	c := ps.kept[kept-1]
	ps.mu.Unlock()
	return reached(c.use(within))
}

// reached says in a word what became of an attempt. Only silence is a cut: a refusal is an answer.
func reached(err error) Reach {
	var timeout net.Error
	switch {
	case err == nil:
		return Reach{OK: true, How: "answered"}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Reach{How: Timeout}
	case errors.Is(err, syscall.ECONNREFUSED):
		return Reach{How: Refused}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return Reach{How: Reset}
	default:
		return Reach{How: err.Error()}
	}
}

// How an attempt may end.
const (
	Timeout = "timeout" // nothing came back: the path is cut
	Refused = "refused" // nobody listens there
	Reset   = "reset"   // nobody knows the connection any more
)

func (ps *paths) close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.closed = true
	for _, l := range ps.listeners {
		_ = l.Close()
	}
	for _, c := range ps.kept {
		_ = c.Close()
	}
}
