package probes

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// promqlSpec is a probe "promql" block.
type promqlSpec struct {
	URL      string
	Query    string
	Interval time.Duration
	Timeout  time.Duration
}

// A query costs its server much more than a slot of any other probe, and its answer changes no faster than it scrapes.
const (
	defaultQueryInterval = 5 * time.Second
	minQueryInterval     = time.Second
	maxQueryInterval     = time.Minute
	defaultQueryTimeout  = 2 * time.Second
	maxQueryTimeout      = 10 * time.Second
)

// Signals of a query that was answered.
const (
	signalBadQuery   = "bad_query"   // Prometheus cannot evaluate it
	signalManyValues = "many_values" // the result has more than one element
)

func promqlKind() Kind {
	return define(Kind{
		Name: "promql", Doc: "The value of a PromQL query.", Attributes: []schema.Attribute{schema.Any("value", "The newest value of the query.")},
		Example: `probe "promql" "queue" {
  url   = "http://prometheus.monitoring:9090"
  query = "max(queue_depth{queue=\"orders\"})"
}
`,
	}, impl[promqlSpec]{
		body: schema.Body[promqlSpec]{
			Defaults: promqlSpec{Interval: defaultQueryInterval, Timeout: defaultQueryTimeout},
			Arguments: func(s *promqlSpec) []schema.Argument {
				return []schema.Argument{
					schema.String("url", &s.URL, "That of a Prometheus, or of what speaks its HTTP API; without a user and password.", schema.Required(), checkURL("http://prometheus.monitoring:9090")),
					schema.String("query", &s.Query, "PromQL whose result is a scalar, or a vector with at most one element.", schema.Required(), schema.Check(func(query string) (string, string) {
						if query == "" {
							return "Empty query", "Write a PromQL query whose result is one number, such as \"sum(up{job=\\\"checkout\\\"})\"."
						}
						return "", ""
					})),
					schema.Duration("interval", &s.Interval, "How long it is from one query to the next.", schema.Between(minQueryInterval, maxQueryInterval)),
					schema.Duration("timeout", &s.Timeout, "How long a query may take.", schema.Between(minTimeout, maxQueryTimeout)),
				}
			},
		},
		host: func(s promqlSpec) string { return hostOf(s.URL) },
		bind: bindPromQL,
	})
}

// promqlProbe asks a Prometheus for one number.
type promqlProbe struct {
	name string
	spec promqlSpec
	api  prometheus.API
	idle interface{ CloseIdleConnections() }
	log  *zap.Logger
	told atomic.Bool // why a query fails is logged once, until one succeeds again
}

func bindPromQL(d Deps, name string, spec promqlSpec) (drill.Probe, error) {
	transport := &http.Transport{DialContext: d.Reach.Bound(net.Dialer{}, nil).DialContext, IdleConnTimeout: time.Minute}
	client, err := api.NewClient(api.Config{Address: spec.URL, RoundTripper: transport})
	if err != nil {
		return nil, &drill.Refusal{Code: "invalid_probe", Text: fmt.Sprintf("Prometheus at %s cannot be asked", spec.URL), Err: err}
	}
	return &promqlProbe{name: name, spec: spec, api: prometheus.NewAPI(client), idle: transport, log: d.Log}, nil
}

// Info describes the probe.
func (q *promqlProbe) Info() drill.ProbeInfo {
	return drill.ProbeInfo{
		Name: q.name, Kind: "promql", Class: drill.ClassPooled, Value: "value",
		Interval: q.spec.Interval, Deadline: q.spec.Timeout, Sessions: 2 + int(q.spec.Timeout/q.spec.Interval),
	}
}

// Sample evaluates the query now. A result without an element, or that is no finite number, is an answer without a value.
func (q *promqlProbe) Sample(ctx context.Context, s *drill.Sample) {
	result, _, _, err := q.api.Query(ctx, q.spec.Query, time.Time{})
	if err != nil {
		if !q.told.Swap(true) {
			q.log.Warn("the query of a probe fails", zap.String("probe", q.name), zap.Error(err))
		}
		fail(s, querySignal(err))
		return
	}
	q.told.Store(false)
	var value float64
	some := true
	switch r := result.(type) {
	case *model.Scalar:
		value = float64(r.Value)
	case model.Vector:
		switch len(r) {
		case 0:
			some = false
		case 1:
			value = float64(r[0].Value)
		default:
			fail(s, signalManyValues)
			return
		}
	default:
		fail(s, signalBadQuery) // a range or a string
		return
	}
	s.Outcome = drill.OutcomeOK
	if some && !math.IsNaN(value) && !math.IsInf(value, 0) {
		s.Value, s.Valued = value, true
	}
}

// querySignal names the way in which a query failed.
func querySignal(err error) string {
	if answer, ok := errors.AsType[*prometheus.Error](err); ok {
		status := 0
		switch answer.Type {
		case prometheus.ErrBadData, prometheus.ErrExec:
			return signalBadQuery
		case prometheus.ErrServer: // the client keeps the status in its words only
			_, _ = fmt.Sscanf(answer.Msg, "server error: %d", &status)
		case prometheus.ErrClient:
			_, _ = fmt.Sscanf(answer.Msg, "client error: %d", &status)
		}
		if status == 0 {
			return drill.SignalError
		}
		return drill.SignalHTTP(status)
	}
	return drill.NetworkSignal(err)
}
