package history

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func TestPick(t *testing.T) {
	run := func(id, drillName string, trial, day int, v drill.Verdict) drill.Report {
		return drill.Report{Run: drill.RunReport{ID: id, Drill: drillName, Trial: trial, Verdict: v, Started: time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC)}}
	}
	stored := []drill.Report{ // the newest first
		run("21-pods", "pods", 1, 21, drill.VerdictPassed),
		run("20-kill-t3", "kill", 3, 20, drill.VerdictFailed),
		run("20-kill-t2", "kill", 2, 20, drill.VerdictInvalid),
		run("20-kill", "kill", 1, 20, drill.VerdictPassed),
		run("15-kill", "kill", 1, 15, drill.VerdictPassed),
		run("10-kill", "kill", 1, 10, drill.VerdictAborted),
	}
	series := []string{"20-kill-t3", "20-kill-t2", "20-kill"}
	for meant, want := range map[string][]string{
		"15-kill":                    {"15-kill"},
		"15":                         {"15-kill"},
		"20-kill":                    series,
		"20":                         series,
		"20-kill-t2":                 {"20-kill-t2"},
		"last":                       {"21-pods"},
		"kill":                       {"20-kill-t3", "20-kill-t2", "20-kill", "15-kill", "10-kill"},
		"kill:2":                     {"20-kill-t3", "20-kill"},
		"kill:99":                    {"20-kill-t3", "20-kill", "15-kill", "10-kill"},
		"kill@2026-11-15/2026-11-20": {"15-kill"},
		"kill@2026-11-15/":           {"20-kill-t3", "20-kill-t2", "20-kill", "15-kill"},
		"kill@/2026-11-15":           {"10-kill"},
		"kill@2026-11-15T12:00:00Z/2026-11-20T13:00:00+01:00": {"15-kill"},
	} {
		found, err := pick(stored, meant)
		require.NoError(t, err, meant)
		var ids []string
		for _, r := range found {
			ids = append(ids, r.Run.ID)
		}
		require.Equal(t, want, ids, meant)
	}
	for meant, says := range map[string]string{
		"1":                          "may be any of 2 runs",
		"none":                       "no finished run",
		"none:3":                     `no run of a drill "none"`,
		"none@/2026-11-15":           `no run of a drill "none"`,
		"kill:0":                     "Write a number",
		"kill:many":                  "Write a number",
		"kill@":                      "is no time range",
		"kill@/":                     "is no time range",
		"kill@2026-11-15":            "is no time range",
		"kill@yesterday/":            "neither a date",
		"kill@2026-11-20/2026-11-15": "ends before it begins",
		"kill@2027-01-01/":           "no run of kill that",
	} {
		_, err := pick(stored, meant)
		require.ErrorContains(t, err, says, meant)
	}
}
