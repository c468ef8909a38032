package metrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/failoverdrill/drill/internal/drill"
)

// Key tells the runs of one drill from those of others that have the same name. Its fields are labels.
type Key struct {
	Drill   string
	By      string // who made them: "schedule", or the requester
	Targets string // the namespaces of its targets
}

// labels are the key's values in the order of keyLabels.
func (k Key) labels(more ...string) []string {
	return append([]string{k.Drill, k.By, k.Targets}, more...)
}

// legacy reports whether the key is of totals that an older drill wrote, which knew drills by name alone.
func (k Key) legacy() bool { return k.By == "" && k.Targets == "" }

// Record is a run as the server's metrics see it.
type Record struct {
	Key
	UID       string // of the record in the cluster
	Run       string // its id, which is in exemplars and never a label
	Fault     string // the kind of the drill's first fault; empty while it is not known
	Running   bool
	Over      bool      // it has ended
	Ended     time.Time // when
	Verdict   drill.Verdict
	Residue   int  // things that its faults left behind, and that are still there
	Reported  bool // it ended with a report
	Aborted   bool // an abort condition fired
	Recovered bool // its report has a recovery that is not never

	report *drill.Report // once it is loaded
}

// Reports loads the report of a run that has one. It returns nil for a run whose record is gone.
type Reports func(ctx context.Context, r Record) (*drill.Report, error)

// measured reports whether the run's numbers can be vouched for.
func (r Record) measured() bool { return r.Verdict.Measured() && r.Reported }

// Store keeps the totals where the next leader finds them.
type Store interface {
	// Load returns what is stored, and its version; nothing and "" when nothing is.
	Load(ctx context.Context) (data []byte, version string, err error)
	// Save replaces that version and returns the new one. It does nothing, and is not ok, when there is another by now.
	Save(ctx context.Context, data []byte, version string) (newVersion string, ok bool, err error)
}

// errConflict says that somebody else has saved totals meanwhile.
var errConflict = errors.New("the totals were changed by another server")

// Schedule is what is known of a scheduled drill between its runs.
type Schedule struct {
	Key
	Fault  string
	Next   time.Time // zero when there is none
	Missed uint64
}

// Server is a collector of what all recorded runs say. It is for the server that leads, and for it alone: two would
// count every run twice.
type Server struct {
	store     Store
	schedules func() []Schedule
	reports   Reports
	families  map[string]*prometheus.Desc

	work    sync.Mutex // one at a time; held while the store is asked, which no scrape may wait for
	version string
	seen    map[string]bool // the UIDs of the records that the last Sync was given
	gone    map[string]bool // the UIDs of records that are deleted; the next write forgets them

	mu     sync.Mutex // of what a scrape shows; written with both held
	totals *totals    // as they are stored; nil until they were loaded
	drills map[Key]*drillState
}

// attempts bounds how often totals are written that others keep changing; the caller comes again.
const attempts = 10

// drillState is what the gauges of a drill show.
type drillState struct {
	running, residue      int
	last, measured, abort *Record            // the newest run, that was measured, that was aborted
	exemplars             map[string]*Record // by fault and phase
}

// clone is a state that can be changed while the other is shown.
func (d *drillState) clone() *drillState {
	c := &drillState{exemplars: map[string]*Record{}}
	if d != nil {
		c.last, c.measured, c.abort = d.last, d.measured, d.abort
		maps.Copy(c.exemplars, d.exemplars)
	}
	return c
}

// NewServer returns a collector without any series: Rebuild makes them. Schedules may be nil. Of all runs it loads the
// reports of those that are not counted yet, and of the newest ones.
func NewServer(store Store, reports Reports, schedules func() []Schedule) *Server {
	s := &Server{store: store, reports: reports, schedules: schedules, families: map[string]*prometheus.Desc{},
		seen: map[string]bool{}, gone: map[string]bool{}, drills: map[Key]*drillState{}}
	for _, f := range serverFamilies() {
		s.families[f.name] = prometheus.NewDesc("drill_"+f.name, f.help, f.labels, nil)
	}
	return s
}

// Rebuild loads the stored totals, counts the finished runs that are not in them, and takes the gauges from the records.
// Read must return every record there is, by the cluster's own word and not a cache's: what it does not return is
// forgotten, and would count again if it turned up later.
func (s *Server) Rebuild(ctx context.Context, read func(context.Context) ([]Record, error)) error {
	s.work.Lock()
	defer s.work.Unlock()
	for range attempts {
		if err := s.load(ctx); err != nil {
			return err
		}
		records, err := read(ctx) // after the totals, or it might lack a record that another server has counted since
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for _, r := range records {
			there[r.UID] = true
		}
		for uid := range s.totals.counted {
			if !there[uid] {
				s.gone[uid] = true
			}
		}
		err = s.count(ctx, records)
		if errors.Is(err, errConflict) {
			continue
		}
		if err == nil {
			err = s.show(ctx, records)
		}
		return err
	}
	return errConflict
}

// Counted reports whether a run is in the stored totals, so that its record may go.
func (s *Server) Counted(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals != nil && s.totals.counted[uid]
}

