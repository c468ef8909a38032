package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fate is what a proxy does to a write.
type Fate string

// The fates of a write. A connection that loses something is closed, except by HoldReply.
const (
	Pass        Fate = "passed"
	DropRequest Fate = "request dropped" // the server gets none of it
	CutRequest  Fate = "request cut"     // the server gets the first part of it, maybe all but the last message
	DropReply   Fate = "reply dropped"   // the server answers, the client gets none of it
	CutReply    Fate = "reply cut"       // the client gets the first part of it, maybe all but the last message
	HoldReply   Fate = "reply held"      // the server answers, and the client waits for ever
	Forge       Fate = "reply forged"    // the server gets none of it, and the client the answer to an earlier write
)

// Write is what a proxy saw of one write of a ledger.
type Write struct {
	Stream   string
	Seq      int64
	Fate     Fate
	Answered bool   // the client got the server's whole answer
	Error    string // the SQLSTATE of that answer, if it was an error
	Warned   bool   // it held a warning
}

// Proxy stands between a client and a server, and speaks enough of the PostgreSQL protocol to know each write of drill's
// ledger by its stream and number.
type Proxy struct {
	listener net.Listener
	target   string
	fate     func() Fate
	refuse   func() bool // closes a new connection, or one that rests
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	writes []Write
	closed bool
	good   map[string][]byte // an answer to each form of a write, to forge others from
}

// Proxy makes a proxy to the first member, with a DSN that goes through it. A share of the writes meets some fate other
// than Pass, as the random source has it; a smaller share of new and resting connections is closed.
func (p *Pair) Proxy(random *rand.Rand, share float64) (proxy *Proxy, dsn string) {
	p.t.Helper()
	var mu sync.Mutex
	fates := []Fate{DropRequest, DropRequest, CutRequest, CutRequest, DropReply, DropReply, CutReply, CutReply, HoldReply}
	fate := func() Fate {
		mu.Lock()
		defer mu.Unlock()
		if random.Float64() >= share {
			return Pass
		}
		return fates[random.IntN(len(fates))]
	}
	refuse := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64() < share/4
	}
	proxy = newProxy(p.t, p.address(proxyAddr), &Proxy{target: p.First.Address(), fate: fate, refuse: refuse, conns: map[net.Conn]struct{}{}})
	return proxy, strings.Replace(p.DSN(), p.Service.Addr(), proxy.listener.Addr().String(), 1)
}

// Liar makes a proxy to the first member that acknowledges a write without passing it on whenever lies says so, as a
// pooler that loses its queue would, with a DSN that goes through it.
func (p *Pair) Liar(lies func() bool) (proxy *Proxy, dsn string) {
	p.t.Helper()
	fate := func() Fate {
		if lies() {
			return Forge
		}
		return Pass
	}
	proxy = newProxy(p.t, p.address(proxyAddr), &Proxy{target: p.First.Address(), fate: fate, refuse: func() bool { return false }, conns: map[net.Conn]struct{}{}})
	return proxy, strings.Replace(p.DSN(), p.Service.Addr(), proxy.listener.Addr().String(), 1)
}

func newProxy(t testing.TB, address string, p *Proxy) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p.listener = listener
	p.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		p.closed = true
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

// Writes are those that the proxy has seen so far.
func (p *Proxy) Writes() []Write {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Write{}, p.writes...)
}

// track lets the end of the test close the connection.
func (p *Proxy) track(c net.Conn) (untrack func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	if p.closed {
		c.Close()
	}
	return func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
		c.Close()
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer p.track(client)()
	if p.refuse() {
		return
	}
	server, err := net.DialTimeout("tcp", p.target, time.Second)
	if err != nil {
		return
	}
	defer p.track(server)()
	if !login(client, server) {
		return
	}
	for {
		request, w, err := readRequest(client)
		if err != nil || !p.pass(client, server, request, w) {
			return
		}
		if p.refuse() {
			return // while it rests
		}
	}
}

// login passes everything on until the server is ready. A request to cancel a statement ends with the connection.
func login(client, server net.Conn) bool {
	head := make([]byte, 8)
	if _, err := io.ReadFull(client, head); err != nil {
		return false
	}
	rest := make([]byte, binary.BigEndian.Uint32(head)-8)
	if _, err := io.ReadFull(client, rest); err != nil {
		return false
	}
	if _, err := server.Write(append(head, rest...)); err != nil || binary.BigEndian.Uint32(head[4:]) == 80877102 {
		return false
	}
	for {
		m, err := readMessage(server)
		if err != nil {
			return false
		}
		if _, err := client.Write(m); err != nil {
			return false
		}
		switch {
		case m[0] == 'Z':
			return true
		case m[0] == 'R' && m[8] != 0 && m[8] != 12: // neither done nor the last word of SCRAM: the client must answer
			answer, err := readMessage(client)
			if err != nil {
				return false
			}
			if _, err := server.Write(answer); err != nil {
				return false
			}
		}
	}
}

func readMessage(from io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	m := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	copy(m, head)
	_, err := io.ReadFull(from, m[5:])
	return m, err
}

