package picture

import (
	"bytes"
	"flag"
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

var update = flag.Bool("update", false, "draw the picture anew")

// The picture of docs/measuring.md shows scripted histories as drill measures them: what is drawn is what the report
// says, so it cannot say anything else.

const (
	pictureDelta = 50 * time.Millisecond // 20 Hz, so that slots can be seen
	pictureFault = 20 * time.Second      // on the run's clock
	pictureEnd   = 95 * time.Second
	ms           = time.Millisecond
)

// fate is what becomes of a slot: answered after so long, failed, or not sent.
type fate struct {
	answer time.Duration
	failed bool
	unsent bool
}

// history is a scripted run, and what the picture shows of it.
type history struct {
	title    string
	script   func(since time.Duration) fate // of a slot whose turn is so long after the fault
	truth    time.Duration                  // when service was back, after the fault
	from, to time.Duration                  // the part that is drawn
	tick     time.Duration
	outages  []drill.OutageKind
	blips    int
}

var quick = fate{answer: 2 * ms}

func within(t, from, to time.Duration) bool { return t >= from && t < to }

// histories are one for each rule of an outage.
func histories() []history {
	return []history{
		{title: "In a row: two outages and a blip", from: -500 * ms, to: 4600 * ms, tick: 500 * ms, truth: 3 * time.Second,
			outages: []drill.OutageKind{drill.OutageFailed, drill.OutageFailed}, blips: 1,
			script: func(t time.Duration) fate {
				switch {
				case within(t, 60*ms, 1000*ms):
					return fate{failed: true}
				case within(t, 1000*ms, 1350*ms):
					return fate{answer: 300 * ms}
				case within(t, 1900*ms, 2050*ms):
					return fate{answer: 180 * ms}
				case within(t, 2300*ms, 2400*ms):
					return fate{unsent: true}
				case within(t, 2600*ms, 3000*ms):
					return fate{failed: true}
				}
				return quick
			}},
		{title: "In pieces, within a second: every third request fails", from: -500 * ms, to: 4600 * ms, tick: 500 * ms,
			truth: 2500 * ms, outages: []drill.OutageKind{drill.OutagePieces},
			script: func(t time.Duration) fate {
				if within(t, 100*ms, 2500*ms) && int(t/pictureDelta)%3 == 0 {
					return fate{failed: true}
				}
				return quick
			}},
		{title: "In pieces, within ten seconds: one pod of ten is broken, and every tenth request fails", from: -2 * time.Second, to: 18 * time.Second,
			tick: 2 * time.Second, truth: 12 * time.Second, outages: []drill.OutageKind{drill.OutagePieces},
			script: func(t time.Duration) fate {
				if within(t, 100*ms, 12*time.Second) && int(t/pictureDelta)%10 == 4 {
					return fate{failed: true}
				}
				return quick
			}},
	}
}

// samples are the slots of the run.
func (h history) samples() []drill.Sample {
	var all []drill.Sample
	for k := range int(pictureEnd / pictureDelta) {
		due := time.Duration(k)*pictureDelta + 20*ms
		s := drill.Sample{Probe: "orders", Class: drill.ClassPooled, Slot: int64(k), Scheduled: drill.Offset(due), Sent: drill.Offset(due), Write: true}
		f := quick
		if due >= pictureFault {
			f = h.script(due - pictureFault)
		}
		switch {
		case f.unsent:
			s.Outcome, s.Done = drill.OutcomeUnsent, s.Sent
		case f.failed:
			s.Outcome, s.Signal, s.Done = drill.OutcomeFail, drill.SignalRefused, drill.Offset(due+ms)
		default:
			s.Outcome, s.Role, s.By, s.Epoch, s.Done = drill.OutcomeOK, drill.RolePrimary, "a", 1, drill.Offset(due+f.answer)
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b drill.Sample) int { return int(a.Done - b.Done) })
	return all
}

func (h history) measured(samples []drill.Sample) drill.Report {
	at := func(t time.Duration, e drill.Event) drill.Event { e.At = drill.Offset(t); return e }
	fault := func(t time.Duration, st drill.FaultState) drill.Event {
		return at(t, drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "kill_primary", Name: "orders", State: st, From: drill.Offset(pictureFault)}})
	}
	members := []drill.Member{{Name: "a", UID: "a", Role: drill.RolePrimary, Epoch: 1}}
	events := []drill.Event{
		{Type: drill.EventPlan, Members: members, Plans: []drill.FaultPlan{{Kind: "kill_primary", Name: "orders", Victims: members}}},
		{Type: drill.EventProbe, Probe: &drill.ProbeInfo{Name: "orders", Kind: "postgresql", Target: "orders", Class: drill.ClassPooled,
			Interval: pictureDelta, Deadline: time.Second, Sessions: 20}},
		at(time.Second, drill.Event{Type: drill.EventStep, Step: drill.StepSteady}),
		at(5*time.Second, drill.Event{Type: drill.EventStep, Step: drill.StepHold}),
		fault(pictureFault, drill.FaultInjecting), fault(pictureFault, drill.FaultInjected), fault(pictureFault, drill.FaultConfirmed),
		fault(pictureFault+30*time.Second, drill.FaultReverted),
		at(pictureEnd, drill.Event{Type: drill.EventSamples, Samples: samples}),
		at(pictureEnd, drill.Event{Type: drill.EventEnd, End: &drill.End{Cause: drill.EndFinished, Code: "finished"}}),
	}
	return measure.Report(drill.Recording{Events: slices.Values(events),
		Settings: drill.Settings{Window: 10 * time.Second, ImpactTimeout: 60 * time.Second, RedundancyLag: 1}})
}