// Sync takes in the records that there are now. It may be called any number of times with the same ones. After an error
// it wants to be called again; until then the counters stay as they are stored.
func (s *Server) Sync(ctx context.Context, records []Record) error {
	s.work.Lock()
	defer s.work.Unlock()
	if s.totals == nil {
		return errors.New("count runs: the totals were not rebuilt")
	}
	there := map[string]bool{}
	for _, r := range records {
		there[r.UID] = true
	}
	for uid := range s.seen {
		if !there[uid] { // and a cache that is only behind has not had it
			s.gone[uid] = true
		}
	}
	s.seen = there
	for range attempts {
		err := s.count(ctx, records)
		if errors.Is(err, errConflict) {
			if err = s.load(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		return s.show(ctx, records)
	}
	return errConflict
}

// load reads the stored totals. When there are none it keeps those it has: somebody deleted them while we count.
func (s *Server) load(ctx context.Context) error {
	raw, version, err := s.store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load the totals: %w", err)
	}
	s.version = version
	switch {
	case len(raw) > 0:
		t, err := decodeTotals(raw)
		if err != nil {
			return err
		}
		s.set(t)
	case s.totals == nil:
		s.set(newTotals(time.Now()))
	}
	return nil
}

func (s *Server) set(t *totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals = t
}

// count adds the runs that are not in the totals, and stores the result before anybody can see it: a counter that was
// scraped never falls again.
func (s *Server) count(ctx context.Context, records []Record) error {
	base, err := s.encoded()
	if err != nil {
		return err
	}
	next, err := decodeTotals(base)
	if err != nil {
		return err
	}
	changed := s.version == ""
	for i := range records {
		r := &records[i]
		if r.Over {
			changed = next.seen(*r) || changed
		}
		if r.Fault == "" && !r.Over {
			continue
		}
		changed = next.lacks(r.Key, r.Fault) || changed
		next.known(r.Key, r.Fault)
		if r.Over && !next.counted[r.UID] {
			if err := s.loadReport(ctx, r); err != nil {
				return err
			}
			changed = true
			next.add(*r)
			r.report = nil // there may be thousands
		}
	}
	if !changed {
		return nil
	}
	for uid := range s.gone {
		delete(next.counted, uid)
	}
	raw, err := next.encode()
	if err != nil {
		return err
	}
	version, ok, err := s.store.Save(ctx, raw, s.version)
	switch {
	case err != nil:
		return fmt.Errorf("store the totals: %w", err)
	case !ok:
		return errConflict
	}
	s.set(next)
	s.version, s.gone = version, map[string]bool{}
	return nil
}

// encoded locks because a scrape may make a scheduled drill known.
func (s *Server) encoded() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals.encode()
}

// loadReport loads the report of a measured run, once.
func (s *Server) loadReport(ctx context.Context, r *Record) error {
	if r.report != nil || !r.measured() || s.reports == nil {
		return nil
	}
	report, err := s.reports(ctx, *r)
	if err != nil {
		return fmt.Errorf("load the report of run %s: %w", r.Run, err)
	}
	if report == nil { // it is gone, or cannot be read
		r.Reported = false
	}
	r.report = report
	return nil
}

// show takes the gauges from the records. A record that is deleted takes nothing away but what is going on.
func (s *Server) show(ctx context.Context, records []Record) error {
	slices.SortFunc(records, func(a, b Record) int { return a.Ended.Compare(b.Ended) })
	drills := map[Key]*drillState{}
	for key, d := range s.drills { // only show writes it, and show alone runs
		drills[key] = d.clone()
	}
	recovered := map[Key]map[string]*Record{} // the newest, by fault
	for i := range records {
		r := &records[i]
		key := s.totals.place(r.Key)
		d := drills[key]
		if d == nil {
			d = (*drillState)(nil).clone()
			drills[key] = d
		}
		d.residue += r.Residue
		if r.Running {
			d.running++
		}
		if !r.Over || key != r.Key { // of many drills together there is no newest
			continue
		}
		newer := func(than *Record) bool { return than == nil || !r.Ended.Before(than.Ended) }
		if newer(d.last) {
			d.last = r
		}
		if !r.measured() {
			continue
		}
		if newer(d.measured) {
			d.measured = r
		}
		if r.Aborted && newer(d.abort) {
			d.abort = r
		}
		if r.Recovered {
			if recovered[key] == nil {
				recovered[key] = map[string]*Record{}
			}
			recovered[key][r.Fault] = r
		}
	}
	for key, d := range drills {
		before := s.drills[key]
		for _, chosen := range []**Record{&d.measured, &d.abort} {
			if err := s.fetch(ctx, chosen, before); err != nil {
				return err
			}
		}
		for fault, r := range recovered[key] {
			if err := s.fetch(ctx, &r, before, d.measured); err != nil {
				return err
			}
			if r == nil || r.report == nil || r.report.Recovery == nil {
				continue
			}
			for phase, length := range recoveryPhases(r.report.Recovery) {
				name := fault + "/" + phase
				if than := d.exemplars[name]; !never(length) && (than == nil || !r.Ended.Before(than.Ended)) {
					d.exemplars[name] = r
				}
			}
		}
		if d.last != nil { // of which no number is shown, and which is not to hold the list
			last := *d.last
			d.last = &last
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drills = drills
	return nil
}

// fetch replaces a chosen record by one with its report: from among those that have it, or loaded. It becomes nil when
// the report cannot be had.
func (s *Server) fetch(ctx context.Context, chosen **Record, before *drillState, others ...*Record) error {
	r := *chosen
	if r == nil {
		return nil
	}
	if before != nil {
		others = append(others, before.measured, before.abort)
		for _, e := range before.exemplars {
			others = append(others, e)
		}
	}
	for _, o := range others {
		if o != nil && o.UID == r.UID && o.report != nil {
			*chosen = o
			return nil
		}
	}
	kept := *r
	if err := s.loadReport(ctx, &kept); err != nil {
		return err
	}
	*chosen = &kept
	if kept.report == nil {
		*chosen = nil
	}
	return nil
}
