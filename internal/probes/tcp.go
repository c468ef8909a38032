package probes

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// tcpSpec is a probe "tcp" block.
type tcpSpec struct {
	Address string
	pace
}

func tcpKind() Kind {
	return define(Kind{
		Name: "tcp", Doc: "Whether a TCP connection is accepted.", Attributes: availability(),
		Example: `probe "tcp" "mail" {
  address = "mail.shop:25"
}
`,
	}, impl[tcpSpec]{
		body: schema.Body[tcpSpec]{
			Defaults: tcpSpec{pace: defaultPace()},
			Arguments: func(s *tcpSpec) []schema.Argument {
				return append([]schema.Argument{
					schema.String("address", &s.Address, "Host and port.", schema.Required(), schema.Check(checkAddress)),
				}, s.paceArguments()...)
			},
			Check: func(s *tcpSpec, d *schema.Decoded) { s.checkPace(d) },
		},
		host: func(s tcpSpec) string {
			host, _, _ := net.SplitHostPort(s.Address)
			return host
		},
		bind: func(d Deps, name string, spec tcpSpec) (drill.Probe, error) {
			return &tcpProbe{name: name, spec: spec, dialer: d.Reach.Bound(net.Dialer{KeepAlive: -1}, nil)}, nil
		},
	})
}

func checkAddress(address string) (summary, detail string) {
	host, port, err := net.SplitHostPort(address)
	number, bad := strconv.Atoi(port)
	if err != nil || bad != nil || host == "" || number < 1 || number > 65535 {
		return "Invalid address", fmt.Sprintf("%q is not an address. Write a host and a port, such as \"orders.shop:5432\".", address)
	}
	return "", ""
}

// tcpProbe connects anew in every slot.
type tcpProbe struct {
	name   string
	spec   tcpSpec
	dialer *kube.Dialer
}

// Info describes the probe.
func (t *tcpProbe) Info() drill.ProbeInfo { return t.spec.info("tcp", t.name, drill.ClassFresh) }

// Sample is good once the connection is accepted.
func (t *tcpProbe) Sample(ctx context.Context, s *drill.Sample) {
	conn, err := t.dialer.DialContext(ctx, "tcp", t.spec.Address)
	if err != nil {
		fail(s, drill.NetworkSignal(err))
		return
	}
	s.Outcome = drill.OutcomeOK
	_ = conn.Close()
}
