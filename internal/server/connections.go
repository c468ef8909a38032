package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of an open port (T17): strangers may hold it, and must take neither memory nor the kubelet's way in.
const (
	maxConnections  = 256
	maxOfOneAddress = 64
	requestsAtOnce  = 32
	requestPatience = 2 * time.Second // until one of those is free
)

// BoundedServer serves HTTP to strangers: with timeouts everywhere, few requests at once, and small headers.
func BoundedServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
}

// BoundedListener bounds how many connections are open. When there are too many, the oldest one is closed, of the same
// address first: the newest always gets in, so that nobody who only holds connections keeps others out.
func BoundedListener(l net.Listener) net.Listener {
	return &boundedListener{Listener: l, all: list.New(), of: map[string]*list.List{}}
}

type boundedListener struct {
	net.Listener

	mu  sync.Mutex
	all *list.List            // of *boundedConn, the oldest first
	of  map[string]*list.List // the same, by address
}

type boundedConn struct {
	net.Conn
	l       *boundedListener
	host    string
	in, own *list.Element
	once    sync.Once
}

// Accept waits for the next connection.
func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	c := &boundedConn{Conn: conn, l: l, host: host}
	l.mu.Lock()
	var over *boundedConn
	same := l.of[host]
	if same == nil {
		same = list.New()
		l.of[host] = same
	}
	switch {
	case same.Len() >= maxOfOneAddress:
		over = same.Front().Value.(*boundedConn)
	case l.all.Len() >= maxConnections:
		over = l.all.Front().Value.(*boundedConn)
	}
	c.in, c.own = l.all.PushBack(c), same.PushBack(c)
	l.mu.Unlock()
	if over != nil {
		_ = over.Close()
	}
	return c, nil
}

// Close closes the connection, which counts no more.
func (c *boundedConn) Close() error {
	c.once.Do(func() {
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		c.l.all.Remove(c.in)
		same := c.l.of[c.host]
		if same.Remove(c.own); same.Len() == 0 {
			delete(c.l.of, c.host)
		}
	})
	return c.Conn.Close()
}

// fewAtOnce lets few requests in at the same time; others wait for a moment, and are then told to come back.
func fewAtOnce(next http.Handler) http.Handler {
	slots := make(chan struct{}, requestsAtOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(requestPatience)
		defer timer.Stop()
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		case <-timer.C:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		case <-r.Context().Done():
		}
	})
}