// request is what a client sends up to where it waits for an answer.
type request struct {
	bytes []byte
	sync  int    // where its last message begins
	form  string // the types of its messages
}

// readRequest reads one request; w is set when it writes the ledger.
func readRequest(client net.Conn) (r request, w *Write, err error) {
	writes := false
	for {
		m, err := readMessage(client)
		if err != nil {
			return r, nil, err
		}
		r.sync = len(r.bytes)
		r.bytes = append(r.bytes, m...)
		r.form += string(m[:1])
		switch m[0] {
		case 'P':
			writes = bytes.Contains(m, []byte("failoverdrill.write_1(")) || bytes.Contains(m, []byte("failoverdrill.look_1("))
		case 'B':
			if writes {
				w, err = boundWrite(m)
			}
		case 'X':
			return r, nil, io.EOF
		case 'S', 'Q':
			return r, w, err
		}
		if err != nil {
			return r, nil, err
		}
	}
}

// boundWrite reads the stream and the number from the parameters of a Bind message.
func boundWrite(m []byte) (*Write, error) {
	body := m[5:]
	for range 2 { // the names of the portal and of the statement
		i := bytes.IndexByte(body, 0)
		if i < 0 {
			return nil, errors.New("a Bind message without names")
		}
		body = body[i+1:]
	}
	next := func(n int) []byte { part := body[:n]; body = body[n:]; return part }
	next(2 * int(binary.BigEndian.Uint16(next(2)))) // formats
	var params []string
	for range binary.BigEndian.Uint16(next(2)) {
		params = append(params, string(next(int(binary.BigEndian.Uint32(next(4))))))
	}
	seq, err := strconv.ParseInt(params[2], 10, 64)
	return &Write{Stream: params[1], Seq: seq}, err
}

// pass lets a request meet its fate and notes it. It is false when the connection is to be closed.
func (p *Proxy) pass(client, server net.Conn, r request, w *Write) (open bool) {
	fate := Pass
	if w != nil {
		fate = p.fate()
		w.Fate = fate
		note := sync.OnceFunc(func() { p.mu.Lock(); p.writes = append(p.writes, *w); p.mu.Unlock() })
		defer note()
		if fate == HoldReply {
			defer func() { note(); _, _ = io.Copy(io.Discard, client) }() // the client may hold on for long
		}
	}
	switch fate {
	case Forge:
		if forged := p.earlier(r.form); forged != nil {
			_, err := client.Write(forged)
			w.Answered = err == nil
			return err == nil
		}
		w.Fate = Pass // there is none to forge from yet
	case DropRequest:
		return false
	case CutRequest:
		cut := r.sync // the statement runs, but its transaction never ends
		if w.Seq%2 == 0 {
			cut = r.sync / 2
		}
		_, _ = server.Write(r.bytes[:cut])
		return false
	}
	if _, err := server.Write(r.bytes); err != nil {
		return false
	}
	reply, ready, err := readReply(server, w)
	if err != nil {
		return false
	}
	switch fate {
	case DropReply:
		return false
	case CutReply:
		cut := ready // all but the word that the server is ready: the commit comes before that
		if w.Seq%2 == 0 {
			cut = int(w.Seq) % ready
		}
		_, _ = client.Write(reply[:cut])
		return false
	case HoldReply:
		return false
	}
	if gone(client) {
		return false
	}
	if _, err := client.Write(reply); err != nil {
		return false
	}
	if w != nil {
		w.Answered = true
		p.keep(r.form, reply, *w)
	}
	return true
}

// keep keeps a good answer to a form of a write.
func (p *Proxy) keep(form string, reply []byte, w Write) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.Error == "" && !w.Warned {
		if p.good == nil {
			p.good = map[string][]byte{}
		}
		p.good[form] = reply
	}
}

// earlier is an answer to a write of the form, or nil.
func (p *Proxy) earlier(form string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.good[form]
}

// readReply reads everything up to the server's word that it is ready again, which begins at ready.
func readReply(server net.Conn, w *Write) (reply []byte, ready int, err error) {
	for {
		m, err := readMessage(server)
		if err != nil {
			return nil, 0, err
		}
		ready = len(reply)
		reply = append(reply, m...)
		switch {
		case m[0] == 'Z':
			return reply, ready, nil
		case w == nil:
		case m[0] == 'E':
			w.Error = field(m, 'C')
		case m[0] == 'N':
			w.Warned = w.Warned || field(m, 'V') == "WARNING"
		}
	}
}

// field reads one field of an error or a notice.
func field(m []byte, name byte) string {
	for part := range bytes.SplitSeq(m[5:], []byte{0}) {
		if len(part) > 0 && part[0] == name {
			return string(part[1:])
		}
	}
	return ""
}

// gone reports whether the client has given up waiting.
func gone(client net.Conn) bool {
	_ = client.SetReadDeadline(time.Now())
	_, err := client.Read(make([]byte, 1))
	_ = client.SetReadDeadline(time.Time{})
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}
