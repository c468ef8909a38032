package probes

import (
	"context"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/net/http/httpguts"

	"github.com/failoverdrill/drill/internal/drill"
)

// httpSpec is a probe "http" block.
type httpSpec struct {
	URL     string
	Method  string
	Headers map[string]string
	Status  []int // expected; empty: any 2xx
	Content content
	Class   drill.Class
	pace
}

// httpBlock is the block as it is written.
type httpBlock struct {
	URL          string             `hcl:"url"`
	URLRange     hcl.Range          `hcl:"url,attr_value_range"`
	Method       *string            `hcl:"method,optional"`
	MethodRange  hcl.Range          `hcl:"method,attr_value_range"`
	Headers      *map[string]string `hcl:"headers,optional"`
	HeadersRange hcl.Range          `hcl:"headers,attr_value_range"`
	Status       hcl.Expression     `hcl:"expect_status,optional"`
	Body         *string            `hcl:"expect_body,optional"`
	BodyRange    hcl.Range          `hcl:"expect_body,attr_value_range"`
	Regex        *string            `hcl:"expect_body_regex,optional"`
	RegexRange   hcl.Range          `hcl:"expect_body_regex,attr_value_range"`
	JSON         hcl.Expression     `hcl:"expect_json,optional"`
	Class        *string            `hcl:"class,optional"`
	ClassRange   hcl.Range          `hcl:"class,attr_value_range"`
	Rate         *int               `hcl:"rate,optional"`
	RateRange    hcl.Range          `hcl:"rate,attr_value_range"`
	Timeout      *string            `hcl:"timeout,optional"`
	TimeoutRange hcl.Range          `hcl:"timeout,attr_value_range"`
}

const (
	// maxBody is how much of an answer is read.
	maxBody = 1 << 20
	// keptAlive is how many connections a pooled probe holds. They are used in turn, so that each is seen to live or
	// die: behind a Service they lead to several pods.
	keptAlive = 5
)

func httpKind() Kind {
	return define(Kind{
		Name: "http", Doc: "Whether an HTTP server answers as it should.", Attributes: availability(),
	}, impl[httpSpec]{decode: decodeHTTP, bind: bindHTTP})
}

func decodeHTTP(body hcl.Body, ctx *hcl.EvalContext) (httpSpec, hcl.Diagnostics) {
	var b httpBlock
	diags := gohcl.DecodeBody(body, ctx, &b)
	if diags.HasErrors() {
		return httpSpec{}, diags
	}
	p := &problems{diags}
	spec := httpSpec{
		URL: b.URL, Method: http.MethodGet, Class: drill.ClassFresh, pace: p.pace(b.Rate, b.RateRange, b.Timeout, b.TimeoutRange),
	}
	spec.Status = p.status(b.Status, ctx)
	p.url(b.URL, b.URLRange, "http://checkout.shop/healthz")
	if b.Method != nil {
		if spec.Method = *b.Method; spec.Method != http.MethodGet && spec.Method != http.MethodHead {
			p.wrong(b.MethodRange, "Unsuitable method", "A probe only reads: method is \"GET\" or \"HEAD\", not %q.", spec.Method)
		}
	}
	if b.Headers != nil {
		spec.Headers = *b.Headers
		for _, name := range slices.Sorted(maps.Keys(spec.Headers)) {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(spec.Headers[name]) {
				p.wrong(b.HeadersRange, "Invalid header", "%q is not a header that can be sent.", name)
			}
		}
	}
	spec.Content = p.content(&b, spec.Method, ctx)
	if b.Class != nil {
		if spec.Class = drill.Class(*b.Class); spec.Class != drill.ClassFresh && spec.Class != drill.ClassPooled {
			p.wrong(b.ClassRange, "Unknown class", "class is \"fresh\", a new connection in every slot, or \"pooled\", kept connections; not %q.", *b.Class)
		}
	}
	return spec, p.Diagnostics
}

// status reads expect_status, a number or a list of numbers.
func (p *problems) status(expr hcl.Expression, ctx *hcl.EvalContext) []int {
	v, diags := expr.Value(ctx)
	p.Diagnostics = append(p.Diagnostics, diags...)
	if diags.HasErrors() || v.IsKnown() && v.IsNull() {
		return nil
	}
	list := []cty.Value{v}
	if v.IsWhollyKnown() && (v.Type().IsTupleType() || v.Type().IsListType()) {
		list = v.AsValueSlice()
	}
	var codes []int
	for _, c := range list {
		code := 0.0
		if c.IsWhollyKnown() && !c.IsNull() && c.Type() == cty.Number {
			code, _ = c.AsBigFloat().Float64()
		}
		if code < 100 || code > 599 || code != math.Trunc(code) {
			p.wrong(expr.Range(), "Invalid expect_status", "expect_status is an HTTP status, such as 200, or a list of them, such as [200, 204].")
			return nil
		}
		codes = append(codes, int(code))
	}
	if len(codes) == 0 {
		p.wrong(expr.Range(), "Invalid expect_status", "An empty list expects nothing. Remove expect_status to expect any status from 200 to 299.")
	}
	return codes
}

// httpProbe sends one request a slot.
type httpProbe struct {
	name       string
	spec       httpSpec
	transports []*http.Transport
}

func bindHTTP(_ Deps, name string, spec httpSpec) (drill.Probe, error) {
	h := &httpProbe{name: name, spec: spec}
	n := 1
	if spec.Class == drill.ClassPooled {
		n = keptAlive
	}
	for range n {
		h.transports = append(h.transports, &http.Transport{
			DialContext:         (&net.Dialer{KeepAlive: -1}).DialContext, // the slot's deadline rules
			DisableKeepAlives:   spec.Class != drill.ClassPooled,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     time.Minute,
			// No proxy: the environment's would answer in the place of what is probed.
		})
	}
	return h, nil
}

// Info describes the probe.
func (h *httpProbe) Info() drill.ProbeInfo { return h.spec.info("http", h.name, h.spec.Class) }

// Sample sends the request and reads the whole answer. Redirects are answers like any other.
func (h *httpProbe) Sample(ctx context.Context, s *drill.Sample) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// net/http sends a request again when a kept connection turns out to be dead. A slot is one attempt: a retry would
	// hide what became of the connection.
	attempts := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) {
		if attempts++; attempts > 1 {
			cancel()
		}
	}})
	req, err := http.NewRequestWithContext(ctx, h.spec.Method, h.spec.URL, nil)
	if err != nil {
		fail(s, drill.SignalError)
		return
	}
	for name, value := range h.spec.Headers {
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	res, err := h.transports[s.Slot%int64(len(h.transports))].RoundTrip(req)
	if err != nil {
		fail(s, drill.NetworkSignal(err))
		return
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	_ = res.Body.Close()
	switch {
	case err != nil:
		fail(s, drill.NetworkSignal(err))
	case !h.expected(res.StatusCode):
		fail(s, drill.SignalHTTP(res.StatusCode))
	case !h.spec.Content.holds(body):
		fail(s, drill.SignalBody)
	default:
		s.Outcome = drill.OutcomeOK
	}
}

func (h *httpProbe) expected(status int) bool {
	if len(h.spec.Status) == 0 {
		return status >= 200 && status < 300
	}
	return slices.Contains(h.spec.Status, status)
}
