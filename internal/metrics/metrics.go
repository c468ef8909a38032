// Package metrics is an observer that turns a run's events into Prometheus series.
package metrics

import (
	"cmp"
	"math"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

// Metrics observes one run while it goes on. The names and their meaning are those of docs/metrics.md; the run's id is
// never a label. What outlives the run is the server's to export, or it would be there twice.
type Metrics struct {
	drill string

	mu    sync.Mutex
	live  *measure.Live
	infos map[string]drill.ProbeInfo
	there map[[2]string]bool // the faults in place, by kind and name: a drill may have several of a kind

	faultActive, lag, lagKnown, primaries *prometheus.GaugeVec
	slots                                 *prometheus.CounterVec
	latency, lateness                     *prometheus.HistogramVec
}

// slotBuckets of one slot's latency or lateness, in seconds.
var slotBuckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.1, 0.25, 0.5, 1}

// New registers the series of one drill.
func New(registry *prometheus.Registry, d *drill.Drill, settings drill.Settings) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "drill_" + name, Help: help}, labels)
		registry.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "drill_" + name, Help: help}, labels)
		registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "drill_" + name, Help: help, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1}, labels)
		registry.MustRegister(v)
		return v
	}
	m := &Metrics{
		drill: d.Name, live: measure.NewLive(settings), infos: map[string]drill.ProbeInfo{}, there: map[[2]string]bool{},
		faultActive: gauge("fault_active", "1 from a fault's injection until it is reverted.", "drill", "fault"),
		lag:         gauge("replication_lag_seconds", "Age of the oldest acknowledged write that the member does not show; NaN when it is not known.", "target", "member", "source"),
		lagKnown:    gauge("replication_lag_known", "1 when the member's lag is known.", "target", "member"),
		primaries:   gauge("primaries", "Members that are primary, by view.", "target", "view"),
		slots:       counter("probe_slots_total", "Slots of a probe by outcome.", "drill", "probe", "class", "outcome"),
		latency:     histogram("probe_latency_seconds", "From a slot's scheduled time to its answer.", slotBuckets, "drill", "probe", "class"),
		lateness:    histogram("probe_lateness_seconds", "How much later than scheduled a slot was sent.", slotBuckets, "drill", "probe", "class"),
	}
	for _, f := range d.Faults {
		m.faultActive.WithLabelValues(m.drill, f.Kind).Set(0)
	}
	return m
}

// Observe takes in one event.
func (m *Metrics) Observe(e drill.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live.Event(e)
	switch e.Type {
	case drill.EventProbe:
		m.infos[e.Probe.Name] = *e.Probe
		for _, o := range []drill.Outcome{drill.OutcomeOK, drill.OutcomeFail, drill.OutcomeIndeterminate, drill.OutcomeUnsent, drill.OutcomeBlocked} {
			m.slots.WithLabelValues(m.drill, e.Probe.Name, string(e.Probe.Class), string(o))
		}
	case drill.EventSamples:
		m.samples(e)
	case drill.EventViews:
		m.primaries.WithLabelValues(e.Views.Target, "label").Set(float64(len(e.Views.Label)))
		m.primaries.WithLabelValues(e.Views.Target, "service").Set(float64(len(e.Views.Service)))
		m.primaries.WithLabelValues(e.Views.Target, "member").Set(float64(len(e.Views.Member)))
	case drill.EventFault:
		switch e.Fault.State {
		case drill.FaultInjecting, drill.FaultInjected, drill.FaultConfirmed, drill.FaultResidue:
			m.there[[2]string{e.Fault.Kind, e.Fault.Name}] = true
		case drill.FaultReverted, drill.FaultUnconfirmed:
			delete(m.there, [2]string{e.Fault.Kind, e.Fault.Name})
		}
		active := false
		for f := range m.there {
			active = active || f[0] == e.Fault.Kind
		}
		m.faultActive.WithLabelValues(m.drill, e.Fault.Kind).Set(boolValue(active))
	}
}

func (m *Metrics) samples(e drill.Event) {
	targets := map[string]bool{}
	for _, s := range e.Samples {
		m.live.Sample(s)
		class := string(s.Class)
		m.slots.WithLabelValues(m.drill, s.Probe, class, string(s.Outcome)).Inc()
		if s.Outcome == drill.OutcomeUnsent || s.Outcome == drill.OutcomeBlocked {
			continue
		}
		m.latency.WithLabelValues(m.drill, s.Probe, class).Observe(s.Done.Sub(s.Scheduled).Seconds())
		m.lateness.WithLabelValues(m.drill, s.Probe, class).Observe(s.Lateness().Seconds())
		targets[m.infos[s.Probe].Target] = true
		if s.Reading != nil {
			m.lag.WithLabelValues(m.infos[s.Probe].Target, cmp.Or(s.By, s.Member), "engine").Set(s.Reading.EngineLag)
		}
	}
	for target := range targets {
		for member, lag := range m.live.Lags(target, e.At) {
			value := math.NaN()
			if lag.Known {
				value = float64(lag.Bounds.Upper)
			}
			m.lag.WithLabelValues(target, member, "ledger").Set(value)
			m.lagKnown.WithLabelValues(target, member).Set(boolValue(lag.Known))
		}
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
