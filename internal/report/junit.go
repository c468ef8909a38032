package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// ValidCase is the name of the test case that stands for the verdict itself.
const ValidCase = "the run was valid"

type junitSuites struct {
	XMLName  xml.Name      `xml:"testsuites"`
	Name     string        `xml:"name,attr"`
	Tests    int           `xml:"tests,attr"`
	Failures int           `xml:"failures,attr"`
	Errors   int           `xml:"errors,attr"`
	Skipped  int           `xml:"skipped,attr"`
	Time     string        `xml:"time,attr"`
	Suites   []*junitSuite `xml:"testsuite"`

	took time.Duration
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`

	took time.Duration
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure,omitempty"`
	Error   *junitProblem `xml:"error,omitempty"`
	Skipped *junitSkipped `xml:"skipped,omitempty"`
	Out     *junitText    `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

type junitText struct {
	Text string `xml:",cdata"` // keeps its line breaks readable
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

// JUnit writes reports as the XML that CI systems read: a suite for each drill, in it a case for the verdict and one for
// each objective. A run that proved nothing is never a row of green: docs/report.md says what becomes of each verdict.
func JUnit(w io.Writer, reports ...drill.Report) error {
	all := &junitSuites{Name: "drill"}
	suites := map[string]*junitSuite{}
	runs := map[string]int{}
	for _, r := range reports {
		runs[r.Run.Drill]++
	}
	for _, r := range reports {
		s := suites[r.Run.Drill]
		if s == nil {
			s = &junitSuite{Name: clean(r.Run.Drill)}
			if !r.Run.Started.IsZero() {
				s.Timestamp = r.Run.Started.UTC().Format("2006-01-02T15:04:05")
			}
			suites[r.Run.Drill] = s
			all.Suites = append(all.Suites, s)
		}
		suffix := "" // of several runs of a drill, so that no two cases have one name
		if runs[r.Run.Drill] > 1 {
			suffix = " (" + clean(r.Run.ID) + ")"
		}
		if err := s.add(r, suffix); err != nil {
			return err
		}
	}
	for _, s := range all.Suites {
		s.Time = junitTime(s.took)
		all.Tests, all.Failures, all.Errors, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors, all.Skipped+s.Skipped
		all.took += s.took
	}
	all.Time = junitTime(all.took)
	body, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, body)
	}
	if err != nil {
		return fmt.Errorf("write the report as JUnit: %w", err)
	}
	return nil
}

// xmlText takes out what XML cannot hold, which the encoder does only outside of CDATA.
func xmlText(text string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c >= 0x20 && c <= 0xd7ff || c >= 0xe000 && c <= 0xfffd || c >= 0x10000 {
			return c
		}
		return '\ufffd'
	}, text)
}

func junitTime(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// add puts one run's cases into the suite.
func (s *junitSuite) add(r drill.Report, suffix string) error {
	var text bytes.Buffer
	if err := Text(&text, r, Style{}); err != nil {
		return err
	}
	var took time.Duration
	if r.Run.Finished.After(r.Run.Started) {
		took = r.Run.Finished.Sub(r.Run.Started)
	}
	s.took += took
	verdict := junitVerdict(r)
	verdict.Time, verdict.Out = junitTime(took), &junitText{xmlText(text.String())}
	cases := []junitCase{verdict}
	for _, o := range r.Objectives {
		cases = append(cases, junitObjective(r, o))
	}
	for _, c := range cases {
		c.Class, c.Name = "drill."+s.Name, clean(c.Name)+suffix
		s.Tests++
		switch {
		case c.Error != nil:
			s.Errors++
		case c.Failure != nil:
			s.Failures++
		case c.Skipped != nil:
			s.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	return nil
}

// junitVerdict is green when the run was whole, so that its objectives say what there is to say.
func junitVerdict(r drill.Report) junitCase {
	c := junitCase{Name: ValidCase}
	var texts, others []string // the reasons; those that are no objective's
	for _, reason := range r.Run.Reasons {
		text := reason.Text
		if text == "" {
			text = strings.ReplaceAll(reason.Code, "_", " ")
		}
		texts = append(texts, clean(text))
		if reason.Objective == "" {
			others = append(others, clean(text))
		}
	}
	problem := func(kind string, texts []string) *junitProblem {
		if len(texts) == 0 {
			texts = []string{"The run ended as " + kind + "."}
		}
		return &junitProblem{Type: kind, Message: texts[0], Text: xmlText(strings.Join(texts, "\n"))}
	}
	var left []string
	for _, f := range r.Faults {
		for _, what := range f.Residue {
			left = append(left, clean(fmt.Sprintf("Someone must act: the fault %s %q left something behind: %s.", f.Kind, f.Name, what)))
		}
	}
	switch v := r.Run.Verdict; {
	case len(left) > 0:
		c.Error = problem("residue", append(left, texts...))
	case v == drill.VerdictPassed:
	case v == drill.VerdictFailed:
		// Some failures are no objective's, for instance writes that are there twice.
		if unmet(r) == 0 || len(others) > 0 {
			c.Failure = problem(string(v), others)
		}
	case v == drill.VerdictAborted:
		c.Failure = problem(string(v), texts)
	case v == drill.VerdictInterrupted:
		c.Skipped = &junitSkipped{Message: strings.Join(append([]string{"The run was interrupted."}, texts...), " ")}
	default:
		c.Error = problem(string(v), texts)
	}
	return c
}

func unmet(r drill.Report) (n int) {
	for _, o := range r.Objectives {
		if !o.Met {
			n++
		}
	}
	return n
}

// junitObjective is red for an objective that was missed, and skipped where the run cannot judge it.
func junitObjective(r drill.Report, o drill.ObjectiveReport) junitCase {
	c := junitCase{Name: o.Name, Time: junitTime(0)}
	switch {
	case !r.Run.Verdict.Measured():
		c.Skipped = &junitSkipped{Message: "Not judged: the run is " + string(r.Run.Verdict) + "."}
	case !o.Met:
		text := fmt.Sprintf("%s is %s, limit %s", o.Name, objectiveValue(o), objectiveLimit(o))
		if o.Want != "" {
			text = fmt.Sprintf("%s: wanted %s, got %s", o.Name, objectiveLimit(o), objectiveValue(o))
		}
		for _, reason := range r.Run.Reasons {
			if reason.Objective == o.Name && reason.Text != "" {
				text = reason.Text
			}
		}
		c.Failure = &junitProblem{Type: "objective_missed", Message: clean(text), Text: xmlText(clean(text))}
	}
	return c
}

func objectiveValue(o drill.ObjectiveReport) string {
	switch {
	case o.ValueSeconds != nil:
		return precise(*o.ValueSeconds)
	case o.ValueCount != nil:
		return strconv.Itoa(*o.ValueCount)
	case o.Got != "":
		return pad(clean(strings.ReplaceAll(o.Got, "_", " ")), min(columns(o.Got), 20))
	}
	return "unknown"
}

func objectiveLimit(o drill.ObjectiveReport) string {
	switch {
	case o.LimitSeconds != nil:
		return precise(*o.LimitSeconds)
	case o.LimitCount != nil:
		return strconv.Itoa(*o.LimitCount)
	case o.Want != "":
		return clean(strings.ReplaceAll(o.Want, "_", " "))
	}
	return "unknown"
}
