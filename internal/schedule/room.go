package schedule

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/failoverdrill/drill/internal/drill"
)

// Bounds of the book. It is one ConfigMap, for everybody's schedules: one source's bulk must not keep another's from
// being written down.
const (
	maxBook        = 800 << 10 // bytes of all entries
	maxOfRequester = 128 << 10 // of those of one requester
	maxOfSource    = 32 << 10  // of those of one source

	maxReason    = 500 // bytes of why something is missed, or cannot be done
	maxShown     = 64  // bytes of a variable's value
	maxVariables = 20
	maxName      = 253

	maxProblems         = 200 // in the book
	maxProblemsOfSource = 5
)

// room is what is left of the book.
type room struct {
	all                 int
	sources, requesters map[string]int
}

func newRoom() *room { return &room{sources: map[string]int{}, requesters: map[string]int{}} }

// take reserves the room of an entry, or says why there is none.
func (r *room) take(e Entry) string {
	raw, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	n := len(raw) + 2*maxReason + 512 // for what it may come to hold: a miss, a problem, an intent
	switch {
	case r.sources[e.Source]+n > maxOfSource:
		return fmt.Sprintf("the schedules of this source take more than %d KiB. Divide them among several, or give them shorter lists", maxOfSource>>10)
	case r.requesters[e.Requester]+n > maxOfRequester:
		return fmt.Sprintf("the schedules of %s take more than %d KiB. Remove some of them", e.Requester, maxOfRequester>>10)
	case r.all+n > maxBook:
		return fmt.Sprintf("all schedules together take more than %d KiB. Remove some of them", maxBook>>10)
	}
	r.all, r.sources[e.Source], r.requesters[e.Requester] = r.all+n, r.sources[e.Source]+n, r.requesters[e.Requester]+n
	return ""
}

// bound cuts an entry's texts. Its drill's name and its schedule are bounded where they are read.
func (e *Entry) bound() {
	e.Problem = cut(e.Problem, maxReason)
	if e.Newest != nil {
		newest := *e.Newest
		newest.Reason = cut(newest.Reason, maxReason)
		e.Newest = &newest
	}
	e.Requester, e.Source, e.Fault, e.Targets = cut(e.Requester, maxName), cut(e.Source, maxName+20), cut(e.Fault, maxName), cut(e.Targets, maxName)
}

// shown are variables as the book has them: of a long value, which may be a whole file, its hash.
func shown(variables map[string]string) map[string]string {
	if len(variables) == 0 {
		return nil
	}
	all := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(variables))[:min(len(variables), maxVariables)] {
		value := variables[name]
		if len(value) > maxShown {
			value = fmt.Sprintf("\"%d bytes, sha256 %.12x\"", len(value), sha256.Sum256([]byte(value)))
		}
		all[cut(name, maxName)] = value
	}
	return all
}

// boundProblems bounds each text, and how many there are of a source and of all.
func boundProblems(problems []SourceProblem) []SourceProblem {
	var kept []SourceProblem
	of := map[string]int{}
	for _, p := range problems {
		of[p.Source]++
		switch n := of[p.Source]; {
		case len(kept) >= maxProblems, n > maxProblemsOfSource:
		case n == maxProblemsOfSource:
			kept = append(kept, SourceProblem{cut(p.Source, maxName+20), "there are more problems than are shown here"})
		default:
			kept = append(kept, SourceProblem{cut(p.Source, maxName+20), cut(p.Text, maxReason)})
		}
	}
	return kept
}

// cut bounds a text, and says how much is missing.
func cut(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(text, "?")
	}
	keep := most - 30
	for keep > 0 && !utf8.RuneStart(text[keep]) {
		keep--
	}
	return strings.ToValidUTF8(fmt.Sprintf("%s… (%d bytes more)", text[:keep], len(text)-keep), "?")
}

// Tables remembers timetables by what they were read from, so that a book that is opened anew need not read them again.
type Tables struct {
	mu       sync.Mutex
	now, old map[string]*Timetable
}

// Use makes the book take its timetables from there. Each call forgets those that were not used since the one before.
func (b *Book) Use(t *Tables) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.old, t.now = t.now, map[string]*Timetable{}
	b.tables = t
}

// parse is the timetable of a schedule; nil when it has problems.
func (t *Tables) parse(s drill.Schedule) *Timetable {
	if t == nil {
		table, _ := Parse(s)
		return table
	}
	key := fmt.Sprintf("%q", []any{s.Cron, s.Timezone, s.Missed, s.Jitter, s.Window, s.Blackout})
	t.mu.Lock()
	defer t.mu.Unlock()
	table, known := t.now[key]
	if !known {
		if table, known = t.old[key]; !known {
			table, _ = Parse(s)
		}
		t.now[key] = table
	}
	return table
}
