package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

func TestScheduleUsage(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	src, err := os.ReadFile("../../drills/monthly-kill-primary.hcl")
	require.NoError(t, err)
	for _, name := range []string{"a.hcl", "b.hcl"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), src, 0o600))
	}
	wrong := filepath.Join(t.TempDir(), "wrong.hcl")
	require.NoError(t, os.WriteFile(wrong, []byte(strings.Replace(string(src), "Europe/Berlin", "Europe/Berln", 1)), 0o600))
	nested := written(t, map[string]string{"a.hcl": string(src), "below/a.hcl": strings.Replace(string(src), `"monthly-kill-primary"`, `"weekly"`, 1)})
	t.Chdir(here)
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"add two of one name":     {[]string{"schedule", "add", nested}, 2, "under one name, schedule-a"},
		"no such command":         {[]string{"schedule", "ad"}, 2, "add, list, pause, resume or remove"},
		"add without a file":      {[]string{"schedule", "add"}, 2, "files or directories"},
		"add without a schedule":  {[]string{"schedule", "add", "../../drills/kill-primary.hcl"}, 2, `cron     = "0 10 1 * *"`},
		"add one drill twice":     {[]string{"schedule", "add", dir}, 2, "another name"},
		"add an invalid file":     {[]string{"schedule", "add", wrong}, 4, "Unknown time zone"},
		"add without a cluster":   {[]string{"schedule", "add", "../../drills", "--kubeconfig", filepath.Join(dir, "none")}, 1, "none"},
		"remove without a name":   {[]string{"schedule", "remove"}, 2, "one scheduled drill"},
		"list in another form":    {[]string{"schedule", "list", "-o", "yaml"}, 2, "text or json"},
		"list without a cluster":  {[]string{"schedule", "list", "--kubeconfig", filepath.Join(dir, "none")}, 1, "none"},
		"one name for many files": {[]string{"schedule", "add", filepath.Join(dir, "a.hcl"), "../../drills/kill-primary.hcl", "--name", "x"}, 2, "no drill in"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := call(t, tc.args...)
			require.Equal(t, tc.code, code, errs)
			require.Contains(t, errs, tc.says)
		})
	}
}

func TestValidateShowsTheNextTimes(t *testing.T) {
	code, out, _ := call(t, "validate", "../../drills/monthly-kill-primary.hcl")
	require.Zero(t, code)
	require.Regexp(t, `monthly-kill-primary is due by 0 10 1 \* \* \(Europe/Berlin\): \w{3} 1 \w{3} \d{4} 10:00 CES?T, .* 10:00 CES?T, .* 10:00 CES?T\.`, out)
}

func TestFindSchedule(t *testing.T) {
	ctx := context.Background()
	store := kube.NewSchedules(fake.NewClientset(), "")
	for _, name := range []string{"schedule-a", "schedule-b"} {
		_, err := store.Install(ctx, name, map[string]string{"a.hcl": ""}, kube.Requester{User: "alice"})
		require.NoError(t, err)
	}
	raw, err := json.Marshal(schedule.Book{Entries: []schedule.Entry{{Drill: "alone", Source: "configmap schedule-a"},
		{Drill: "one", Source: "configmap schedule-b"}, {Drill: "two", Source: "configmap schedule-b"}, {Drill: "own", Source: "directory /drills"}}})
	require.NoError(t, err)
	_, err = store.SaveBook(ctx, raw, "")
	require.NoError(t, err)
	for name, want := range map[string]string{"alone": "schedule-a", "schedule-a": "schedule-a", "schedule-b": "schedule-b"} {
		got, err := findSchedule(ctx, store, name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for name, says := range map[string]string{"one": "holds two, too", "own": "directory /drills", "none": "drill schedule list"} {
		_, err := findSchedule(ctx, store, name)
		require.Equal(t, exitUsage, exitCode(err))
		require.ErrorContains(t, err, says)
	}
}

func TestScheduleListText(t *testing.T) {
	now := time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)
	var empty bytes.Buffer
	require.NoError(t, (&scheduleList{}).show(&empty, outputText, now))
	require.Contains(t, empty.String(), "drill schedule add FILE")

	monthly := drill.Schedule{Cron: "0 10 1 * *", Timezone: "Europe/Berlin", Missed: drill.MissedSkip}
	list := &scheduleList{
		Schedules: []listedSchedule{
			{Verdict: drill.VerdictPassed, Entry: schedule.Entry{Drill: "kill", Schedule: monthly, Requester: "alice", Next: now.Add(90 * time.Minute),
				Last: now.Add(-20 * 24 * time.Hour), Missed: 2, Newest: &schedule.Miss{At: now.Add(-time.Hour), Reason: "run x had not ended"}}},
			{Entry: schedule.Entry{Drill: "cut", Schedule: monthly, Requester: "bob", Paused: true, Next: now.Add(time.Hour)}},
		},
		Problems: []schedule.SourceProblem{{Source: "configmap y", Text: "y.hcl: line 1: no such block"}},
	}
	var text bytes.Buffer
	require.NoError(t, list.show(&text, outputText, now))
	lines := strings.Split(text.String(), "\n")
	require.Regexp(t, `^DRILL +CRON +TIME ZONE +NEXT +LAST +VERDICT +MISSED +REQUESTER$`, lines[0])
	require.Regexp(t, `^kill +0 10 1 \* \* +Europe/Berlin +Sat 21 Nov 2026 16:30 UTC \(in 90 min\) +Sun 1 Nov 2026 15:00 UTC \(20 d ago\) +passed +2 +alice$`, lines[1])
	require.Regexp(t, `^cut .* paused +- +- +0 +bob$`, lines[2])
	require.Contains(t, text.String(), "\nkill: missed Sat 21 Nov 2026 14:00 UTC (60 min ago): run x had not ended.\n")
	require.Contains(t, text.String(), "\nconfigmap y: y.hcl: line 1: no such block.\n")

	var raw bytes.Buffer
	require.NoError(t, list.show(&raw, outputJSON, now))
	var decoded struct {
		Schedules []map[string]any
		Problems  []map[string]any
	}
	require.NoError(t, json.Unmarshal(raw.Bytes(), &decoded))
	require.Equal(t, "kill", decoded.Schedules[0]["drill"])
	require.Equal(t, "passed", decoded.Schedules[0]["verdict"])
	require.InDelta(t, 2, decoded.Schedules[0]["missed"], 0)
	require.Len(t, decoded.Problems, 1)
}

// TestWhatTheServerDoesNotTakeIsNotLeftThere: another ConfigMap has a drill of that name.
func TestWhatTheServerDoesNotTakeIsNotLeftThere(t *testing.T) {
	ctx := context.Background()
	client := &kube.Client{Interface: fake.NewClientset()}
	store := kube.NewSchedules(client, "")
	raw, err := json.Marshal(schedule.Book{Problems: []schedule.SourceProblem{{Source: "configmap mine", Text: `drill "d" is scheduled from configmap theirs already`}}})
	require.NoError(t, err)
	_, err = store.SaveBook(ctx, raw, "")
	require.NoError(t, err)
	f := scheduledFile{name: "mine", path: "d.hcl", source: "x", drills: []*drill.Drill{{Name: "d", Schedule: &drill.Schedule{Cron: "@daily", Timezone: "UTC"}}}}
	env := &Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}
	err = addSchedule(ctx, env, client, f, kube.Requester{User: "alice"})
	require.Equal(t, exitRefused, exitCode(err))
	require.ErrorContains(t, err, "configmap theirs")
	left, err := store.List(ctx)
	require.NoError(t, err)
	require.Empty(t, left)
}
