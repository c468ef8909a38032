package server

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/report"
	"github.com/failoverdrill/drill/internal/schedule"
)

//go:embed page
var pageFiles embed.FS

const (
	pageFresh = 2 * time.Second // how old the records on a page may be: whoever reloads it must not burden the API server
	pageRuns  = 25              // of each drill, in the table
)

// Bounds of what a page asks the API server.
const (
	pageReads  = 50              // records of runs that are not settled, for one page
	pageWithin = 2 * time.Second // until it is shown without those that were not read by then
)

// pages shows the records to people. Every replica may: it reads the index and some records, and nothing else.
type pages struct {
	o         Options
	index     *index
	schedules *kube.Schedules
	templates *template.Template

	mu   sync.Mutex
	read time.Time
	list []entry
	book schedule.Book
	runs map[string]shownRun // by name
}

// shownRun is a record that was read for a page.
type shownRun struct {
	run  *kube.DrillRun
	read time.Time
}

func newPages(o Options, x *index) *pages {
	return &pages{o: o, index: x, schedules: kube.NewSchedules(o.Client.Apart(), o.Namespace), runs: map[string]shownRun{},
		templates: template.Must(template.New("").Funcs(template.FuncMap{
			"date": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }, "stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
			"word": verdictWord, "tone": verdictTone, "count": countText, "seconds": secondsText, "lag": lagText,
			"estimate": estimateText, "recovery": recoveryText, "bounds": boundsText,
		}).ParseFS(pageFiles, "page/*.html"))}
}

func (p *pages) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", p.all)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		style, _ := pageFiles.ReadFile("page/style.css") // it is embedded
		p.answer(w, "text/css; charset=utf-8", style)
	})
	mux.HandleFunc("GET /runs/{run}", p.run)
	mux.HandleFunc("GET /runs/{run}/{form}", p.form)
}

// answer writes a whole document. The browser may load our style and nothing else, from nowhere else.
func (p *pages) answer(w http.ResponseWriter, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(body)
}

func (p *pages) render(w http.ResponseWriter, name string, data any) {
	var body bytes.Buffer
	if err := p.templates.ExecuteTemplate(&body, name, data); err != nil {
		p.o.Log.Error("a page cannot be shown", zap.String("page", name), zap.Error(err))
		http.Error(w, "this page cannot be shown; see the server's log", http.StatusInternalServerError)
		return
	}
	p.answer(w, "text/html; charset=utf-8", body.Bytes())
}

// records are all runs, the newest first, and the book of schedules.
func (p *pages) records(r *http.Request) ([]entry, schedule.Book, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.read) < pageFresh {
		return p.list, p.book, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), pageWithin)
	defer cancel()
	if !p.index.synced(ctx) {
		return nil, schedule.Book{}, errors.New("the records are being listed")
	}
	raw, _, err := p.schedules.Book(ctx)
	if err != nil {
		return nil, schedule.Book{}, err
	}
	var book schedule.Book
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &book); err != nil {
			return nil, schedule.Book{}, fmt.Errorf("read the book of schedules: %w", err)
		}
	}
	list, err := p.index.entries(ctx, pageReads)
	if err != nil {
		p.o.Log.Warn("a page lacks what some open runs do", zap.Error(err))
	}
	p.list, p.book, p.read = list, book, time.Now()
	return list, book, nil
}

// find returns the named run. It has answered when there is none.
func (p *pages) find(w http.ResponseWriter, r *http.Request) *kube.DrillRun {
	name := r.PathValue("run")
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.runs, func(_ string, s shownRun) bool { return time.Since(s.read) >= pageFresh })
	if shown, ok := p.runs[name]; ok {
		return shown.run
	}
	ctx, cancel := context.WithTimeout(r.Context(), pageWithin)
	defer cancel()
	if !p.index.synced(ctx) {
		p.unread(w, errors.New("the records are being listed"))
		return nil
	}
	if p.index.find(name) == nil { // no request for a name that somebody made up
		http.Error(w, "there is no record of this run", http.StatusNotFound)
		return nil
	}
	run, err := p.index.runs.Get(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		http.Error(w, "there is no record of this run", http.StatusNotFound)
		return nil
	case err != nil:
		p.unread(w, err)
		return nil
	}
	p.runs[name] = shownRun{run, time.Now()}
	return run
}

