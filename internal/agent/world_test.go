package agent

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// side is one of two network namespaces of the test's own, with a wire between them. Nothing in them reaches anything else.
type side struct {
	namespace
	v4, v6 netip.Addr
}

// twoSides makes them. It needs root, and fails without: these tests never skip.
func twoSides(t *testing.T) (a, b *side) {
	t.Helper()
	require.Zero(t, os.Geteuid(), "the agent's tests make network namespaces, and need root")
	a = &side{newNamespace(t), netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("fd77::1")}
	b = &side{newNamespace(t), netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("fd77::2")}
	require.NoError(t, a.do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(b.fd())})
	}))
	for _, s := range []*side{a, b} {
		require.NoError(t, s.do(func() error {
			for _, name := range []string{"lo", "eth0"} {
				link, err := netlink.LinkByName(name)
				if err != nil {
					return err
				}
				if err := netlink.LinkSetUp(link); err != nil {
					return err
				}
			}
			link, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			for _, ip := range []netip.Addr{s.v4, s.v6} {
				bits := 24
				flags := 0
				if ip.Is6() {
					bits, flags = 64, 0x02 // no duplicate address detection: the address works at once
				}
				addr := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(bits, ip.BitLen())}, Flags: flags}
				if err := netlink.AddrAdd(link, addr); err != nil {
					return fmt.Errorf("add %s: %w", ip, err)
				}
			}
			return nil
		}))
	}
	return a, b
}

func newNamespace(t *testing.T) namespace {
	t.Helper()
	made := make(chan namespace, 1)
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends, the namespace stays by its descriptor
		h, err := netns.New()
		if err != nil {
			failed <- err
			return
		}
		made <- namespace{os.NewFile(uintptr(h), "netns")}
	}()
	select {
	case n := <-made:
		t.Cleanup(func() { _ = n.close() })
		return n
	case err := <-failed:
		require.NoError(t, err, "make a network namespace")
		return namespace{}
	}
}

// nft runs nft in the namespace.
func (s *side) nft(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, s.do(func() error {
		c := exec.Command("nft", args...)
		c.Stdout, c.Stderr = &out, &out
		return c.Run()
	}), "nft %s: %s", strings.Join(args, " "), &out)
	return out.String()
}

// echo answers on both addresses until the test ends, and returns the port of each.
func (s *side) echo(t *testing.T) (v4, v6 netip.AddrPort) {
	t.Helper()
	listen := func(ip netip.Addr) netip.AddrPort {
		var l net.Listener
		require.NoError(t, s.do(func() (err error) {
			l, err = net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
			return err
		}))
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
			}
		}()
		return netip.MustParseAddrPort(l.Addr().String())
	}
	return listen(s.v4), listen(s.v6)
}

// dial opens a connection from the namespace.
func (s *side) dial(to netip.AddrPort, within time.Duration) (net.Conn, error) {
	var c net.Conn
	err := s.do(func() (err error) {
		c, err = net.DialTimeout("tcp", to.String(), within)
		return err
	})
	return c, err
}

// pings tries once whether the connection echoes.
func pings(c net.Conn, within time.Duration) bool {
	_ = c.SetDeadline(time.Now().Add(within))
	if _, err := c.Write([]byte("ping")); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 4))
	return err == nil
}

// reaches reports whether a new connection echoes.
func (s *side) reaches(to netip.AddrPort) bool {
	c, err := s.dial(to, 400*time.Millisecond)
	if err != nil {
		return false
	}
	defer c.Close()
	return pings(c, 400*time.Millisecond)
}

// flowsAgain measures how long it takes from since until a new connection echoes.
func (s *side) flowsAgain(t *testing.T, to netip.AddrPort, since time.Time, limit time.Duration) time.Duration {
	t.Helper()
	for time.Since(since) < limit {
		if c, err := s.dial(to, 100*time.Millisecond); err == nil {
			ok := pings(c, 100*time.Millisecond)
			_ = c.Close()
			if ok {
				return time.Since(since)
			}
		}
	}
	t.Fatalf("nothing flows after %s", limit)
	return 0
}
