package targets

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestT14ADSNLeadsToNoDeniedAddress: nothing is sent there, whichever way leads to it; a member's own address is allowed.
func TestT14ADSNLeadsToNoDeniedAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan struct{}, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			c.Close()
		}
	}()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		d, err := newDialer("postgres://app:pw@"+strings.Replace(l.Addr().String(), "127.0.0.1", host, 1)+"/orders?sslmode=disable", "")
		require.NoError(t, err)
		d.bind(&kube.Reach{}, nil)
		_, err = d.service(t.Context())
		require.ErrorIs(t, err, drill.ErrDenied)
		require.ErrorContains(t, err, "probe-allow")
	}
	require.Empty(t, accepted)
	d, err := newDialer("postgres://app:pw@"+l.Addr().String()+"/orders?sslmode=disable", "")
	require.NoError(t, err)
	d.bind(&kube.Reach{}, func(ip netip.Addr) bool { return ip == netip.MustParseAddr("127.0.0.1") })
	_, err = d.service(t.Context())
	require.NotErrorIs(t, err, drill.ErrDenied)
	<-accepted
}
