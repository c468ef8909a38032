package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// Stored is a report with what tells its series from others of the same drill name; of local ones that is the name alone.
type Stored struct {
	drill.Report
	Key kube.SeriesKey
}

// Pick returns those of the reports, the newest first, that a user means: a run by its id, a series by its first run's, or
// a drill's runs: NAME, NAME:COUNT or NAME@FROM/TO. Of a drill's name the choice says whose runs are meant, and the note which
// ones were left out; runs of several people are mixed only when that is asked for.
func Pick(stored []Stored, meant string, choice Choice) (found []drill.Report, note string, err error) {
	reports := make([]drill.Report, len(stored))
	for i, s := range stored {
		reports[i] = s.Report
	}
	name, _, _ := strings.Cut(meant, "@")
	if name == meant {
		name, _, _ = strings.Cut(meant, ":")
	}
	var keys []kube.SeriesKey
	for _, s := range stored {
		if s.Run.Drill == name {
			keys = append(keys, s.Key)
		}
	}
	if len(keys) > 0 {
		mine, others := choice.Among(keys)
		if len(mine) == 0 {
			return nil, "", fmt.Errorf("no run of drill %q is of the series that --by and --targets mean. There are those %s", name, whose(others))
		}
		if err := choice.one(name, mine); err != nil {
			return nil, "", err
		}
		if len(others) > 0 {
			note = fmt.Sprintf("%s: the runs %s. Left out are those %s; choose with --by and --targets", name, whose(distinct(mine)), whose(others))
		}
		reports = nil
		for _, s := range stored {
			if s.Run.Drill != name || slices.Contains(mine, s.Key) {
				reports = append(reports, s.Report)
			}
		}
	}
	found, err = pick(reports, meant)
	return found, note, err
}

func pick(reports []drill.Report, meant string) ([]drill.Report, error) {
	var ids, series []string
	known := map[string]bool{}
	for _, r := range reports {
		ids = append(ids, r.Run.ID)
		if s := SeriesOf(r.Run); !slices.Contains(series, s) {
			series = append(series, s)
		}
		known[r.Run.Drill] = true
	}
	name, rest, ranged := strings.Cut(meant, "@")
	count := ""
	counted := false
	if !ranged {
		name, count, counted = strings.Cut(meant, ":")
	}
	switch {
	case !known[name] && (ranged || counted):
		return nil, fmt.Errorf("there is no run of a drill %q. List them with: drill history", name)
	case !known[name]:
		id := meant
		if !slices.Contains(ids, meant) {
			var err error
			if id, err = Find(series, meant); err != nil {
				return nil, err
			}
		}
		return ofSeries(reports, id), nil
	}
	keep := func(drill.Report) bool { return true }
	most := len(reports)
	switch {
	case ranged:
		from, to, err := period(rest)
		if err != nil {
			return nil, err
		}
		keep = func(r drill.Report) bool {
			return !r.Run.Started.Before(from) && (to.IsZero() || r.Run.Started.Before(to))
		}
	case counted:
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q does not say how many runs of %s. Write a number, such as %s:12", count, name, name)
		}
		most = n
		keep = func(r drill.Report) bool { return r.Run.Verdict.Measured() }
	}
	var found []drill.Report
	for _, r := range reports {
		if r.Run.Drill == name && keep(r) && len(found) < most {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no run of %s that %q means. List them with: drill history --drill %s", name, meant, name)
	}
	return found, nil
}

// ofSeries is a run, and when it is the first of a series all trials of that.
func ofSeries(reports []drill.Report, id string) []drill.Report {
	var found []drill.Report
	for _, r := range reports {
		if r.Run.ID == id || SeriesOf(r.Run) == id {
			found = append(found, r)
		}
	}
	return found
}

// period reads FROM/TO. Dates are days of UTC, as drill history shows them; without TO, it has no end.
func period(text string) (from, to time.Time, err error) {
	first, last, ok := strings.Cut(text, "/")
	if !ok || first == "" && last == "" {
		return from, to, fmt.Errorf("%q is no time range. Write FROM/TO, such as 2026-11-01/2026-11-15, or leave one of them out", text)
	}
	for _, end := range []struct {
		text string
		at   *time.Time
	}{{first, &from}, {last, &to}} {
		if end.text == "" {
			continue
		}
		if *end.at, err = time.Parse(time.DateOnly, end.text); err == nil {
			continue
		}
		if *end.at, err = time.Parse(time.RFC3339, end.text); err != nil {
			return from, to, fmt.Errorf("%q is neither a date such as 2026-11-21 nor a time such as 2026-11-21T10:00:00Z", end.text)
		}
	}
	if !to.IsZero() && !to.After(from) {
		return from, to, fmt.Errorf("the time range %q ends before it begins", text)
	}
	return from, to, nil
}
