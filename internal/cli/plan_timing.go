package cli

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// timing is when what happens, at the earliest. Moments count from the first injection.
type timing struct {
	Hold          drill.Seconds `json:"steady_hold_seconds"`
	SteadyTimeout drill.Seconds `json:"steady_timeout_seconds"`
	Delay         drill.Seconds `json:"first_after_seconds"` // from the steady state to the first injection
	Stagger       drill.Seconds `json:"stagger_seconds"`     // the most by which that is put off at random
	Observed      drill.Seconds `json:"observed_seconds"`    // until then it is watched, at the least
	Least         drill.Seconds `json:"least_seconds"`       // from the beginning of the steady state until then
	Blip          drill.Seconds `json:"blip_seconds"`        // what is shorter is no outage
	Timeout       drill.Seconds `json:"timeout_seconds"`     // of the whole run
	Trials        int           `json:"trials"`
	Moments       []moment      `json:"moments"`
}

// moment is something that happens at a known time after the first injection, at the earliest.
type moment struct {
	At    drill.Seconds `json:"at_seconds"`
	What  string        `json:"what"` // inject, revert, observed
	Fault string        `json:"fault,omitempty"`
}

// timingOf orders what a run does.
func timingOf(d *drill.Drill, faults []plannedFault) timing {
	t := timing{Hold: inSeconds(d.SteadyState.Hold), SteadyTimeout: inSeconds(d.SteadyState.Timeout), Stagger: inSeconds(d.Stagger),
		Blip: inSeconds(d.Blip), Timeout: inSeconds(d.Timeout), Trials: max(1, d.Repeat), Moments: []moment{}}
	if len(d.Faults) > 0 {
		t.Delay = inSeconds(d.Faults[0].After)
	}
	last := drill.Seconds(0)
	for _, f := range faults {
		t.Moments = insert(t.Moments, moment{f.At, "inject", f.Name})
		last = max(last, f.At)
	}
	t.Observed = last + inSeconds(settings(d).ImpactTimeout)
	for _, f := range faults {
		if f.Hold > 0 {
			t.Moments = insert(t.Moments, moment{f.At + f.Hold, "revert", f.Name})
			t.Observed = max(t.Observed, f.At+f.Hold)
		}
	}
	t.Moments = insert(t.Moments, moment{t.Observed, "observed", ""})
	t.Least = t.Hold + t.Delay + t.Observed
	return t
}

// insert keeps moments in order; of those at the same time the one that was put in first comes first.
func insert(all []moment, m moment) []moment {
	i := len(all)
	for i > 0 && all[i-1].At > m.At {
		i--
	}
	return append(all[:i], append([]moment{m}, all[i:]...)...)
}

func inSeconds(d time.Duration) drill.Seconds { return drill.Seconds(d.Seconds()) }

// span writes a planned length of time as a drill file does: 1m30s.
func span(s drill.Seconds) string {
	if s == 0 {
		return "0s"
	}
	text := time.Duration(math.Round(float64(s)*1e3) * 1e6).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// The picture's columns, of 100 in all.
const (
	pictureLabel = 26
	pictureBars  = 68
)

// picture is the run's earliest course as bars, one line each.
func (t timing) picture(faults []plannedFault) []string {
	begin, end := -(t.Hold + t.Delay + t.Stagger), t.Observed
	at := func(s drill.Seconds) int {
		return int(math.Round(float64((s - begin) / (end - begin) * (pictureBars - 1))))
	}
	bar := func(label string, from, to drill.Seconds, ink string) string {
		a, b := at(from), at(to)
		drawn := strings.Repeat(" ", a) + strings.Repeat(ink, max(1, b-a))
		return fmt.Sprintf("%s%s", column(label, pictureLabel), drawn)
	}
	var lines []string
	if t.Hold > 0 {
		lines = append(lines, bar("steady state", begin, begin+t.Hold, "="))
	}
	if t.Stagger > 0 {
		lines = append(lines, bar("random delay, up to", begin+t.Hold, begin+t.Hold+t.Stagger, "?"))
	}
	for i, f := range faults {
		ink := "#"
		if f.NotNow != "" {
			ink = "?" // for how long is not known
		}
		lines = append(lines, bar(fmt.Sprintf("%d %s", i+1, f.Name), f.At, f.At+f.Hold, ink))
	}
	lines = append(lines, bar("observation, at least", 0, t.Observed, "-")+">")
	return append(lines, t.axis(at, begin, end)...)
}

// axis is the scale below the bars: marks, and their times under them.
func (t timing) axis(at func(drill.Seconds) int, begin, end drill.Seconds) []string {
	step := tick(end - begin)
	marks, texts := []rune(strings.Repeat(" ", pictureBars+12)), []rune(strings.Repeat(" ", pictureBars+12))
	free := 0
	for n := math.Ceil(float64(begin / step)); drill.Seconds(n)*step <= end; n++ {
		s := drill.Seconds(n) * step
		text := "T"
		switch {
		case s > 0:
			text = "T+" + span(s)
		case s < 0:
			text = "T-" + span(-s)
		}
		x := at(s)
		if x < free || x+len(text) > pictureBars+2 {
			continue
		}
		marks[x] = '|'
		copy(texts[x:], []rune(text))
		free = x + len(text) + 1
	}
	indent := strings.Repeat(" ", pictureLabel)
	return []string{strings.TrimRight(indent+string(marks), " "), strings.TrimRight(indent+string(texts), " ")}
}

// tick is a length of time that people count in, of which about six make the whole.
func tick(whole drill.Seconds) drill.Seconds {
	for _, step := range []drill.Seconds{1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600} {
		if whole/step <= 7 {
			return step
		}
	}
	return drill.Seconds(math.Ceil(float64(whole)/7/3600)) * 3600
}
