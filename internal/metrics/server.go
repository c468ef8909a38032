package metrics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/failoverdrill/drill/internal/drill"
)

// Record is a run as the server's metrics see it.
type Record struct {
	UID     string // of the record in the cluster
	Run     string // its id, which is in exemplars and never a label
	Drill   string
	Fault   string // the kind of the drill's first fault
	Running bool
	Over    bool      // it has ended
	Ended   time.Time // when
	Verdict drill.Verdict
	Residue int           // things that its faults left behind, and that are still there
	Report  *drill.Report // nil for a run that ended without one
}

// measured reports whether the run's numbers can be vouched for.
func (r Record) measured() bool { return r.Verdict.Measured() && r.Report != nil }

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
	Drill, Fault string
	Next         time.Time // zero when there is none
	Missed       uint64
}

// Server is a collector of what all recorded runs say. It is for the server that leads, and for it alone: two would
// count every run twice.
type Server struct {
	store     Store
	schedules func() []Schedule
	families  map[string]*prometheus.Desc

	work    sync.Mutex // one at a time; held while the store is asked, which no scrape may wait for
	version string
	seen    map[string]bool // the UIDs of the records that the last Sync was given
	gone    map[string]bool // the UIDs of records that are deleted; the next write forgets them

	mu     sync.Mutex // of what a scrape shows; written with both held
	totals *totals    // as they are stored; nil until they were loaded
	drills map[string]*drillState
}

// attempts bounds how often totals are written that others keep changing; the caller comes again.
const attempts = 10

// drillState is what the gauges of a drill show.
type drillState struct {
	running, residue      int
	last, measured, abort *Record            // the newest run, that was measured, that was aborted
	exemplars             map[string]*Record // by fault and phase
}

// NewServer returns a collector without any series: Rebuild makes them. Schedules may be nil.
func NewServer(store Store, schedules func() []Schedule) *Server {
	s := &Server{store: store, schedules: schedules, families: map[string]*prometheus.Desc{},
		seen: map[string]bool{}, gone: map[string]bool{}, drills: map[string]*drillState{}}
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
			s.show(records)
		}
		return err
	}
	return errConflict
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
		s.show(records)
		return nil
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
	for _, r := range records {
		if d := next.Drills[r.Drill]; d == nil || d.Faults[r.Fault] == nil {
			changed = true
		}
		next.known(r.Drill, r.Fault)
		if r.Over && !next.counted[r.UID] {
			changed = true
			next.add(r)
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

// show takes the gauges from the records. A record that is deleted takes nothing away but what is going on.
func (s *Server) show(records []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.drills {
		d.running, d.residue = 0, 0
	}
	slices.SortFunc(records, func(a, b Record) int { return a.Ended.Compare(b.Ended) })
	for i := range records {
		r := &records[i]
		d := s.drills[r.Drill]
		if d == nil {
			d = &drillState{exemplars: map[string]*Record{}}
			s.drills[r.Drill] = d
		}
		d.residue += r.Residue
		if r.Running {
			d.running++
		}
		if !r.Over {
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
		if r.Report.Abort.Fired && newer(d.abort) {
			d.abort = r
		}
		if rec := r.Report.Recovery; rec != nil {
			for phase, length := range recoveryPhases(rec) {
				key := r.Fault + "/" + phase
				if !never(length) && newer(d.exemplars[key]) {
					d.exemplars[key] = r
				}
			}
		}
	}
}
