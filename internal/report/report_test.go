package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestAFaultThatNeverCame: the one before it was followed by none, and what is left of it is told all the same.
func TestAFaultThatNeverCame(t *testing.T) {
	r := several()
	r.Faults = r.Faults[:2]
	r.Faults[0].Recovery, r.Faults[1].InjectedOffset, r.Faults[1].Reverted = nil, nil, false
	r.Faults[1].Residue = []string{"agent pod agent-x is still there"}
	var text bytes.Buffer
	require.NoError(t, Text(&text, r, Style{}))
	require.NotContains(t, text.String(), "the next one came before it was over")
	require.Contains(t, text.String(), "; not injected\n    residue         agent pod agent-x is still there\n")
}

func TestSeries(t *testing.T) {
	var b bytes.Buffer
	all := series()
	for _, r := range all {
		require.NoError(t, Trial(&b, r, Style{}))
	}
	require.NoError(t, Series(&b, all, Style{}))
	all[3].Statistics = nil
	require.NoError(t, Series(&b, all[3:], Style{}))
	golden(t, "series.txt", b.Bytes())
	for l := range strings.Lines(b.String()) {
		require.LessOrEqual(t, columns(strings.TrimSuffix(l, "\n")), width, l)
	}
	b.Reset()
	require.NoError(t, JUnit(&b, all...))
	golden(t, "series.xml", b.Bytes())
}

func TestComparison(t *testing.T) {
	base := drill.RunSet{Name: "kill-primary@/2026-11-15", Drills: []string{"kill-primary"}, Runs: make([]string, 10), Measured: 9, LostWrites: new(0),
		Statistics: &drill.StatisticsReport{N: 9, Mean: new(drill.Seconds(12.9)), Median: new(drill.Seconds(12.34)), Max: new(drill.Seconds(17.1)),
			MedianBounds: &drill.Bounds{Lower: 12.32, Upper: 12.36}, MaxBounds: &drill.Bounds{Lower: 17.08, Upper: 17.12}}}
	slow := base
	slow.Name, slow.Runs, slow.Failed, slow.LostWrites, slow.LostIn = "kill-primary:9, with a name that is too long for its column", make([]string, 9), 2, new(31), 1
	slow.Statistics = &drill.StatisticsReport{N: 9, Mean: new(drill.Seconds(15.1)), NeverRecovered: 2, Median: new(drill.Seconds(15.2)), Max: new(drill.Never()),
		MedianBounds: &drill.Bounds{Lower: 15.18, Upper: 15.22}, MaxBounds: &drill.Bounds{Lower: 95, Upper: drill.Never()}}
	test := &drill.RankTest{BaseN: 9, NewN: 9, U: 70, P: 0.00403, SmallestP: 2.06e-5, Exact: true, Worse: 0.86, MedianDifference: new(drill.Seconds(2.86)),
		Shift: new(drill.Seconds(2.8)), ShiftBounds: &drill.Bounds{Lower: 0.9, Upper: drill.Never()}, Resolution: new(drill.Seconds(0.021))}
	c := drill.Comparison{Result: drill.ComparedRegression, Text: []string{"NEW recovers more slowly than BASE by 2.8 s: p = 0.004."}, Base: base, New: slow, Recovery: test,
		Failures: &drill.FisherTest{P: 0.2353, SmallestP: 0.2353}, LostWrites: &drill.RankTest{P: 0.5, SmallestP: 0.5, Exact: false}, Tests: 3}
	nothing := drill.Comparison{Result: drill.ComparedTooLittle, Text: []string{"There is nothing to compare."}, Base: drill.RunSet{Name: "a"}, New: drill.RunSet{Name: "b"}}
	var b bytes.Buffer
	require.NoError(t, Comparison(&b, c, Style{}))
	require.NoError(t, Comparison(&b, nothing, Style{}))
	golden(t, "comparison.txt", b.Bytes())
	for l := range strings.Lines(b.String()) {
		require.LessOrEqual(t, columns(strings.TrimSuffix(l, "\n")), width, l)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestText(t *testing.T) {
	for name, r := range reports() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, Text(&b, r, Style{}))
			golden(t, name+".txt", b.Bytes())
			require.NotContains(t, b.String(), "\x1b")
			for l := range strings.Lines(b.String()) {
				require.LessOrEqual(t, columns(strings.TrimSuffix(l, "\n")), width, l)
			}
		})
	}
}

func TestColorsChangeNothingElse(t *testing.T) {
	escapes := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for name, r := range reports() {
		var with, without bytes.Buffer
		require.NoError(t, Text(&with, r, Style{Color: true}))
		require.NoError(t, Text(&without, r, Style{}))
		require.Contains(t, with.String(), "\x1b[1;")
		stripped := regexp.MustCompile(` +\n`).ReplaceAllString(escapes.ReplaceAllString(with.String(), ""), "\n")
		require.Equal(t, without.String(), stripped, name)
	}
}

func TestJSON(t *testing.T) {
	for name, r := range reports() {
		var b bytes.Buffer
		require.NoError(t, JSON(&b, r))
		golden(t, name+".json", b.Bytes())
		var back drill.Report
		require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	}
}

