package probes

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
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
		Example: `probe "http" "checkout" {
  url           = "http://checkout.shop/healthz"
  expect_status = [200, 204]
  expect_json   = { "status" = "ok", "stock.lag" = 0 }
  rate          = 20
}
`,
	}, impl[httpSpec]{
		body: schema.Body[httpSpec]{
			Defaults:  httpSpec{Method: http.MethodGet, Class: drill.ClassFresh, pace: defaultPace()},
			Arguments: httpArguments,
			Check:     (*httpSpec).check,
		},
		host: func(s httpSpec) string { return hostOf(s.URL) },
		bind: bindHTTP,
	})
}

func httpArguments(s *httpSpec) []schema.Argument {
	all := []schema.Argument{
		schema.String("url", &s.URL, "What is asked for, by `http` or `https`; without a user and password.", schema.Required(), checkURL("http://checkout.shop/healthz")),
		schema.String("method", &s.Method, "How it is asked for; the answer to `HEAD` has no body.", schema.OneOf(http.MethodGet, http.MethodHead), schema.Hint("A probe only reads.")),
		schema.StringMap("headers", &s.Headers, "Sent with each request; `Host` sets the host that is asked for. They are printed, so they cannot hold a secret."),
		schema.Numbers("expect_status", &s.Status, "The statuses that are good. Redirects are not followed: they are answers.", schema.Default("200 to 299")),
	}
	all = append(all, s.Content.arguments()...)
	all = append(all, schema.String("class", &s.Class, "`fresh`: a new connection with DNS and TLS in each slot. `pooled`: five kept connections, used in turn.",
		schema.OneOf(string(drill.ClassFresh), string(drill.ClassPooled)), schema.Hint("\"fresh\" makes a new connection in every slot, \"pooled\" keeps connections.")))
	return append(all, s.paceArguments()...)
}

func (s *httpSpec) check(d *schema.Decoded) {
	s.checkPace(d)
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(s.Headers[name]) {
			d.Report(d.AtKey("headers", name), "Invalid header", "%q is not a header that can be sent.", name)
		}
	}
	for i, code := range s.Status {
		if code < 100 || code > 599 {
			d.Report(d.AtElement("expect_status", i), "Invalid expect_status", "%d is not an HTTP status. Write one from 100 to 599, or a list of them, such as [200, 204].", code)
		}
	}
	if s.Status != nil && len(s.Status) == 0 {
		d.Report(d.At("expect_status"), "Invalid expect_status", "An empty list expects nothing. Remove expect_status to expect any status from 200 to 299.")
	}
	for _, name := range []string{"expect_body", "expect_body_regex", "expect_json"} {
		if s.Method == http.MethodHead && d.Given(name) {
			d.Report(d.At(name), "Body of a HEAD request", "The answer to HEAD has no body. Remove what is expected of it, or use method \"GET\".")
		}
	}
}

// httpProbe sends one request a slot.
type httpProbe struct {
	name       string
	spec       httpSpec
	transports []*http.Transport
	matching   chan struct{} // one at a time compares the content: a match that takes long must not take every processor
}

func bindHTTP(d Deps, name string, spec httpSpec) (drill.Probe, error) {
	h := &httpProbe{name: name, spec: spec, matching: make(chan struct{}, 1)}
	n := 1
	if spec.Class == drill.ClassPooled {
		n = keptAlive
	}
	for range n {
		h.transports = append(h.transports, &http.Transport{
			DialContext:         d.Reach.Bound(net.Dialer{KeepAlive: -1}, nil).DialContext, // the slot's deadline rules
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
	default:
		h.compare(ctx, s, body)
	}
}

// compare looks at the content, one answer at a time.
func (h *httpProbe) compare(ctx context.Context, s *drill.Sample, body []byte) {
	select {
	case h.matching <- struct{}{}:
		defer func() { <-h.matching }()
	case <-ctx.Done():
		fail(s, drill.NetworkSignal(context.DeadlineExceeded))
		return
	}
	if !h.spec.Content.holds(body) {
		fail(s, drill.SignalBody)
		return
	}
	s.Outcome = drill.OutcomeOK
}

func (h *httpProbe) expected(status int) bool {
	if len(h.spec.Status) == 0 {
		return status >= 200 && status < 300
	}
	return slices.Contains(h.spec.Status, status)
}
