package probes

import (
	"context"
	"net"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"

	"github.com/failoverdrill/drill/internal/drill"
)

// tcpSpec is a probe "tcp" block.
type tcpSpec struct {
	Address string
	pace
}

// tcpBlock is the block as it is written.
type tcpBlock struct {
	Address      string    `hcl:"address"`
	AddressRange hcl.Range `hcl:"address,attr_value_range"`
	Rate         *int      `hcl:"rate,optional"`
	RateRange    hcl.Range `hcl:"rate,attr_value_range"`
	Timeout      *string   `hcl:"timeout,optional"`
	TimeoutRange hcl.Range `hcl:"timeout,attr_value_range"`
}

func tcpKind() Kind {
	return define(Kind{
		Name: "tcp", Doc: "Whether a TCP connection is accepted.", Attributes: availability(),
	}, impl[tcpSpec]{
		decode: decodeTCP,
		bind: func(_ Deps, name string, spec tcpSpec) (drill.Probe, error) {
			return &tcpProbe{name: name, spec: spec}, nil
		},
	})
}

func decodeTCP(body hcl.Body, ctx *hcl.EvalContext) (tcpSpec, hcl.Diagnostics) {
	var b tcpBlock
	diags := gohcl.DecodeBody(body, ctx, &b)
	if diags.HasErrors() {
		return tcpSpec{}, diags
	}
	p := &problems{diags}
	spec := tcpSpec{Address: b.Address, pace: p.pace(b.Rate, b.RateRange, b.Timeout, b.TimeoutRange)}
	host, port, err := net.SplitHostPort(b.Address)
	number, bad := strconv.Atoi(port)
	if err != nil || bad != nil || host == "" || number < 1 || number > 65535 {
		p.wrong(b.AddressRange, "Invalid address", "%q is not an address. Write a host and a port, such as \"orders.shop:5432\".", b.Address)
	}
	return spec, p.Diagnostics
}

// tcpProbe connects anew in every slot.
type tcpProbe struct {
	name string
	spec tcpSpec
}

// Info describes the probe.
func (t *tcpProbe) Info() drill.ProbeInfo { return t.spec.info("tcp", t.name, drill.ClassFresh) }

// Sample is good once the connection is accepted.
func (t *tcpProbe) Sample(ctx context.Context, s *drill.Sample) {
	conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", t.spec.Address)
	if err != nil {
		fail(s, drill.NetworkSignal(err))
		return
	}
	s.Outcome = drill.OutcomeOK
	_ = conn.Close()
}