func TestJUnit(t *testing.T) {
	all := reports()
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, JUnit(&b, r))
			golden(t, name+".xml", b.Bytes())
			counted(t, b.Bytes())
		})
	}
	second := passed()
	second.Run.ID = "2026-11-21t11-04-05z-kill-primary-0000"
	other := all["refused"]
	other.Run.Drill = "other"
	var b bytes.Buffer
	require.NoError(t, JUnit(&b, passed(), other, second))
	got := counted(t, b.Bytes())
	require.Len(t, got.Suites, 2, "one for each drill")
	require.Len(t, got.Suites[0].Cases, 10)
	names := map[string]bool{}
	for _, s := range got.Suites {
		for _, c := range s.Cases {
			require.False(t, names[c.Class+c.Name], "%s twice", c.Name)
			names[c.Class+c.Name] = true
		}
	}
	b.Reset()
	require.NoError(t, JUnit(&b))
	require.Empty(t, counted(t, b.Bytes()).Suites)
}

// counted reads the XML as a CI system does, and checks its sums.
func counted(t *testing.T, raw []byte) junitSuites {
	t.Helper()
	var got junitSuites
	require.NoError(t, xml.Unmarshal(raw, &got), "%s", raw)
	var all [4]int
	for _, s := range got.Suites {
		var sums [4]int
		for _, c := range s.Cases {
			sums[0]++
			for i, bad := range []bool{c.Failure != nil, c.Error != nil, c.Skipped != nil} {
				if bad {
					sums[i+1]++
				}
			}
		}
		require.Equal(t, [4]int{s.Tests, s.Failures, s.Errors, s.Skipped}, sums)
		for i := range sums {
			all[i] += sums[i]
		}
	}
	require.Equal(t, [4]int{got.Tests, got.Failures, got.Errors, got.Skipped}, all)
	return got
}

// TestJUnitVerdicts: no verdict but passed may be all green, and a failure is told once for each objective.
func TestJUnitVerdicts(t *testing.T) {
	for verdict, want := range map[drill.Verdict]string{drill.VerdictPassed: "", drill.VerdictFailed: "failure", drill.VerdictAborted: "failure",
		drill.VerdictRefused: "error", drill.VerdictInvalid: "error", drill.VerdictError: "error", drill.VerdictInterrupted: "skipped"} {
		r := passed()
		r.Run.Verdict = verdict
		r.Run.Reasons = []drill.Reason{{Code: "some_reason"}}
		kind := func(c junitCase) string {
			switch {
			case c.Failure != nil:
				return "failure"
			case c.Error != nil:
				return "error"
			case c.Skipped != nil:
				return "skipped"
			}
			return ""
		}
		require.Equal(t, want, kind(junitVerdict(r)), verdict)
		o := kind(junitObjective(r, r.Objectives[0]))
		if want == "error" || want == "skipped" {
			require.Equal(t, "skipped", o, verdict)
		} else {
			require.Empty(t, o, verdict)
		}
		r.Faults[0].Residue = []string{"node n1 is cordoned"}
		require.Equal(t, "error", kind(junitVerdict(r)), "residue is the loudest: %s", verdict)
	}
	missed := reports()["failed"]
	missed.Faults, missed.Run.Reasons = nil, missed.Run.Reasons[:1]
	require.Nil(t, junitVerdict(missed).Failure, "the objective says it")
	require.NotNil(t, junitObjective(missed, missed.Objectives[0]).Failure)
}

func TestJUnitIsWellFormedWhateverTheClusterSays(t *testing.T) {
	r := passed()
	nasty := "]]></system-out> <b a=\"'&\x00\x1b[31m\xff\ufffe\n"
	r.Run.Drill, r.Run.Verdict, r.Run.ID = nasty, drill.VerdictFailed, nasty
	r.Run.Reasons = []drill.Reason{{Text: nasty}}
	r.Objectives[0].Name, r.Objectives[0].Met = nasty, false
	var b bytes.Buffer
	require.NoError(t, JUnit(&b, r, r))
	counted(t, b.Bytes())
}

func TestLongNamesStayWithinThePage(t *testing.T) {
	r := passed()
	long := strings.Repeat("very-long-name-", 14)
	r.Run.ID, r.Run.Drill, r.Run.Description = long, long, long
	r.Faults[0].Kind, r.Faults[0].Name, r.Faults[0].ConfirmedBy = long, long, long
	r.Recovery.Phases[0].Signal = long
	r.Probes[0].Name = long
	r.Objectives[0].Name = long
	r.Run.Reasons = []drill.Reason{{Text: long}}
	r.Primaries.Disagreements[0].Views["label"] = long
	r.Findings = []drill.Finding{{Text: long}}
	r.Unknown = []string{long}
	r.Abort = drill.AbortReport{Fired: true, Rule: long, Text: long}
	var b bytes.Buffer
	require.NoError(t, Text(&b, r, Style{}))
	for l := range strings.Lines(b.String()) {
		require.LessOrEqual(t, columns(strings.TrimSuffix(l, "\n")), width, l)
	}
}