// TestThePictureOfAnOutage draws docs/measuring.svg and holds the file against it.
func TestThePictureOfAnOutage(t *testing.T) {
	d := &drawing{}
	for _, h := range histories() {
		samples := h.samples()
		rec := h.measured(samples).Recovery
		require.NotNil(t, rec, h.title)
		var kinds []drill.OutageKind
		for _, o := range rec.Outages {
			kinds = append(kinds, o.Kind)
		}
		require.Equal(t, h.outages, kinds, h.title)
		require.Equal(t, h.blips, rec.Blips.Count, h.title)
		truth := drill.Seconds(h.truth.Seconds())
		require.LessOrEqual(t, rec.Lower, truth, h.title)
		require.GreaterOrEqual(t, rec.Upper, truth, h.title)
		require.Len(t, d.strip(h, samples, rec), h.blips, "the blips drawn are those counted: %s", h.title)
	}
	got := d.svg()
	const path = "../../docs/measuring.svg"
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "go test ./internal/report -run Picture -update writes it anew")
}

// drawing is the picture in the making; y is where the next strip begins.
type drawing struct {
	bytes.Buffer
	y float64
}

const (
	pictureWidth = 920.0
	pictureLeft  = 16.0
	pictureRight = 904.0
)

// strip draws one history: its slots, what the report calls outages and blips, and the interval of the recovery. It
// returns the blips.
func (d *drawing) strip(h history, samples []drill.Sample, rec *drill.RecoveryReport) [][2]float64 {
	x := func(s float64) float64 {
		return pictureLeft + (pictureRight-pictureLeft)*(s-h.from.Seconds())/(h.to-h.from).Seconds()
	}
	inside := func(s float64) float64 { return min(max(s, h.from.Seconds()), h.to.Seconds()) }
	top := d.y + 62 // of the slots
	d.text(pictureLeft, d.y+18, "title", "start", h.title)
	d.line("fault", x(0), d.y+30, x(0), top+46)
	d.text(x(0)-5, d.y+40, "soft", "end", "the fault")
	for _, o := range rec.Outages {
		from, to := float64(o.Start), float64(o.Start+o.Seconds)
		d.rect("outage", x(from), top-12, x(inside(to))-x(from), 6)
		d.text((x(from)+x(inside(to)))/2, top-17, "", "middle", fmt.Sprintf("outage: %s, %d down slots", seconds(o.Seconds), o.DownSlots))
	}
	if l := float64(rec.UpWithin); h.tick < time.Second { // of the others it would be too small to see
		from := h.to.Seconds() - 0.7
		d.line("span", x(from), top+10, x(from+l), top+10)
		d.text(x(from+l)+4, top+14, "soft", "start", fmt.Sprintf("L = %.3g ms", 1000*l))
	}
	blips := d.slots(h, samples, rec, x, top)
	for _, b := range blips {
		d.line("blip", x(b[0]), top+36, x(b[1]), top+36)
		d.text((x(b[0])+x(b[1]))/2, top+50, "soft", "middle", "blip: "+seconds(rec.Blips.Longest))
	}
	lower, upper, mid := x(float64(rec.Lower)), x(float64(rec.Upper)), x(float64(rec.Estimate.Estimate))
	d.rect("interval", lower, top+38, max(2, upper-lower), 8)
	d.line("middle", mid, top+35, mid, top+49)
	d.text(upper+8, top+47, "strong", "start", fmt.Sprintf("back after %s [%s, %s]", seconds(rec.Estimate.Estimate), number(rec.Lower), number(rec.Upper)))
	for s := math.Ceil(h.from.Seconds()/h.tick.Seconds()) * h.tick.Seconds(); s <= h.to.Seconds()+1e-9; s += h.tick.Seconds() {
		d.line("axis", x(s), top+28, x(s), top+32)
		d.text(max(x(s), pictureLeft+14), top+66, "soft", "middle", fmt.Sprintf("%g s", s))
	}
	d.line("axis", pictureLeft, top+28, pictureRight, top+28)
	d.y = top + 84
	return blips
}

