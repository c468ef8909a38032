package metrics

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/failoverdrill/drill/internal/drill"
)

// totals are the values of the counters: a fold of every record that was ever counted, with the list of those that it
// holds. Sums and list are written as one, so a record counts exactly once, and one that is deleted stays counted.
// docs/design/006 gives the reasons.
type totals struct {
	Since   time.Time              `json:"since"` // from when on is counted
	Drills  map[string]*drillTotal `json:"drills"`
	Counted []string               `json:"counted"` // the UIDs of the records in the sums, as far as there are still such records

	counted map[string]bool
}

type drillTotal struct {
	Faults      map[string]*faultTotal `json:"faults"`
	LastRun     *time.Time             `json:"last_run,omitempty"`
	LastSuccess *time.Time             `json:"last_success,omitempty"`
}

type faultTotal struct {
	Runs        map[drill.Verdict]uint64 `json:"runs"`
	Unrecovered uint64                   `json:"unrecovered"`
	Recovery    map[string]*histogram    `json:"recovery"` // by phase
}

func newTotals(since time.Time) *totals {
	return &totals{Since: since.UTC().Truncate(time.Second), Drills: map[string]*drillTotal{}, counted: map[string]bool{}}
}

func decodeTotals(raw []byte) (*totals, error) {
	t := newTotals(time.Time{})
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("read the stored totals: %w", err)
	}
	for _, uid := range t.Counted {
		t.counted[uid] = true
	}
	return t, nil
}

func (t *totals) encode() ([]byte, error) {
	t.Counted = slices.Sorted(maps.Keys(t.counted))
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("write the totals: %w", err)
	}
	return raw, nil
}

// known makes a drill's series exist, at 0, before its first run ends: increase() must see the first failure.
func (t *totals) known(drillName, fault string) *faultTotal {
	d := t.Drills[drillName]
	if d == nil {
		d = &drillTotal{}
		t.Drills[drillName] = d
	}
	if d.Faults == nil {
		d.Faults = map[string]*faultTotal{}
	}
	f := d.Faults[fault]
	if f == nil {
		f = &faultTotal{}
		d.Faults[fault] = f
	}
	if f.Runs == nil {
		f.Runs = map[drill.Verdict]uint64{}
	}
	if f.Recovery == nil {
		f.Recovery = map[string]*histogram{}
	}
	if f.Recovery[headlinePhase] == nil {
		f.Recovery[headlinePhase] = &histogram{}
	}
	return f
}

// add counts a finished run that is not counted yet.
func (t *totals) add(r Record) {
	t.counted[r.UID] = true
	f := t.known(r.Drill, r.Fault)
	f.Runs[r.Verdict]++
	d := t.Drills[r.Drill]
	d.LastRun = later(d.LastRun, r.Ended)
	if r.Verdict == drill.VerdictPassed {
		d.LastSuccess = later(d.LastSuccess, r.Ended)
	}
	if !r.measured() || r.Report.Recovery == nil {
		return
	}
	fresh := freshRecovery(r.Report.Recovery)
	if never(r.Report.Recovery.Upper) || fresh != nil && never(fresh.Upper) {
		f.Unrecovered++ // a service that no new connection reaches is not back
	}
	for phase, length := range recoveryPhases(r.Report.Recovery) {
		if never(length) {
			continue // +Inf would poison the sum
		}
		if f.Recovery[phase] == nil {
			f.Recovery[phase] = &histogram{}
		}
		f.Recovery[phase].observe(float64(length))
	}
}

func never(s drill.Seconds) bool { return math.IsInf(float64(s), 1) }

func later(a *time.Time, b time.Time) *time.Time {
	if a != nil && !b.After(*a) {
		return a
	}
	b = b.UTC()
	return &b
}

// headlinePhase is the recovery itself: from then on there was no outage.
const headlinePhase = "sustained"

// freshPhase is the recovery of new connections, where the headline is that of others.
const freshPhase = "fresh"

func freshRecovery(rec *drill.RecoveryReport) *drill.Estimate {
	if fresh, ok := rec.ByClass[drill.ClassFresh]; ok && rec.HeadlineClass != drill.ClassFresh {
		return &fresh
	}
	return nil
}

// recoveryPhases is when each milestone was reached, in seconds after the injection.
func recoveryPhases(rec *drill.RecoveryReport) map[string]drill.Seconds {
	all := map[string]drill.Seconds{}
	for _, p := range rec.Phases {
		if p.Fault != "" {
			continue // of several faults, each of which has such a phase
		}
		all[p.Name] = p.Start + p.Seconds
	}
	if rec.Redundancy != nil {
		all["redundant"] = *rec.Redundancy
	}
	all[headlinePhase] = rec.Estimate.Estimate
	return all
}

// recoveryBuckets of times that a person waits for, in seconds.
var recoveryBuckets = []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600}

// histogram is a histogram that can be stored: of both kinds, classic and native.
type histogram struct {
	Count   uint64            `json:"count"`
	Sum     float64           `json:"sum"`
	Classic map[string]uint64 `json:"classic,omitempty"` // by upper bound, each by itself
	Native  map[int]int64     `json:"native,omitempty"`  // by index
	Zero    uint64            `json:"zero,omitempty"`
}

// nativeSchema has eight buckets for each doubling, which is a resolution of 9 %.
const nativeSchema = 3

func (h *histogram) observe(v float64) {
	h.Count++
	h.Sum += v
	if i, _ := slices.BinarySearch(recoveryBuckets, v); i < len(recoveryBuckets) {
		if h.Classic == nil {
			h.Classic = map[string]uint64{}
		}
		h.Classic[strconv.FormatFloat(recoveryBuckets[i], 'g', -1, 64)]++
	}
	if v <= prometheus.DefNativeHistogramZeroThreshold {
		h.Zero++
		return
	}
	if h.Native == nil {
		h.Native = map[int]int64{}
	}
	h.Native[int(math.Ceil(math.Log2(v)*(1<<nativeSchema)))]++
}

// metric gives the histogram in both forms at once; a scraper takes the one that it knows.
func (h *histogram) metric(desc *prometheus.Desc, since time.Time, labels ...string) (prometheus.Metric, error) {
	cumulative := make(map[float64]uint64, len(recoveryBuckets))
	for _, bound := range recoveryBuckets {
		for text, n := range h.Classic {
			// What was stored under a bound that this version does not have belongs to the next one above.
			if b, err := strconv.ParseFloat(text, 64); err == nil && b <= bound {
				cumulative[bound] += n
			}
		}
	}
	classic, err := prometheus.NewConstHistogram(desc, h.Count, h.Sum, cumulative, labels...)
	if err != nil {
		return nil, err
	}
	native, err := prometheus.NewConstNativeHistogram(desc, h.Count, h.Sum, h.Native, nil, h.Zero, nativeSchema,
		prometheus.DefNativeHistogramZeroThreshold, since, labels...)
	if err != nil {
		return nil, err
	}
	return bothHistograms{native, classic}, nil
}

type bothHistograms struct {
	prometheus.Metric // the native one
	classic           prometheus.Metric
}

func (b bothHistograms) Write(out *dto.Metric) error {
	var classic dto.Metric
	if err := b.classic.Write(&classic); err != nil {
		return err
	}
	if err := b.Metric.Write(out); err != nil {
		return err
	}
	out.Histogram.Bucket = classic.Histogram.Bucket
	return nil
}