func (p *pages) unread(w http.ResponseWriter, err error) {
	p.o.Log.Warn("the records cannot be read", zap.Error(err))
	http.Error(w, "the records cannot be read: the API server does not answer", http.StatusServiceUnavailable)
}

func (p *pages) run(w http.ResponseWriter, r *http.Request) {
	run := p.find(w, r)
	if run == nil {
		return
	}
	var text bytes.Buffer
	if run.Finished() {
		if rep, err := history.Report(run); err == nil {
			_ = report.Text(&text, rep, report.Style{}) // into memory
		}
	}
	p.render(w, "run.html", struct {
		Entry history.Entry
		Text  string
	}{history.OfRecord(run), text.String()})
}

func (p *pages) form(w http.ResponseWriter, r *http.Request) {
	forms := map[string]struct {
		kind  string
		write func(*bytes.Buffer, drill.Report) error
	}{
		"report.json": {"application/json", func(b *bytes.Buffer, rep drill.Report) error { return report.JSON(b, rep) }},
		"report.xml":  {"application/xml", func(b *bytes.Buffer, rep drill.Report) error { return report.JUnit(b, rep) }},
	}
	form, ok := forms[r.PathValue("form")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	run := p.find(w, r)
	if run == nil {
		return
	}
	if !run.Finished() {
		http.Error(w, "the run is not over yet", http.StatusNotFound)
		return
	}
	rep, err := history.Report(run)
	var body bytes.Buffer
	if err == nil {
		err = form.write(&body, rep)
	}
	if err != nil {
		p.o.Log.Warn("a report cannot be shown", zap.Error(err))
		http.Error(w, "the report of this run cannot be read", http.StatusInternalServerError)
		return
	}
	p.answer(w, form.kind, body.Bytes())
}

// overview is the runs of one series on the page.
type overview struct {
	kube.SeriesKey
	Whose       string         // for people: what tells it from others of that name
	Last        *history.Entry // that has ended
	Measured    *history.Entry
	Passed      time.Time
	SincePassed string
	Next        time.Time
	UntilNext   string
	Missed      int
	Paused      bool
	Chart       *chart
	Runs        []history.Entry
	More        int

	limit *drill.Seconds // of the newest measured run
}

// pageSeries is how many series a page shows; the others are in drill history.
const pageSeries = 100

func (p *pages) all(w http.ResponseWriter, r *http.Request) {
	all, book, err := p.records(r)
	if err != nil {
		p.unread(w, err)
		return
	}
	now := time.Now()
	shown, alarm := overviews(all, book, now)
	more := max(0, len(shown)-pageSeries)
	shown = shown[:len(shown)-more]
	for _, d := range shown {
		d.Chart = drawRecovery(d.Runs, d.limit)
		d.More = max(0, len(d.Runs)-pageRuns)
		d.Runs = d.Runs[:len(d.Runs)-d.More]
	}
	p.render(w, "index.html", struct {
		Now    time.Time
		Halted string
		Alarm  []history.Entry
		Drills []*overview
		More   int
	}{now, p.o.policies.state(), alarm, shown, more})
}

// overviews are the series of runs, those with a schedule first, and the runs that left something behind.
func overviews(all []entry, book schedule.Book, now time.Time) (shown []*overview, alarm []history.Entry) {
	drills := map[kube.SeriesKey]*overview{}
	of := func(key kube.SeriesKey) *overview {
		if drills[key] == nil {
			drills[key] = &overview{SeriesKey: key, Whose: "by " + key.Whose()}
		}
		return drills[key]
	}
	for _, run := range all {
		if !run.read {
			continue
		}
		e := history.OfSummary(run.PartialObjectMetadata, run.Summary)
		d := of(run.SeriesKey)
		d.Runs = append(d.Runs, e)
		if len(e.Residue) > 0 {
			alarm = append(alarm, e)
		}
		if e.Phase != kube.PhaseFinished {
			continue
		}
		if d.Last == nil {
			d.Last = &e
		}
		if d.Measured == nil && e.Recovery != nil {
			d.Measured, d.limit = &e, run.Limit
		}
		if d.Passed.IsZero() && e.Verdict == drill.VerdictPassed {
			d.Passed = e.Started
			if e.Finished != nil {
				d.Passed = *e.Finished
			}
			d.SincePassed = ago(now.Sub(d.Passed))
		}
	}
	for _, e := range book.Entries {
		d := of(kube.SeriesKey{Drill: e.Drill, By: kube.BySchedule, Targets: e.Targets}.Bounded())
		d.Next, d.Missed, d.Paused = e.Upcoming(), e.Missed, e.Paused
		if !d.Next.IsZero() {
			d.UntilNext = until(d.Next.Sub(now))
		}
	}
	scheduled := func(d *overview) int {
		if d.By == kube.BySchedule {
			return 0
		}
		return 1
	}
	return slices.SortedFunc(maps.Values(drills), func(a, b *overview) int {
		return cmp.Or(scheduled(a)-scheduled(b), cmp.Compare(a.Drill, b.Drill), cmp.Compare(a.By, b.By), cmp.Compare(a.Targets, b.Targets))
	}), alarm
}

// verdictWord never relies on colour alone.
func verdictWord(e history.Entry) string {
	if e.Phase != kube.PhaseFinished {
		return "… " + strings.ToLower(string(e.Phase))
	}
	mark := "!"
	switch verdictTone(e) {
	case "good":
		mark = "✓"
	case "bad":
		mark = "✗"
	}
	return mark + " " + string(e.Verdict)
}

func verdictTone(e history.Entry) string {
	switch {
	case e.Phase != kube.PhaseFinished:
		return "soft"
	case e.Verdict == drill.VerdictPassed:
		return "good"
	case e.Verdict == drill.VerdictFailed, e.Verdict == drill.VerdictError:
		return "bad"
	}
	return "warn"
}

const nothing = "–"

func countText(n *int) string {
	if n == nil {
		return nothing
	}
	return fmt.Sprint(*n)
}

func secondsText(s *drill.Seconds) string {
	if s == nil {
		return nothing
	}
	return report.Seconds(*s)
}

func lagText(b *drill.Bounds) string {
	if b == nil {
		return nothing
	}
	return report.Bounds(b)
}

func estimateText(e history.Entry) string { return e.RecoveryText() }

// recoveryText is the one number of a drill's newest measured run: the worse one, of open sessions and new connections.
func recoveryText(e *history.Entry) string {
	if e.NoImpact && e.Fresh == nil {
		return "no outage"
	}
	return report.Seconds(e.Worse().Estimate)
}

func boundsText(e *history.Entry) string {
	when := e.Started.UTC().Format("2006-01-02 15:04")
	worse := e.Worse()
	switch {
	case e.Fresh != nil && worse == *e.Fresh:
		when = "of new connections; " + when
	case e.Fresh != nil:
		when = "of open sessions; " + when
	}
	switch {
	case math.IsInf(float64(worse.Upper), 1):
		return "still failing after " + report.Seconds(worse.Lower) + ", " + when
	case e.NoImpact && e.Fresh == nil:
		return when
	}
	return "between " + report.Seconds(worse.Lower) + " and " + report.Seconds(worse.Upper) + ", " + when
}

func ago(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return length(d) + " ago"
}

func until(d time.Duration) string {
	if d < time.Minute {
		return "within a minute"
	}
	return "in " + length(d)
}

// length is how people say a stretch of time.
func length(d time.Duration) string {
	say := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d < time.Hour:
		return say(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return say(int(d.Hours()), "hour")
	}
	return say(int(d.Hours()/24), "day")
}
