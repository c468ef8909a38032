package metrics

import (
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/failoverdrill/drill/internal/drill"
)

type family struct {
	name, help string
	labels     []string
}

// serverFamilies are the series of docs/metrics.md that outlive a run.
func serverFamilies() []family {
	return []family{
		{"runs_total", "Runs that ended, by verdict.", []string{"drill", "by", "targets", "fault", "verdict"}},
		{"unrecovered_total", "Runs whose target never recovered.", []string{"drill", "by", "targets", "fault"}},
		{"recovery_seconds", "From the injection until a milestone of the recovery, of the runs that reached it; sustained is the recovery itself.",
			[]string{"drill", "by", "targets", "fault", "phase"}},
		{"in_progress", "Runs of the drill that are in progress.", []string{"drill", "by", "targets"}},
		{"fault_residue", "What the drill's faults left behind; someone must act when it is not 0.", []string{"drill", "by", "targets"}},
		{"last_verdict", "1 for the verdict of the newest run, 0 for the others.", []string{"drill", "by", "targets", "verdict"}},
		{"last_run_timestamp_seconds", "When the newest run ended.", []string{"drill", "by", "targets"}},
		{"last_success_timestamp_seconds", "When the newest run that passed ended; absent when none ever did.", []string{"drill", "by", "targets"}},
		{"last_recovery_seconds", "The newest measured run's recovery with its bounds, and as phase fresh that of new connections; +Inf when never.",
			[]string{"drill", "by", "targets", "phase", "bound"}},
		{"last_unavailable_seconds", "The newest measured run's down slots, failed and slow, summed.", []string{"drill", "by", "targets"}},
		{"last_failed_seconds", "The newest measured run's slots that were refused or not answered, summed.", []string{"drill", "by", "targets"}},
		{"last_slow_seconds", "The newest measured run's slots that were answered too late to count as up, summed.", []string{"drill", "by", "targets"}},
		{"last_longest_outage_seconds", "The longest outage of the newest measured run; 0 when there was none, +Inf when one did not end.", []string{"drill", "by", "targets"}},
		{"last_blips", "Stretches without a timely answer in the newest measured run that were too short to be outages.", []string{"drill", "by", "targets"}},
		{"last_late_ratio", "Share of the acknowledged slots that were answered too late to count as up, before the fault and after the recovery.",
			[]string{"drill", "by", "targets", "when"}},
		{"last_redundancy_seconds", "From the injection until every member was back and caught up; +Inf when never.", []string{"drill", "by", "targets"}},
		{"last_writes", "The newest measured run's writes by what became of them; lost is absent when it is not known.", []string{"drill", "by", "targets", "class"}},
		{"last_data_loss_seconds", "The stretches of time whose acknowledged writes the newest measured run lost, summed.", []string{"drill", "by", "targets"}},
		{"last_dual_primary_seconds", "Time in which two members accepted writes in the newest measured run.", []string{"drill", "by", "targets"}},
		{"last_leader_changes", "Changes of the primary in the newest measured run.", []string{"drill", "by", "targets"}},
		{"last_replication_lag_seconds", "The newest measured run's replication lag by the ledger, before the fault, at it, and at its peak; absent when not known.",
			[]string{"drill", "by", "targets", "when", "bound"}},
		{"last_abort_latency_seconds", "From the newest fired abort condition until everything was put back.", []string{"drill", "by", "targets"}},
		{"next_run_timestamp_seconds", "When the drill's schedule is due next.", []string{"drill", "by", "targets"}},
		{"missed_runs_total", "Scheduled runs that were not started.", []string{"drill", "by", "targets"}},
	}
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(out chan<- *prometheus.Desc) {
	for _, d := range s.families {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.totals == nil {
		return
	}
	e := &emitter{families: s.families, out: out}
	var schedules []Schedule
	if s.schedules != nil {
		schedules = s.schedules()
	}
	for _, schedule := range schedules {
		s.totals.known(schedule.Key, schedule.Fault)
		e.value("missed_runs_total", float64(schedule.Missed), schedule.labels()...)
		e.time("next_run_timestamp_seconds", &schedule.Next, schedule.labels()...)
	}
	for key, d := range s.totals.drills {
		state := s.drills[key]
		if state == nil {
			state = &drillState{}
		}
		for fault, f := range d.Faults {
			for _, v := range drill.Verdicts() {
				e.value("runs_total", float64(f.Runs[v]), key.labels(fault, string(v))...)
			}
			e.value("unrecovered_total", float64(f.Unrecovered), key.labels(fault)...)
			for phase, h := range f.Recovery {
				e.histogram(h, s.totals.Since, state.exemplars[fault+"/"+phase], phase, key.labels(fault, phase)...)
			}
		}
		if key.legacy() {
			continue
		}
		e.time("last_run_timestamp_seconds", d.LastRun, key.labels()...)
		e.time("last_success_timestamp_seconds", d.LastSuccess, key.labels()...)
		e.value("in_progress", float64(state.running), key.labels()...)
		e.value("fault_residue", float64(state.residue), key.labels()...)
		if state.last != nil {
			for _, v := range drill.Verdicts() {
				e.value("last_verdict", boolValue(v == state.last.Verdict), key.labels(string(v))...)
			}
		}
		if state.abort != nil {
			e.seconds("last_abort_latency_seconds", state.abort.report.Abort.Latency, key.labels()...)
		}
		if state.measured != nil {
			e.report(key, state.measured.report)
		}
	}
}

// emitter hands out values of the families that it knows.
type emitter struct {
	families map[string]*prometheus.Desc
	out      chan<- prometheus.Metric
}

func (e *emitter) value(family string, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if family == "runs_total" || family == "unrecovered_total" || family == "missed_runs_total" {
		kind = prometheus.CounterValue
	}
	m, err := prometheus.NewConstMetric(e.families[family], kind, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(e.families[family], err)
	}
	e.out <- m
}

func (e *emitter) time(family string, t *time.Time, labels ...string) {
	if t != nil && !t.IsZero() {
		e.value(family, float64(t.UnixMilli())/1000, labels...)
	}
}

func (e *emitter) seconds(family string, s *drill.Seconds, labels ...string) {
	if s != nil {
		e.value(family, float64(*s), labels...)
	}
}

func (e *emitter) bounds(family string, b *drill.Bounds, labels ...string) {
	if b != nil {
		e.value(family, float64(b.Lower), append(slices.Clone(labels), "lower")...)
		e.value(family, float64(b.Upper), append(slices.Clone(labels), "upper")...)
	}
}

func (e *emitter) histogram(h *histogram, since time.Time, newest *Record, phase string, labels ...string) {
	desc := e.families["recovery_seconds"]
	m, err := h.metric(desc, since, labels...)
	// The id says which run it was; an exemplar holds 128 characters and no more.
	if err == nil && newest != nil && utf8.RuneCountInString(newest.Run) <= 100 {
		value := recoveryPhases(newest.report.Recovery)[phase]
		m, err = prometheus.NewMetricWithExemplars(m, prometheus.Exemplar{Value: float64(value), Timestamp: newest.Ended,
			Labels: prometheus.Labels{"run_id": newest.Run}})
	}
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	e.out <- m
}

// report gives the numbers of one run. What is not known has no series: a 0 would say that all is well.
func (e *emitter) report(key Key, r *drill.Report) {
	if rec := r.Recovery; rec != nil {
		phases := recoveryPhases(rec)
		for _, phase := range slices.Sorted(maps.Keys(phases)) {
			e.value("last_recovery_seconds", float64(phases[phase]), key.labels(phase, "estimate")...)
		}
		e.bounds("last_recovery_seconds", &drill.Bounds{Lower: rec.Lower, Upper: rec.Upper}, key.labels(headlinePhase)...)
		if fresh := freshRecovery(rec); fresh != nil {
			e.value("last_recovery_seconds", float64(fresh.Estimate), key.labels(freshPhase, "estimate")...)
			e.bounds("last_recovery_seconds", &drill.Bounds{Lower: fresh.Lower, Upper: fresh.Upper}, key.labels(freshPhase)...)
		}
		e.value("last_unavailable_seconds", float64(rec.Unavailable), key.labels()...)
		if r.FormatVersion != "1" { // which knew neither outages nor blips
			e.outages(key, rec)
		}
		e.seconds("last_redundancy_seconds", rec.Redundancy, key.labels()...)
	}
	if w := r.Writes; w != nil {
		for class, n := range writeClasses(w) {
			e.value("last_writes", float64(n), key.labels(class)...)
		}
		e.seconds("last_data_loss_seconds", w.LostSpan, key.labels()...)
	}
	if p := r.Primaries; p != nil {
		e.value("last_dual_primary_seconds", float64(p.DualPrimary), key.labels()...)
		e.value("last_leader_changes", float64(p.LeaderChanges), key.labels()...)
	}
	if l := r.ReplicationLag; l != nil {
		e.bounds("last_replication_lag_seconds", l.Before, key.labels("before")...)
		e.bounds("last_replication_lag_seconds", l.AtFault, key.labels("at_fault")...)
		e.bounds("last_replication_lag_seconds", l.Peak, key.labels("peak")...)
	}
}

// outages gives what a run says of its outages and blips.
func (e *emitter) outages(key Key, rec *drill.RecoveryReport) {
	e.value("last_failed_seconds", float64(rec.Failed), key.labels()...)
	e.value("last_slow_seconds", float64(rec.Slow), key.labels()...)
	e.value("last_longest_outage_seconds", float64(rec.LongestOutage), key.labels()...)
	e.value("last_blips", float64(rec.Blips.Count), key.labels()...)
	for when, ratio := range map[string]*float64{"before": rec.LateRatio.Before, "after": rec.LateRatio.After} {
		if ratio != nil {
			e.value("last_late_ratio", *ratio, key.labels(when)...)
		}
	}
}

// writeClasses counts a run's writes by what became of them.
func writeClasses(w *drill.WritesReport) map[string]int {
	classes := map[string]int{"sent": w.Sent, "acked": w.Acked, "failed": w.Failed, "unsent": w.Unsent,
		"indeterminate": w.IndeterminatePresent + w.IndeterminateAbsent, "phantom": w.Phantom, "fabricated": w.Fabricated, "duplicate": w.Duplicate}
	if w.Lost != nil { // unknown is no 0
		classes["lost"] = *w.Lost
		return classes
	}
	delete(classes, "indeterminate")
	return classes
}
