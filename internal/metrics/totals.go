package metrics

import (
	"cmp"
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

// Bounds of the totals, which are one ConfigMap. What is beyond them counts under other.
const (
	maxSeries    = 500 // of requesters, together
	maxOwnSeries = 50  // of one requester
	maxTotals    = 768 << 10
	other        = "other"
	bySchedule   = "schedule"
)

// totals are the values of the counters: a fold of every record that was ever counted, with the list of those that it
// holds. Sums and list are written as one, so a record counts exactly once, and one that is deleted stays counted.
// docs/design/006 gives the reasons.
type totals struct {
	Since   time.Time              `json:"since"`            // from when on is counted
	Series  []*drillTotal          `json:"series"`           // by key
	Legacy  map[string]*drillTotal `json:"drills,omitempty"` // as an older drill wrote them, by the drill's name
	Counted []string               `json:"counted"`          // the UIDs of the records in the sums, as far as there are still such records

	drills  map[Key]*drillTotal
	counted map[string]bool
}

type drillTotal struct {
	Drill   string `json:"drill"`
	By      string `json:"by,omitempty"`
	Targets string `json:"targets,omitempty"`

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
	return &totals{Since: since.UTC().Truncate(time.Second), drills: map[Key]*drillTotal{}, counted: map[string]bool{}}
}

func decodeTotals(raw []byte) (*totals, error) {
	t := newTotals(time.Time{})
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("read the stored totals: %w", err)
	}
	for _, d := range t.Series {
		if d != nil {
			t.drills[Key{d.Drill, d.By, d.Targets}] = d
		}
	}
	for name, d := range t.Legacy {
		if d != nil && t.drills[Key{Drill: name}] == nil {
			d.Drill = name
			d.LastRun, d.LastSuccess = nil, nil // whose they are is not known; the records say it
			t.drills[Key{Drill: name}] = d
		}
	}
	for _, uid := range t.Counted {
		t.counted[uid] = true
	}
	t.Series, t.Legacy, t.Counted = nil, nil, nil
	return t, nil
}

// encode writes the totals within their bound: a store that takes no more counts no more.
func (t *totals) encode() ([]byte, error) {
	for {
		t.Counted, t.Series = slices.Sorted(maps.Keys(t.counted)), nil
		for _, key := range slices.SortedFunc(maps.Keys(t.drills), compareKeys) {
			t.Series = append(t.Series, t.drills[key])
		}
		raw, err := json.Marshal(t)
		t.Counted, t.Series = nil, nil
		if err != nil {
			return nil, fmt.Errorf("write the totals: %w", err)
		}
		if len(raw) <= maxTotals || !t.fold() {
			return raw, nil
		}
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Drill, b.Drill), cmp.Compare(a.By, b.By), cmp.Compare(a.Targets, b.Targets))
}

// fold drops the series of requesters that have not run for the longest time, an eighth of them: to make room.
func (t *totals) fold() bool {
	var keys []Key
	for key := range t.drills {
		if key.By != bySchedule && key.Drill != other {
			keys = append(keys, key)
		}
	}
	when := func(k Key) time.Time {
		if at := t.drills[k].LastRun; at != nil {
			return *at
		}
		return time.Time{}
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Or(when(a).Compare(when(b)), compareKeys(a, b)) })
	for _, key := range keys[:(len(keys)+7)/8] {
		delete(t.drills, key)
	}
	return len(keys) > 0
}

// place is the key under which a series counts: its own, or that of all for which there is no more room. Schedules always
// have room, for only so many can be installed.
func (t *totals) place(key Key) Key {
	if t.drills[key] != nil || key.By == bySchedule {
		return key
	}
	all, own := 0, 0
	for k := range t.drills {
		if k.By != bySchedule {
			all++
		}
		if k.By == key.By {
			own++
		}
	}
	if all < maxSeries && own < maxOwnSeries {
		return key
	}
	return Key{Drill: other, By: other}
}

// lacks reports whether a series is new.
func (t *totals) lacks(key Key, fault string) bool {
	d := t.drills[t.place(key)]
	return d == nil || d.Faults[fault] == nil
}

// seen keeps the times of a run that ended, and reports whether they are news. They come from the records, too, so that
// they are right after an upgrade from a drill that knew names alone.
func (t *totals) seen(r Record) bool {
	key := t.place(r.Key)
	d := t.drills[key]
	if d == nil || key != r.Key {
		return false
	}
	run, success := d.LastRun, d.LastSuccess
	d.LastRun = later(d.LastRun, r.Ended)
	if r.Verdict == drill.VerdictPassed {
		d.LastSuccess = later(d.LastSuccess, r.Ended)
	}
	return run != d.LastRun || success != d.LastSuccess
}

// known makes a drill's series exist, at 0, before its first run ends: increase() must see the first failure.
func (t *totals) known(key Key, fault string) *faultTotal {
	key = t.place(key)
	d := t.drills[key]
	if d == nil {
		d = &drillTotal{Drill: key.Drill, By: key.By, Targets: key.Targets}
		t.drills[key] = d
	}
	if key.Drill == other && len(d.Faults) >= 10 && d.Faults[fault] == nil {
		fault = other
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
	f := t.known(r.Key, r.Fault)
	f.Runs[r.Verdict]++
	t.seen(r)
	if !r.measured() || r.report == nil || r.report.Recovery == nil {
		return
	}
	fresh := freshRecovery(r.report.Recovery)
	if never(r.report.Recovery.Upper) || fresh != nil && never(fresh.Upper) {
		f.Unrecovered++ // a service that no new connection reaches is not back
	}
	for phase, length := range recoveryPhases(r.report.Recovery) {
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
