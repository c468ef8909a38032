package server

import (
	"fmt"
	"math"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/report"
)

// chart is recovery over the runs, as an SVG that needs no script. All numbers are the picture's own units.
type chart struct {
	Width, Height      int
	Left, Right, TickX int
	DateY              int
	Label              string // for who cannot see it
	Ticks              []mark
	Limit              *mark // of the objective
	Points             []point
	Dates              []date
	Nevers             int
}

type mark struct {
	Y, TextY float64
	Text     string
}

type point struct {
	X, Y, High, Low, CapL, CapR float64
	Never                       bool
	Cross                       string // the path of an ✕
	Title                       string
}

type date struct {
	X            float64
	Anchor, Text string
}

const chartRuns = 40 // what is readable

// drawRecovery shows the measured ones of the runs, which come the newest first. It is nil when there are none.
func drawRecovery(runs []history.Entry, limit *drill.Seconds) *chart {
	var shown []history.Entry
	for _, r := range runs {
		if r.Recovery != nil && len(shown) < chartRuns {
			shown = append([]history.Entry{r}, shown...)
		}
	}
	if len(shown) == 0 {
		return nil
	}
	c := &chart{Width: 720, Height: 220, Left: 56, Right: 708, TickX: 50, DateY: 214}
	const top, bottom = 26.0, 190.0
	highest := 0.0
	see := func(s drill.Seconds) {
		if !math.IsInf(float64(s), 0) {
			highest = max(highest, float64(s))
		}
	}
	for _, r := range shown {
		see(r.Worse().Lower)
		see(r.Worse().Upper)
	}
	if limit != nil {
		see(*limit)
	}
	step := niceStep(highest / 4)
	ceiling := step * max(1, math.Ceil(highest/step))
	at := func(s drill.Seconds) float64 { return round(bottom - (bottom-top)*float64(s)/ceiling) }
	for v := 0.0; v <= ceiling*1.001; v += step {
		y := at(drill.Seconds(v))
		c.Ticks = append(c.Ticks, mark{Y: y, TextY: y + 4, Text: fmt.Sprintf("%.4g s", v)})
	}
	if limit != nil && !math.IsInf(float64(*limit), 0) {
		c.Limit = &mark{Y: at(*limit), TextY: at(*limit) - 5, Text: fmt.Sprintf("objective %.4g s", float64(*limit))}
	}
	gap := float64(c.Right-c.Left) / float64(len(shown))
	for i, r := range shown {
		x := round(float64(c.Left) + gap*(float64(i)+0.5))
		worse := r.Worse()
		p := point{X: x, CapL: x - 7, CapR: x + 7, Low: at(worse.Lower),
			Title: r.Started.UTC().Format("2006-01-02 15:04") + ": " + r.RecoveryText()}
		if math.IsInf(float64(worse.Upper), 1) {
			p.Never, p.Y = true, 14
			p.Cross = fmt.Sprintf("M%g %gl10 10m0 -10l-10 10", x-5, p.Y-5)
			p.Title = fmt.Sprintf("%s: never; still failing after %s", r.Started.UTC().Format("2006-01-02 15:04"), report.Seconds(worse.Lower))
			c.Nevers++
		} else {
			p.Y, p.High = at(worse.Estimate), at(worse.Upper)
		}
		c.Points = append(c.Points, p)
	}
	first, last := shown[0].Started.UTC(), shown[len(shown)-1].Started.UTC()
	layout := "2006-01-02"
	if last.Sub(first).Hours() < 48 {
		layout = "2006-01-02 15:04"
	}
	c.Dates = []date{{X: float64(c.Left), Anchor: "start", Text: first.Format(layout)}}
	if len(shown) > 1 {
		c.Dates = append(c.Dates, date{X: float64(c.Right), Anchor: "end", Text: last.Format(layout)})
	}
	newest := shown[len(shown)-1]
	c.Label = fmt.Sprintf("Chart of recovery in %d runs; the newest took %s; %d never recovered. The table below has the same numbers.",
		len(shown), newest.RecoveryText(), c.Nevers)
	return c
}

// niceStep is the next number of 1, 2 or 5 times a power of ten.
func niceStep(least float64) float64 {
	if least <= 0 {
		return 0.1
	}
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, f := range []float64{1, 2, 5} {
		if f*power >= least {
			return f * power
		}
	}
	return 10 * power
}

func round(v float64) float64 { return math.Round(v*10) / 10 }
