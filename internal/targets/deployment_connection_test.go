package targets

import (
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// clients is a server that keeps every connection that it accepts.
type clients struct {
	net.Listener
	accepted chan *net.TCPConn
}

func newClients(t *testing.T) (*clients, int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	c := &clients{l, make(chan *net.TCPConn, 10)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.accepted <- conn.(*net.TCPConn)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, err := strconv.ParseInt(port, 10, 32)
	require.NoError(t, err)
	return c, int32(n)
}

// TestDeploymentConnection: a process that is on its way out refuses new connections and serves those that are open.
func TestDeploymentConnection(t *testing.T) {
	web, webPort := newClients(t)
	admin, adminPort := newClients(t)
	s := newShop(t)
	slice, err := s.kube.DiscoveryV1().EndpointSlices("shop").Get(t.Context(), "checkout-abc", metav1.GetOptions{})
	require.NoError(t, err)
	slice.Ports = []discoveryv1.EndpointPort{{Port: &webPort}, {Port: &adminPort}}
	require.NoError(t, s.kube.Tracker().Update(sliceResource, slice, "shop"))
	target := s.target(checkoutBlock)
	_, err = target.Open(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, target.Close(t.Context())) }()

	m := drill.Member{Namespace: "shop", Name: "a", UID: "uid-a", IP: "127.0.0.1"}
	require.Equal(t, drill.Connection{}, target.Connection(m), "none was asked for")
	target.Connect(t.Context(), m)
	first := <-web.accepted
	<-admin.accepted
	target.Connect(t.Context(), m)
	_, err = first.Read(make([]byte, 1))
	require.Error(t, err, "the one before it is closed")
	atWeb, atAdmin := <-web.accepted, <-admin.accepted
	other := m
	other.UID = "uid-b"
	require.Equal(t, drill.Connection{}, target.Connection(other))

	web.Close()
	admin.Close()
	require.False(t, target.Answers(t.Context(), m))
	_, err = atWeb.Write([]byte("a server may speak first"))
	require.NoError(t, err)
	require.Equal(t, drill.ConnectionOpen, target.Connection(m).State)
	require.NoError(t, atAdmin.Close())
	lines := target.(*stateless).held["uid-a"]
	require.Eventually(t, func() bool {
		lines[1].mu.Lock()
		defer lines[1].mu.Unlock()
		return lines[1].state.State == drill.ConnectionEnded
	},
		2*time.Second, time.Millisecond)
	require.Equal(t, drill.ConnectionOpen, target.Connection(m).State, "one of the two is left")
	require.NoError(t, atWeb.SetLinger(0)) // a reset, as from a process that is killed with data unread
	before := time.Now()
	require.NoError(t, atWeb.Close())
	require.Eventually(t, func() bool { return target.Connection(m).State == drill.ConnectionEnded }, 2*time.Second, time.Millisecond)
	require.False(t, target.Connection(m).Since.Before(before), "the last one counts")

	target.Connect(t.Context(), m) // nobody accepts any more
	require.Equal(t, drill.Connection{}, target.Connection(m))
}

// lostConn is a connection whose keepalives have not been answered.
type lostConn struct {
	net.Conn
	err error
}

func (c lostConn) Read([]byte) (int, error) { return 0, &net.OpError{Op: "read", Err: c.err} }
func (lostConn) Close() error               { return nil }

func TestHeldConnectionOfALostNode(t *testing.T) {
	for err, want := range map[error]drill.ConnectionState{
		syscall.ETIMEDOUT: drill.ConnectionSilent, syscall.EHOSTUNREACH: drill.ConnectionSilent,
		syscall.ECONNRESET: drill.ConnectionEnded, net.ErrClosed: drill.ConnectionOpen, // drill's own end says nothing
	} {
		h := &held{conn: lostConn{err: err}, state: drill.Connection{State: drill.ConnectionOpen}}
		h.await()
		require.Equal(t, want, h.state.State, err)
	}
}
