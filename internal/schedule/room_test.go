package schedule

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func installedAt(name, source, requester string) Installed {
	return Installed{Drill: name, Source: source, Requester: requester, Schedule: drill.Schedule{Cron: "0 * * * *", Timezone: "UTC", Missed: drill.MissedSkip}}
}

// TestT12OneSourcesBulkIsItsOwn: three ConfigMaps with 400 KiB of variables each kept everybody's book from being saved.
func TestT12OneSourcesBulkIsItsOwn(t *testing.T) {
	var all []Installed
	var sources []string
	var problems []SourceProblem
	for i := range 40 { // sources of eve, older than the others'
		source := fmt.Sprint("configmap eve", i)
		sources = append(sources, source)
		for j := range 100 {
			one := installedAt(fmt.Sprintf("e%d-%d", i, j), source, "eve")
			if j == 0 && i < 3 {
				one.Variables = map[string]string{"big": strings.Repeat("x", 400<<10)}
			}
			all = append(all, one)
		}
		for range 30 * (i % 2) {
			problems = append(problems, SourceProblem{source, strings.Repeat("p", 10_000)})
		}
	}
	mine := installedAt("monthly", "configmap mine", "alice")
	all = append(all, mine)
	b := &Book{}
	b.Update(time.Now(), append(sources, mine.Source), problems, all)
	raw, err := json.Marshal(b)
	require.NoError(t, err)
	require.Less(t, len(raw), 1000<<10)
	require.LessOrEqual(t, len(b.Problems), maxProblems)
	require.NotNil(t, b.find("monthly"), "somebody else's is scheduled")
	require.NotNil(t, b.find("e0-0"), "and of hers what there is room for")
	require.Contains(t, string(raw), "take more than")
	require.Contains(t, b.find("e0-0").Variables["big"], "sha256")
	require.True(t, json.Valid([]byte(b.find("e0-0").Variables["big"])))
}

// TestT12ANewScheduleBecomesDueAlthoughTheBookCannotBeSaved: at each pass the book was as before, and the schedule new.
func TestT12ANewScheduleBecomesDueAlthoughTheBookCannotBeSaved(t *testing.T) {
	start := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
	one := installedAt("d", "s", "alice")
	one.Since = start
	b := &Book{} // as it is read again
	b.Update(start.Add(30*time.Minute+time.Second), []string{"s"}, nil, []Installed{one})
	starts := b.Decide(start.Add(30*time.Minute+time.Second), nil)
	require.Len(t, starts, 1)
	require.Equal(t, start.Add(30*time.Minute), starts[0].For)
}

// TestT12AHostileTimetableCostsLittle: one goroutine reads everybody's.
func TestT12AHostileTimetableCostsLittle(t *testing.T) {
	var black []string
	for i := range maxBlacks {
		day := time.Date(2026, 1, 1+20*i, 0, 0, 0, 0, time.UTC)
		black = append(black, day.Format(time.DateOnly)+"/"+day.AddDate(0, 0, 18).Format(time.DateOnly))
	}
	var windows []string
	for i := range maxWindows {
		windows = append(windows, fmt.Sprintf("Sun 03:%02d-03:%02d", i, i+1))
	}
	_, problems := Parse(drill.Schedule{Cron: "* * * * *", Timezone: "UTC", Missed: drill.MissedSkip, Blackout: append(black, "2026-01-01")})
	require.Len(t, problems, 1)
	_, problems = Parse(drill.Schedule{Cron: strings.Repeat("0,", 100_000) + "0 * * * *", Timezone: "UTC", Missed: drill.MissedSkip})
	require.Len(t, problems, 1)
	began := time.Now()
	table, problems := Parse(drill.Schedule{Cron: "59 4 * * *", Timezone: "Europe/Berlin", Missed: drill.MissedSkip, Blackout: black, Window: append(windows[:49:49], "Sun 04:59-05:00")})
	require.Empty(t, problems)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 100 {
		at = table.Next(at)
	}
	require.Less(t, time.Since(began), 10*time.Second)
	t.Logf("100 due times of a hostile timetable: %v", time.Since(began))

	began = time.Now()
	for i := range 200 {
		_, _ = Parse(drill.Schedule{Cron: fmt.Sprintf("%d 2 30 2 *", i%60), Timezone: "UTC", Missed: drill.MissedSkip, Blackout: black, Window: windows})
	}
	t.Logf("200 timetables that are never due: %v", time.Since(began))
	require.Less(t, time.Since(began), 20*time.Second)

	tables := new(Tables)
	b := &Book{}
	b.Use(tables)
	one := installedAt("d", "s", "alice")
	b.Update(time.Now(), nil, nil, []Installed{one})
	first := b.find("d").table
	again := &Book{}
	again.Use(tables)
	again.Update(time.Now(), nil, nil, []Installed{one})
	require.Same(t, first, again.find("d").table, "read once")
}

// TestT21AWindowWithinAGapOfTheClock: on the last Sunday of March there is no half past two, and the run was neither made
// nor counted.
func TestT21AWindowWithinAGapOfTheClock(t *testing.T) {
	table, problems := Parse(drill.Schedule{Cron: "30 2 * * *", Timezone: "Europe/Berlin", Missed: drill.MissedSkip, Window: []string{"02:00-03:00"}})
	require.Empty(t, problems)
	got := table.Times(time.Date(2027, 3, 27, 12, 0, 0, 0, time.UTC), 2)
	require.Equal(t, "2027-03-28T03:00:00+02:00", got[0].Format(time.RFC3339))
	require.Equal(t, "2027-03-29T02:30:00+02:00", got[1].Format(time.RFC3339))
	_, problems = Parse(drill.Schedule{Cron: "0 3 * * *", Timezone: "Europe/Berlin", Missed: drill.MissedSkip, Window: []string{"02:00-03:00"}})
	require.Len(t, problems, 1, "which is not within it on that day either")
}
