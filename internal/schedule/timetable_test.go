package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schedule"
)

func parse(t testing.TB, cron, zone string, edit ...func(*drill.Schedule)) *schedule.Timetable {
	t.Helper()
	s := drill.Schedule{Cron: cron, Timezone: zone, Missed: drill.MissedSkip}
	for _, e := range edit {
		e(&s)
	}
	table, problems := schedule.Parse(s)
	require.Empty(t, problems)
	return table
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return parsed
}

// TestNext: the clock in Berlin leaves out 02:00 to 03:00 on 2026-03-29, and shows it twice on 2026-10-25.
func TestNext(t *testing.T) {
	const berlin = "Europe/Berlin"
	for name, tc := range map[string]struct {
		cron, zone, after string
		want              []string
	}{
		"monthly":                           {"0 10 1 * *", berlin, "2026-11-21T15:00:00Z", []string{"2026-12-01T10:00:00+01:00", "2027-01-01T10:00:00+01:00"}},
		"summer and winter":                 {"0 10 1 3,4 *", berlin, "2026-01-01T00:00:00Z", []string{"2026-03-01T09:00:00Z", "2026-04-01T08:00:00Z"}},
		"a descriptor":                      {"@monthly", "UTC", "2026-11-21T15:00:00Z", []string{"2026-12-01T00:00:00Z"}},
		"not the time itself":               {"0 10 * * *", "UTC", "2026-11-21T10:00:00Z", []string{"2026-11-22T10:00:00Z"}},
		"the last day of February":          {"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		"left out: right after the gap":     {"30 2 * * *", berlin, "2026-03-28T12:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		"left out, several: once":           {"*/10 2 * * *", berlin, "2026-03-29T00:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		"left out, and one beside it":       {"0 2,3 * * *", berlin, "2026-03-29T00:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		"before the gap":                    {"59 1 * * *", berlin, "2026-03-29T00:00:00Z", []string{"2026-03-29T01:59:00+01:00", "2026-03-30T01:59:00+02:00"}},
		"shown twice: once, at the first":   {"30 2 * * *", berlin, "2026-10-24T12:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		"asked between the two showings":    {"30 2 * * *", berlin, "2026-10-25T02:45:00+02:00", []string{"2026-10-26T02:30:00+01:00"}},
		"asked during the second showing":   {"50 2 * * *", berlin, "2026-10-25T02:10:00+01:00", []string{"2026-10-26T02:50:00+01:00"}},
		"shown twice, the edges":            {"0 2,3 * * *", berlin, "2026-10-24T12:00:00Z", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00"}},
		"every hour goes on, hour by hour":  {"0 * * * *", berlin, "2026-10-25T01:30:00+02:00", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		"every hour leaves out none":        {"0 * * * *", berlin, "2026-03-29T00:30:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		"every two minutes, in the overlap": {"*/2 * * * *", berlin, "2026-10-25T02:58:00+02:00", []string{"2026-10-25T02:00:00+01:00", "2026-10-25T02:02:00+01:00"}},
		"a change of half an hour":          {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		"a midnight that is left out":       {"0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"}},
		"a day that was left out":           {"0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00-10:00", []string{"2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"}},
		"the first of the month or a Monday": {"0 0 1 * 1", "UTC", "2026-11-21T00:00:00Z",
			[]string{"2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, tc.cron, tc.zone).Times(at(t, tc.after), len(tc.want))
			require.Len(t, got, len(tc.want))
			for i, want := range tc.want {
				assert.True(t, got[i].Equal(at(t, want)), "%d: want %s, got %s", i, want, got[i])
			}
		})
	}
}

// TestTimesGoForward: over a year of every zone that has something odd, times rise, and every day has its own.
func TestTimesGoForward(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "Africa/Casablanca"} {
		for _, cron := range []string{"0 0 * * *", "30 2 * * *", "15 1 * * *", "59 23 * * *", "0 * * * *", "*/7 */3 * * *"} {
			table := parse(t, cron, zone)
			previous := at(t, "2026-01-01T00:00:00Z")
			until := at(t, "2027-01-01T00:00:00Z")
			days := map[string]int{}
			for previous.Before(until) {
				next := table.Next(previous)
				require.True(t, next.After(previous), "%s %s after %s", cron, zone, previous)
				require.Equal(t, next, table.Next(next.Add(-time.Second)), "%s %s: no time depends on when it is asked for", cron, zone)
				days[next.In(table.Location()).Format(time.DateOnly)]++
				previous = next
			}
			if cron == "30 2 * * *" || cron == "0 0 * * *" {
				require.GreaterOrEqual(t, len(days), 365, "%s %s", cron, zone)
				for day, n := range days {
					require.Equal(t, 1, n, "%s %s on %s", cron, zone, day)
				}
			}
		}
	}
}

func TestWindowsAndBlackouts(t *testing.T) {
	table := parse(t, "0 */6 * * *", "Europe/Berlin", func(s *drill.Schedule) {
		s.Window = []string{"Mon-Wed,Fri 06:00-12:00", "Sun 18:00-24:00"}
		s.Blackout = []string{"2026-12-21/2026-12-28", "2026-12-31"}
	})
	var got []string
	for _, next := range table.Times(at(t, "2026-12-18T00:00:00Z"), 7) {
		got = append(got, next.Format("Mon 2006-01-02 15:04"))
	}
	assert.Equal(t, []string{"Fri 2026-12-18 06:00", "Sun 2026-12-20 18:00", "Tue 2026-12-29 06:00", "Wed 2026-12-30 06:00",
		"Fri 2027-01-01 06:00", "Sun 2027-01-03 18:00", "Mon 2027-01-04 06:00"}, got)
	assert.True(t, table.Open(at(t, "2026-12-18T11:59:59+01:00")))
	assert.False(t, table.Open(at(t, "2026-12-18T12:00:00+01:00")), "the end is not within")
	assert.False(t, table.Open(at(t, "2026-12-28T23:59:59+01:00")), "the last day of a blackout is within")

	far := parse(t, "0 10 1 * *", "UTC", func(s *drill.Schedule) { s.Blackout = []string{"2026-01-01/2056-12-31"} })
	assert.Equal(t, at(t, "2057-01-01T10:00:00Z"), far.Next(at(t, "2026-06-01T00:00:00Z")).UTC())
	sunday := parse(t, "* * 1 * *", "UTC", func(s *drill.Schedule) { s.Window = []string{"Sun 23:59-24:00"} })
	assert.Equal(t, at(t, "2026-11-01T23:59:00Z"), sunday.Next(at(t, "2026-04-02T00:00:00Z")).UTC())
	wrap := parse(t, "0 0 * * *", "UTC", func(s *drill.Schedule) { s.Window = []string{"Sat-Sun 00:00-01:00"} })
	assert.Equal(t, at(t, "2026-11-22T00:00:00Z"), wrap.Next(at(t, "2026-11-21T01:00:00Z")).UTC())
}

func TestDelayIsTheSameEverywhereAndStaysInTheWindow(t *testing.T) {
	table := parse(t, "50 11 * * *", "UTC", func(s *drill.Schedule) { s.Jitter = 20 * time.Minute; s.Window = []string{"09:00-12:00"} })
	again := parse(t, "50 11 * * *", "UTC", func(s *drill.Schedule) { s.Jitter = 20 * time.Minute; s.Window = []string{"09:00-12:00"} })
	seen := map[time.Duration]bool{}
	for _, due := range table.Times(at(t, "2026-01-01T00:00:00Z"), 100) {
		delay := table.Delay("d", due)
		assert.Equal(t, delay, again.Delay("d", due.UTC()))
		assert.Less(t, delay, 10*time.Minute)
		seen[delay] = true
	}
	assert.Greater(t, len(seen), 20)
	assert.NotEqual(t, parse(t, "0 9 * * *", "UTC", func(s *drill.Schedule) { s.Jitter = time.Hour }).Delay("a", at(t, "2026-01-01T09:00:00Z")),
		parse(t, "0 9 * * *", "UTC", func(s *drill.Schedule) { s.Jitter = time.Hour }).Delay("b", at(t, "2026-01-01T09:00:00Z")))
}

func TestProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		s        drill.Schedule
		argument string
		says     string
	}{
		"nothing":                {drill.Schedule{}, "cron", "five fields"},
		"a zone that panics":     {drill.Schedule{Cron: "TZ=UTC"}, "cron", "argument timezone"},
		"another that panics":    {drill.Schedule{Cron: "CRON_TZ=0"}, "cron", "argument timezone"},
		"seconds":                {drill.Schedule{Cron: "0 0 10 1 * *"}, "cron", "expected exactly 5 fields"},
		"no fixed times":         {drill.Schedule{Cron: "@every 1h"}, "cron", "no fixed times"},
		"unknown descriptor":     {drill.Schedule{Cron: "@fortnightly"}, "cron", "@monthly"},
		"the machine's own zone": {drill.Schedule{Cron: "@daily", Timezone: "Local"}, "timezone", "no time zone"},
		"a file":                 {drill.Schedule{Cron: "@daily", Timezone: "../../etc/passwd"}, "timezone", "not the name"},
		"no such day":            {drill.Schedule{Cron: "0 0 31 4,6 *"}, "cron", "does not exist"},
		"window over midnight":   {drill.Schedule{Cron: "@daily", Window: []string{"22:00-04:00"}}, "window", "up to 24:00"},
		"window of no days":      {drill.Schedule{Cron: "@daily", Window: []string{"weekdays 22:00-23:00"}}, "window", "weekdays"},
		"window of no hours":     {drill.Schedule{Cron: "@daily", Window: []string{"Mon 9-16"}}, "window", "stretch"},
		"blackout backwards":     {drill.Schedule{Cron: "@daily", Blackout: []string{"2027-01-05/2026-12-20"}}, "blackout", "earlier day"},
		"jitter over the next":   {drill.Schedule{Cron: "0 9,10 * * *", Jitter: time.Hour}, "jitter", "1h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.s.Timezone == "" {
				tc.s.Timezone = "UTC"
			}
			tc.s.Missed = drill.MissedSkip
			_, problems := schedule.Parse(tc.s)
			require.Len(t, problems, 1)
			assert.Equal(t, tc.argument, problems[0].Argument)
			assert.Contains(t, problems[0].Detail, tc.says)
		})
	}
}

// FuzzParse: no text panics or takes for ever.
func FuzzParse(f *testing.F) {
	f.Add("0 10 1 * *", "Europe/Berlin", "Mon-Fri 09:00-16:00", "2026-12-20/2027-01-05")
	f.Add("TZ=", "Local", "24:00-24:00", "2026-12-20/")
	f.Add("@every 1ns", "", "-", "/")
	f.Fuzz(func(t *testing.T, cron, zone, window, blackout string) {
		table, problems := schedule.Parse(drill.Schedule{Cron: cron, Timezone: zone, Missed: drill.MissedSkip, Window: []string{window}, Blackout: []string{blackout}})
		if len(problems) == 0 {
			now := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
			if next := table.Next(now); !next.IsZero() && !next.After(now) {
				t.Fatal(next)
			}
		}
	})
}
