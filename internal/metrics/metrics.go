// Package metrics is an observer that turns a run's events into Prometheus series.
package metrics

import (
	"math"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

// Metrics observes runs. The names and their meaning are those of docs/metrics.md; the run's id is never a label.
type Metrics struct {
	drill string
	fault string // the kind of the drill's fault

	mu    sync.Mutex
	live  *measure.Live
	infos map[string]drill.ProbeInfo

	runs, unrecovered                *prometheus.CounterVec
	lastRecovery, lastWrites         *prometheus.GaugeVec
	recovery                         *prometheus.HistogramVec
	inProgress, faultActive, residue *prometheus.GaugeVec
	lag, lagKnown, primaries         *prometheus.GaugeVec
	slots                            *prometheus.CounterVec
	latency, lateness                *prometheus.HistogramVec
}

// verdicts are all there are, so that every series exists before its first event and increase() sees that one.
var verdicts = []drill.Verdict{drill.VerdictPassed, drill.VerdictFailed, drill.VerdictAborted, drill.VerdictRefused,
	drill.VerdictInvalid, drill.VerdictInterrupted, drill.VerdictError}

// buckets of times that a person waits for, in seconds.
var recoveryBuckets = []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600}

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
		drill: d.Name, fault: d.Faults[0].Kind,
		live: measure.NewLive(settings), infos: map[string]drill.ProbeInfo{},
		runs:         counter("runs_total", "Runs that ended, by verdict.", "drill", "fault", "verdict"),
		unrecovered:  counter("unrecovered_total", "Runs whose target never recovered.", "drill", "fault"),
		recovery:     histogram("recovery_seconds", "Recovery time as pooled clients saw it, of the runs that recovered.", recoveryBuckets, "drill", "fault", "phase"),
		lastRecovery: gauge("last_recovery_seconds", "The newest run's recovery time with its bounds; +Inf when it never recovered.", "drill", "phase", "bound"),
		lastWrites:   gauge("last_writes", "The newest run's writes by what became of them.", "drill", "class"),
		inProgress:   gauge("in_progress", "1 while a run of the drill is in progress.", "drill"),
		faultActive:  gauge("fault_active", "1 from a fault's injection until it is reverted.", "drill", "fault"),
		residue:      gauge("fault_residue", "What the newest run's faults left behind; someone must act when it is not 0.", "drill"),
		lag:          gauge("replication_lag_seconds", "Age of the oldest acknowledged write that the member does not show; NaN when it is not known.", "target", "member", "source"),
		lagKnown:     gauge("replication_lag_known", "1 when the member's lag is known.", "target", "member"),
		primaries:    gauge("primaries", "Members that are primary, by view.", "target", "view"),
		slots:        counter("probe_slots_total", "Slots of a probe by outcome.", "drill", "probe", "class", "outcome"),
		latency:      histogram("probe_latency_seconds", "From a slot's scheduled time to its answer.", slotBuckets, "drill", "probe", "class"),
		lateness:     histogram("probe_lateness_seconds", "How much later than scheduled a slot was sent.", slotBuckets, "drill", "probe", "class"),
	}
	for _, v := range verdicts {
		m.runs.WithLabelValues(m.drill, m.fault, string(v))
	}
	m.unrecovered.WithLabelValues(m.drill, m.fault)
	m.inProgress.WithLabelValues(m.drill).Set(1)
	m.faultActive.WithLabelValues(m.drill, m.fault).Set(0)
	m.residue.WithLabelValues(m.drill).Set(0)
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
			m.faultActive.WithLabelValues(m.drill, e.Fault.Kind).Set(1)
		case drill.FaultReverted, drill.FaultUnconfirmed:
			m.faultActive.WithLabelValues(m.drill, e.Fault.Kind).Set(0)
		}
	case drill.EventReport:
		m.report(*e.Report)
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
			m.lag.WithLabelValues(m.infos[s.Probe].Target, s.Member, "engine").Set(s.Reading.EngineLag)
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

func (m *Metrics) report(r drill.Report) {
	m.inProgress.WithLabelValues(m.drill).Set(0)
	m.runs.WithLabelValues(m.drill, m.fault, string(r.Run.Verdict)).Inc()
	left := 0
	for _, f := range r.Faults {
		left += len(f.Residue)
	}
	m.residue.WithLabelValues(m.drill).Set(float64(left))
	// A run that was cut short has measured no recovery.
	whole := r.Run.Verdict == drill.VerdictPassed || r.Run.Verdict == drill.VerdictFailed || r.Run.Verdict == drill.VerdictAborted
	if rec := r.Recovery; rec != nil && whole {
		for bound, v := range map[string]drill.Seconds{"estimate": rec.Estimate.Estimate, "lower": rec.Lower, "upper": rec.Upper} {
			m.lastRecovery.WithLabelValues(m.drill, "sustained", bound).Set(float64(v))
		}
		if math.IsInf(float64(rec.Upper), 1) {
			m.unrecovered.WithLabelValues(m.drill, m.fault).Inc()
		} else {
			m.recovery.WithLabelValues(m.drill, m.fault, "sustained").Observe(float64(rec.Estimate.Estimate))
		}
	}
	if w := r.Writes; w != nil {
		for class, n := range map[string]int{"sent": w.Sent, "acked": w.Acked, "failed": w.Failed, "unsent": w.Unsent,
			"indeterminate": w.IndeterminatePresent + w.IndeterminateAbsent, "phantom": w.Phantom, "fabricated": w.Fabricated, "duplicate": w.Duplicate} {
			m.lastWrites.WithLabelValues(m.drill, class).Set(float64(n))
		}
		if w.Lost != nil { // unknown is no 0
			m.lastWrites.WithLabelValues(m.drill, "lost").Set(float64(*w.Lost))
		}
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
