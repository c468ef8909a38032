package drillfile

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schedule"
)

// schedule reads when the drill runs by itself.
func (l *loader) schedule(b *scheduleBlock) *drill.Schedule {
	if b == nil {
		return nil
	}
	s := drill.Schedule{Timezone: "UTC", Missed: drill.MissedSkip, Jitter: l.duration(b.Jitter, b.JitterRange, 0),
		Window: b.Window, Blackout: b.Blackout}
	// What gohcl could not read it has reported, and left empty: then the empty text is no further problem.
	for _, a := range []struct {
		to   *string
		text *string
	}{{&s.Cron, b.Cron}, {&s.Timezone, b.Timezone}, {&s.Missed, b.Missed}} {
		if a.text != nil {
			*a.to = *a.text
		}
	}
	at := map[string]hcl.Range{"cron": b.CronRange, "timezone": b.TimezoneRange, "missed": b.MissedRange,
		"jitter": b.JitterRange, "window": b.WindowRange, "blackout": b.BlackoutRange}
	if b.Cron == nil && !l.failedWithin(b.DefRange) {
		l.report(b.DefRange, "Missing required argument", `The argument "cron" says when the drill is due. Write it, such as cron = "0 10 1 * *".`)
	}
	_, problems := schedule.Parse(s)
	for _, p := range problems {
		if p.Argument == "cron" && b.Cron == nil || l.failedWithin(at[p.Argument]) {
			continue
		}
		l.report(at[p.Argument], p.Summary, p.Detail+".")
	}
	return &s
}