// slots draws the strip of slots, each by its state, and returns the rows of down slots that lie in no outage.
func (d *drawing) slots(h history, samples []drill.Sample, rec *drill.RecoveryReport, x func(float64) float64, top float64) [][2]float64 {
	samples = slices.Clone(samples)
	slices.SortFunc(samples, func(a, b drill.Sample) int { return int(a.Slot - b.Slot) })
	wide := (x(pictureDelta.Seconds()) - x(0)) * 0.78
	var blips [][2]float64
	open := false
	for _, s := range samples {
		at := (time.Duration(s.Scheduled) - pictureFault).Seconds()
		state, high := "up", 8.0
		switch {
		case s.Outcome == drill.OutcomeUnsent:
			state, high = "unknown", 24
		case s.Outcome != drill.OutcomeOK:
			state, high = "failed", 24
		case s.Done.Sub(s.Scheduled).Seconds() > float64(rec.UpWithin):
			state, high = "slow", 16
		}
		down := state == "failed" || state == "slow"
		covered := slices.ContainsFunc(rec.Outages, func(o drill.OutageReport) bool {
			return at >= float64(o.Start)-1e-6 && at <= float64(o.Start+o.Seconds)
		})
		switch {
		case down && !covered && !open:
			blips, open = append(blips, [2]float64{at, at + pictureDelta.Seconds()}), true
		case down && !covered:
			blips[len(blips)-1][1] = at + pictureDelta.Seconds()
		case state == "up":
			open = false
		}
		if at >= h.from.Seconds() && at < h.to.Seconds()-pictureDelta.Seconds()/2 {
			d.rect(state, x(at), top+24-high, wide, high)
		}
	}
	return blips
}

func (d *drawing) rect(class string, x, y, w, h float64) {
	fmt.Fprintf(d, "<rect class=%q x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", class, x, y, w, h)
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(d, "<line class=%q x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2)
}

func (d *drawing) text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(d, "<text class=%q x=\"%.1f\" y=\"%.1f\" text-anchor=%q>%s</text>\n", class, x, y, anchor, html.EscapeString(text))
}

// pictureStyle is readable on a light and on a dark page: the picture brings its own ground. States differ in height
// and outline, too, for who does not see their colours.
const pictureStyle = `svg { --ground: #fff; --ink: #1f2328; --soft: #59636e; --up: #2da44e; --slow: #bf8700; --failed: #cf222e; --line: #0969da }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --ink: #f0f6fc; --soft: #9198a1; --up: #3fb950; --slow: #d29922; --failed: #f85149; --line: #4493f8 }
}
text { font: 13px system-ui, sans-serif; fill: var(--ink) }
.title, .strong { font-weight: 600 } .soft { fill: var(--soft); font-size: 12px }
.ground { fill: var(--ground) } .up { fill: var(--up) } .slow { fill: var(--slow) } .failed { fill: var(--failed) }
.unknown { fill: none; stroke: var(--soft); stroke-dasharray: 2 2 }
.outage { fill: var(--failed) } .interval { fill: var(--line); opacity: .55 }
.middle { stroke: var(--line); stroke-width: 2 } .fault { stroke: var(--ink); stroke-dasharray: 4 3 }
.blip, .span { stroke: var(--soft); stroke-width: 3 } .axis { stroke: var(--soft) }
`

// svg puts the strips under a legend.
func (d *drawing) svg() []byte {
	strips := d.String()
	d.Reset()
	at := pictureLeft
	for _, l := range []struct {
		class string
		high  float64
		text  string
	}{{"up", 8, "up: answered within L"}, {"slow", 16, "slow: later"}, {"failed", 24, "failed: refused, or no answer"}, {"unknown", 24, "unknown: not sent"}} {
		d.rect(l.class, at, 36-l.high, 8, l.high)
		d.text(at+14, 34, "", "start", l.text)
		at += 32 + 6.8*float64(len(l.text))
	}
	d.rect("interval", at, 24, 22, 8)
	d.text(at+28, 34, "", "start", "[lower, upper]: service is back")
	legend := d.String()
	d.Reset()
	height := d.y + 52
	var out bytes.Buffer
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" role=\"img\" aria-label=%q>\n<style>\n%s</style>\n",
		pictureWidth, height, pictureWidth, height,
		"Three strips of slots with the outages and blips that drill finds in them, and the interval in which the last outage ended", pictureStyle)
	fmt.Fprintf(&out, "<rect class=\"ground\" width=\"%g\" height=\"%g\"/>\n%s<g transform=\"translate(0 48)\">\n%s</g>\n</svg>\n", pictureWidth, height, legend, strips)
	return out.Bytes()
}

// number writes seconds to the hundredth, which is more than the picture can show.
func number(s drill.Seconds) string { return fmt.Sprintf("%.2f", float64(s)) }

func seconds(s drill.Seconds) string { return number(s) + " s" }
