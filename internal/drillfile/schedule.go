package drillfile

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schedule"
	"github.com/failoverdrill/drill/internal/schema"
)

func scheduleBody() schema.Body[drill.Schedule] {
	return schema.Body[drill.Schedule]{
		Defaults: drill.Schedule{Timezone: "UTC", Missed: drill.MissedSkip},
		Arguments: func(s *drill.Schedule) []schema.Argument {
			return []schema.Argument{
				schema.String("cron", &s.Cron, "When the drill is due: minute, hour, day of month, month and day of week, such as `0 10 1 * *`; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.", schema.Required()),
				schema.String("timezone", &s.Timezone, "The time zone in which cron, window and blackout are read: an IANA name."),
				schema.Duration("jitter", &s.Jitter, "The longest random delay after the due time.", schema.Default("no delay")),
				schema.Strings("window", &s.Window, "When a run may start, such as `Mon-Fri 09:00-16:00`.", schema.Default("at any time"), atMost(maxWindows, "windows", nil)),
				schema.Strings("blackout", &s.Blackout, "Days without a run, such as `2026-12-20/2027-01-05`.", atMost(maxBlackouts, "blackouts", nil)),
				schema.String("missed", &s.Missed, "What becomes of a due time at which nobody could start the run: `skip` counts it, `run_late` runs the newest one once, late.",
					schema.Answer(drill.MissedSkip, drill.MissedRunLate)),
			}
		},
		Check: checkSchedule,
	}
}

// checkSchedule reports what the timetable cannot be made of.
func checkSchedule(s *drill.Schedule, d *schema.Decoded) {
	_, problems := schedule.Parse(*s)
	for _, p := range problems {
		// What was refused already has its default here, and is not complained of twice.
		if d.Sound(p.Argument) && d.Given(p.Argument) {
			d.Report(d.At(p.Argument), p.Summary, "%s.", p.Detail)
		}
	}
	misspelt := slices.ContainsFunc(d.Strays, func(s schema.Stray) bool { return s.Meant == "timezone" })
	wrong := slices.ContainsFunc(problems, func(p schedule.Problem) bool { return p.Argument == "cron" })
	if d.Given("cron") && !wrong && !d.Given("timezone") && !misspelt {
		d.Warn(d.At("cron"), "Missing time zone", "By whose clock? Without a time zone this is read in UTC. Write one of the IANA database, such as timezone = \"Europe/Berlin\", or timezone = \"UTC\".")
	}
}

// schedule reads when the drill runs by itself.
func (l *loader) schedule(b *hcl.Block) *drill.Schedule {
	s, d := scheduleBody().Decode(b.Body, l.static)
	l.take(d)
	return &s
}
