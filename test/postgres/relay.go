package postgres

import (
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Relay passes TCP connections on to one address at a time, like a Service. It can hold bytes back and drop them, so
// a test can say how long they took.
type Relay struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string
	delay  time.Duration
	jitter func() time.Duration // held back beside that
	refuse bool
	thawed chan struct{} // closed while bytes may pass
	links  map[*link]struct{}
	closed bool
	worst  time.Duration // how late bytes went on that were held back
	passed time.Time     // when the last bytes from the server had come that went on to the client
	kept   time.Time     // when the first ones had come that did not
}

// link is one connection through the relay.
type link struct {
	client net.Conn
	once   sync.Once
	done   chan struct{}
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		l.client.Close()
	})
}

// NewRelay listens on the address until the end of the test. Until Route is called it closes every connection.
func NewRelay(t testing.TB, address string) *Relay {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	none := func() time.Duration { return 0 }
	r := &Relay{listener: listener, jitter: none, links: map[*link]struct{}{}, thawed: make(chan struct{})}
	close(r.thawed)
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		listener.Close()
		r.Cut()
		r.wg.Wait()
	})
	return r
}

// Addr is where the relay listens.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Port is where the relay listens, on its address.
func (r *Relay) Port() uint16 {
	return uint16(r.listener.Addr().(*net.TCPAddr).Port) //nolint:gosec // a port
}

// Route sends new connections to the address; those that exist stay where they are, as with kube-proxy. An empty
// address closes new ones.
func (r *Relay) Route(address string) Moment {
	return moment(func() { r.mu.Lock(); defer r.mu.Unlock(); r.target = address })
}

// Delay holds back every byte from the server for d, however many there are: bytes that come later do not wait for
// those.
func (r *Relay) Delay(d time.Duration) { r.mu.Lock(); defer r.mu.Unlock(); r.delay, r.worst = d, 0 }

// Jitter holds back a share of what the server sends besides, each time by something between the two.
func (r *Relay) Jitter(random *rand.Rand, share float64, least, most time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jitter = func() time.Duration { // with the relay locked
		if random.Float64() >= share {
			return 0
		}
		return least + time.Duration(random.Int64N(int64(most-least)))
	}
}

// Freeze lets nothing pass until Thaw, without closing anything: a black hole, after which everything is delivered as
// TCP would retransmit it.
func (r *Relay) Freeze() Moment {
	return moment(func() { r.mu.Lock(); defer r.mu.Unlock(); r.thawed = make(chan struct{}) })
}

// Thaw undoes Freeze.
func (r *Relay) Thaw() Moment {
	return moment(func() { r.mu.Lock(); defer r.mu.Unlock(); close(r.thawed) })
}

// Refuse answers every request with an error at once, and leaves sessions as they are, until Accept. What is under
// way then still passes.
func (r *Relay) Refuse() Moment {
	return moment(func() { r.mu.Lock(); defer r.mu.Unlock(); r.refuse = true })
}

// Accept undoes Refuse.
func (r *Relay) Accept() Moment {
	return moment(func() { r.mu.Lock(); defer r.mu.Unlock(); r.refuse = false })
}

// refusal is PostgreSQL's answer to a request that it refuses, and its word that it is ready for the next one. sync
// ends a request.
const (
	refusal     = "E\x00\x00\x00\x29SERROR\x00C53400\x00Mrefused by the relay\x00\x00Z\x00\x00\x00\x05I"
	syncMessage = "S\x00\x00\x00\x04"
)

// refused answers a request in the server's place.
func (r *Relay) refused(l *link, request []byte) bool {
	r.mu.Lock()
	refuse := r.refuse
	r.mu.Unlock()
	if !refuse || !strings.HasSuffix(string(request), syncMessage) {
		return false
	}
	_, err := l.client.Write([]byte(refusal))
	return err == nil
}

// Late is how much later than by the delay bytes went on at worst, since the delay was set.
func (r *Relay) Late() time.Duration { r.mu.Lock(); defer r.mu.Unlock(); return r.worst }

// Cut closes every connection and drops what is on its way. New ones are taken again.
func (r *Relay) Cut() Moment { return moment(r.cut) }

// Sever is Cut, and closes new connections too.
func (r *Relay) Sever() Moment {
	r.Route("")
	return r.Cut()
}

func (r *Relay) cut() {
	r.mu.Lock()
	links := r.links
	r.links = map[*link]struct{}{}
	r.mu.Unlock()
	for l := range links {
		l.close()
	}
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(client) })
	}
}

func (r *Relay) serve(client net.Conn) {
	l := &link{client: client, done: make(chan struct{})}
	defer l.close()
	r.mu.Lock()
	target, thawed, closed := r.target, r.thawed, r.closed
	if !closed {
		r.links[l] = struct{}{}
	}
	r.mu.Unlock()
	defer func() { r.mu.Lock(); delete(r.links, l); r.mu.Unlock() }()
	if target == "" || closed {
		return
	}
	select {
	case <-thawed:
	case <-l.done:
		return
	}
	server, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return
	}

	var pumps sync.WaitGroup
	up, down := make(chan chunk, backlog), make(chan chunk, backlog)
	pumps.Go(func() { r.read(l, client, up, false) })
	pumps.Go(func() { r.read(l, server, down, true) })
	pumps.Go(func() { defer l.close(); r.write(l, server, up, false) })
	pumps.Go(func() { defer l.close(); r.write(l, client, down, true) })
	<-l.done
	server.Close()
	pumps.Wait()
}

// backlog is how many reads may wait in a relay.
const backlog = 4096

type chunk struct {
	come, due time.Time
	bytes     []byte
}

// read goes on while earlier bytes wait. Its channel ends with the connection, so that what came before still passes.
func (r *Relay) read(l *link, from net.Conn, chunks chan<- chunk, delayed bool) {
	defer close(chunks)
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 && (delayed || !r.refused(l, buf[:n])) {
			now := time.Now()
			c := chunk{come: now, due: now, bytes: buf[:n]}
			if delayed {
				r.mu.Lock()
				c.due = c.due.Add(r.delay + r.jitter())
				r.mu.Unlock()
			}
			select {
			case chunks <- c:
			case <-l.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *Relay) write(l *link, to net.Conn, chunks <-chan chunk, delayed bool) {
	for c := range chunks {
		if !r.hold(l, c.due) {
			r.note(delayed, func() { r.kept = c.come })
			return
		}
		if _, err := to.Write(c.bytes); err != nil {
			r.note(delayed, func() { r.kept = c.come })
			return
		}
		r.note(delayed, func() { r.passed, r.kept, r.worst = c.come, time.Time{}, max(r.worst, time.Since(c.due)) })
	}
}

func (r *Relay) note(delayed bool, what func()) {
	if delayed {
		r.mu.Lock()
		defer r.mu.Unlock()
		what()
	}
}

// Edge is where a cut went through what came from the server: when the last bytes came that went on to the client, and
// when the first ones that did not; that is zero when there were none.
func (r *Relay) Edge() (passed, kept time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passed, r.kept
}

// hold waits until the bytes are due and nothing is frozen; it is false when the link is gone.
func (r *Relay) hold(l *link, due time.Time) bool {
	if d := time.Until(due); d > 0 {
		select {
		case <-time.After(d):
		case <-l.done:
			return false
		}
	}
	r.mu.Lock()
	thawed := r.thawed
	r.mu.Unlock()
	select {
	case <-thawed:
		return true
	case <-l.done:
		return false
	}
}
