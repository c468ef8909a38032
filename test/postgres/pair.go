// Package postgres starts a real PostgreSQL pair, a primary and a streaming standby, on loopback for tests.
package postgres

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// The login that every pair has. The role owns the database and is no superuser, like an application's.
const (
	User     = "app"
	Password = "s3cret-of-the-app"
	Database = "orders"
)

// Names and addresses of a pair's members. Both listen on one port, as pods of one StatefulSet do.
const (
	firstName, firstAddr   = "orders-0", "127.0.0.1"
	secondName, secondAddr = "orders-1", "127.0.0.2"
	serviceAddr            = "127.0.0.3"
	streamAddr             = "127.0.0.4"
	proxyAddr              = "127.0.0.5"
)

// Pair is a primary and its standby. Service stands for the writable Service: it sends new connections to one member.
// Stream carries the replication, so that a test can delay it, stop it or cut it off.
type Pair struct {
	First, Second *Server // First starts as the primary
	Port          int
	Service       *Relay
	Stream        *Relay

	t   testing.TB
	dir string
}

// Start makes a pair and waits until the standby streams. The test fails when PostgreSQL is not installed. Everything
// is stopped and removed at the end of the test.
func Start(t testing.TB) *Pair {
	t.Helper()
	dir := t.TempDir()
	// The servers run as another user, who must be able to enter the directories above theirs.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // only traversal; the data directories are 0700
			t.Fatal(err)
		}
	}
	p := &Pair{t: t, dir: dir, Port: freePort(t)}
	p.First = newServer(t, firstName, firstAddr, p.Port, dir)
	p.Second = newServer(t, secondName, secondAddr, p.Port, dir)
	p.Service = NewRelay(t, p.address(serviceAddr))
	p.Stream = NewRelay(t, p.address(streamAddr))

	p.First.initialise()
	p.First.Start()
	p.First.Exec(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", User, Password))
	p.First.Exec(fmt.Sprintf("CREATE DATABASE %s OWNER %s", Database, User))
	p.Service.Route(p.First.Address())
	p.follow(p.Second, p.First)
	return p
}

// DSN is what an application connects with: the Service, as the application's role.
func (p *Pair) DSN() string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", User, Password, p.Service.Addr(), Database)
}

// FailOver makes the standby the primary and points the Service at it. Kill the old primary before, or have two.
func (p *Pair) FailOver() {
	p.t.Helper()
	p.Second.Promote()
	p.Service.Route(p.Second.Address())
}

// Rejoin rebuilds the first member as the standby of the second.
func (p *Pair) Rejoin() {
	p.t.Helper()
	p.First.Kill()
	p.follow(p.First, p.Second)
}

// Autopsy starts what the killed first member has left behind, alone and at another port, so that a test can read what
// it had committed.
func (p *Pair) Autopsy() *Server {
	p.t.Helper()
	dead := newServer(p.t, p.First.Name+"-dead", firstAddr, freePort(p.t), p.dir)
	if err := os.Rename(p.First.data, dead.data); err != nil {
		p.t.Fatal(err)
	}
	dead.configure()
	dead.Start()
	return dead
}

// Split leaves two primaries: the standby is promoted and the first primary goes on.
func (p *Pair) Split() {
	p.t.Helper()
	p.Stream.Cut()
	p.Second.Promote()
}

// follow makes s a fresh copy of the primary, streaming through the pair's relay.
func (p *Pair) follow(s, primary *Server) {
	p.t.Helper()
	p.Stream.Route(primary.Address())
	host, port, err := net.SplitHostPort(p.Stream.Addr())
	if err != nil {
		p.t.Fatal(err)
	}
	s.copyFrom(primary, fmt.Sprintf("host=%s port=%s user=postgres application_name=%s", host, port, s.Name))
	s.Start()
	s.waitFor("SELECT status = 'streaming' FROM pg_stat_wal_receiver")
}

func (p *Pair) address(ip string) string { return net.JoinHostPort(ip, strconv.Itoa(p.Port)) }

// freePort finds a port that is free on each of the pair's addresses.
func freePort(t testing.TB) int {
	t.Helper()
	for range 50 {
		if port, ok := tryPort(t); ok {
			return port
		}
	}
	t.Fatal("no port is free on all five loopback addresses")
	return 0
}

func tryPort(t testing.TB) (int, bool) {
	t.Helper()
	first, err := net.Listen("tcp", net.JoinHostPort(firstAddr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	port := first.Addr().(*net.TCPAddr).Port
	for _, ip := range []string{secondAddr, serviceAddr, streamAddr, proxyAddr} {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
		if err != nil {
			return 0, false
		}
		defer l.Close()
	}
	return port, true
}
