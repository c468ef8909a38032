package drillfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

// shared are the fixtures that are read with the real kinds, too: internal/cli holds each to its marks.
const shared = "../../testdata"

func files(t testing.TB, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	src, err := os.ReadFile(path)
	require.NoError(t, err)
	return src
}

func render(t testing.TB, file *drillfile.File, diags hcl.Diagnostics) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, drillfile.Render(&b, file.Files, diags, 78, false))
	return b.String()
}

func TestValidFiles(t *testing.T) {
	for _, path := range append(files(t, "testdata/valid/*.hcl"), files(t, "../../drills/*.hcl")...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src := read(t, path)
			file, diags := drillfile.Load(path, src, kinds(), drillfile.Inputs{})
			assert.Empty(t, diags, render(t, file, diags))
			assert.NotEmpty(t, file.Drills)
			assert.Equal(t, string(hclwrite.Format(src)), string(src), "not formatted: run drill fmt")
		})
	}
}

func TestLoad(t *testing.T) {
	file, diags := drillfile.Load("full.hcl", read(t, "testdata/valid/full.hcl"), kinds(), drillfile.Inputs{})
	require.Empty(t, diags)
	want := &drill.Drill{
		Name: "kill-primary", Description: "The primary dies. A replica takes over within 30 s.", File: "full.hcl",
		Timeout: 15 * time.Minute, Repeat: 9, Stagger: 30 * time.Second, Blip: 100 * time.Millisecond,
		Targets: []drill.TargetSpec{{Kind: "postgresql", Name: "orders", Spec: postgresqlSpec{
			Namespace: "shop", Selector: "application=patroni,cluster-name=orders", Preset: "patroni", Service: "orders", WriteRate: 50,
			DSN: drill.Sensitive(drill.SecretRef(drill.SecretKey{Name: "orders-app", Key: "uri"}) + "?application_name=drill"),
		}}},
		Probes: []drill.ProbeSpec{{Kind: "http", Name: "checkout", Spec: httpSpec{URL: "http://checkout.shop/healthz", Rate: 20}}},
		SteadyState: drill.SteadyState{Hold: 20 * time.Second, Timeout: 90 * time.Second,
			Asserts: []drill.Rule{{Name: "assert_1"}, {Name: "assert_2"}}},
		Faults: []drill.FaultSpec{{Kind: "kill_primary", Name: "orders", Spec: faultSpec{Method: "force_delete", HoldDown: 90 * time.Second}}},
		Aborts: []drill.Rule{{Name: "outage", For: 5 * time.Second, OnUnknown: drill.UnknownPending}, {Name: "checkout", OnUnknown: drill.UnknownPending}},
		Objectives: []drill.Objective{
			{Name: "recovery_time", Limit: 30}, {Name: "unavailable", Limit: 25}, {Name: "redundancy_time", Limit: 300}, {Name: "lost_writes", Limit: 0},
			{Name: "dual_primary", Limit: 0}, {Name: "replication_lag", Limit: 1.5}, {Name: "leader_changes", Limit: 1}, {Name: "failed_over", Limit: 1},
		},
		Asserts: []drill.Rule{{Name: "assert_1"}, {Name: "assert_2"}},
		Schedule: &drill.Schedule{Cron: "0 10 1 * *", Timezone: "Europe/Berlin", Missed: drill.MissedRunLate, Jitter: 10 * time.Minute,
			Window: []string{"Mon-Fri 09:00-16:00", "Sat 09:00-12:00"}, Blackout: []string{"2026-12-20/2027-01-05"}},
	}
	require.Len(t, file.Drills, 1)
	assert.Empty(t, cmp.Diff(want, file.Drills[0], cmpopts.IgnoreFields(drill.Rule{}, "Condition")))
	for _, r := range slices.Concat(file.Drills[0].SteadyState.Asserts, file.Drills[0].Aborts, file.Drills[0].Asserts) {
		assert.NotNil(t, r.Condition)
	}
}

func TestDefaults(t *testing.T) {
	file, diags := drillfile.Load("x.hcl", read(t, shared+"/valid/minimal.hcl"), kinds(), drillfile.Inputs{})
	require.Empty(t, diags)
	d := file.Drills[0]
	assert.Equal(t, 10*time.Minute, d.Timeout)
	assert.Equal(t, 1, d.Repeat)
	assert.Zero(t, d.Stagger)
	assert.Equal(t, 250*time.Millisecond, d.Blip)
	assert.Equal(t, drill.SteadyState{Hold: 10 * time.Second, Timeout: 2 * time.Minute}, d.SteadyState)
	assert.Empty(t, d.Aborts)
	assert.Empty(t, d.Objectives)
	assert.Nil(t, d.Schedule)
	file, diags = drillfile.Load("x.hcl", read(t, shared+"/errors/schedule-without-zone.hcl"), kinds(), drillfile.Inputs{})
	require.False(t, diags.HasErrors())
	assert.Equal(t, &drill.Schedule{Cron: "0 10 1 * *", Timezone: "UTC", Missed: drill.MissedSkip}, file.Drills[0].Schedule)
}

// TestNoText gives what is no drill file at all: one clear problem, and none of it on the terminal.
func TestNoText(t *testing.T) {
	for name, tc := range map[string]struct {
		src, summary string
		line         int
	}{
		"too large":          {strings.Repeat("#\n", 1<<20), "File too large", 1},
		"NUL":                {"# a\n# b\x00\n", "Control character", 2},
		"escape":             {"# \x1b[2J\n", "Control character", 1},
		"invalid UTF-8":      {"\n\n# \xff\xfe\n", "Invalid character encoding", 3},
		"byte order mark":    {"\uFEFFdrill \"x\" {}\n", "Control character", 1},
		"brackets":           {"a = " + strings.Repeat("[", 500_000), "Expression nested too deeply", 1},
		"operators":          {"a = " + strings.Repeat("!", 500_000), "Expression nested too deeply", 1},
		"long chain":         {"a = (1" + strings.Repeat("+1", 200_000) + ")", "Expression too long", 1},
		"blocks":             {strings.Repeat("a {\n", 100_000), "Expression nested too deeply", 33},
		"templates in quote": {"a = " + strings.Repeat(`"${`, 100_000), "Expression nested too deeply", 1},
	} {
		t.Run(name, func(t *testing.T) {
			file, diags := drillfile.Load("x.hcl", []byte(tc.src), kinds(), drillfile.Inputs{})
			require.Len(t, diags, 1)
			assert.Equal(t, tc.summary, diags[0].Summary)
			assert.Equal(t, tc.line, diags[0].Subject.Start.Line)
			assert.NotContains(t, render(t, file, diags), "\x1b")
		})
	}
}

// TestHostile stays within the limits of the language and is as bad as it can be there: it must end soon, and Go's
// stack must suffice.
func TestHostile(t *testing.T) {
	nested := func(open, chain, end string) string {
		deep := "1"
		for range 7 { // each level takes a brace, a quote and a template
			deep = open + strings.Repeat(chain, 300) + deep + end
		}
		return "drill \"x\" {\n  description = " + deep + "\n}\n"
	}
	for name, src := range map[string]string{
		"many blocks":       strings.Repeat("a {}\n", 200_000),
		"many drills":       strings.Repeat("drill \"x\" {}\n", 70_000),
		"many arguments":    "drill \"x\" {\n" + strings.Repeat("a = b\n", 150_000) + "}\n",
		"many bad names":    strings.Repeat("drill \"x\" { description = y }\n", 30_000),
		"no syntax":         strings.Repeat("% ", 500_000),
		"long line":         "drill \"x\" {\ndescription = \"" + strings.Repeat("x", 1_000_000) + "\"\n}\n",
		"long name":         "drill \"" + strings.Repeat("x", 1_000_000) + "\" {}\n",
		"long kind":         "drill \"x\" {\n target \"" + strings.Repeat("x", 1_000_000) + "\" \"x\" {}\n}\n",
		"nested operators":  nested(`{a=`, "!1==!", `}.a`),
		"nested conditions": nested(`{a="${`, "true?1:", `}"}.a`),
		"sums":              "drill \"x\" {\ndescription = 1" + strings.Repeat("+1", 990) + "\n}\n",
		"products":          "drill \"x\" {\ndescription = 1e300" + strings.Repeat("*1e300", 990) + "\n}\n",
		"indexes":           "drill \"x\" {\ndescription = a()" + strings.Repeat("[0]", 660) + "\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			most := 20 * ordinary()
			start := cpu()
			file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
			assert.True(t, diags.HasErrors())
			assert.LessOrEqual(t, len(diags), 51)
			loaded := cpu() - start
			_ = render(t, file, diags)
			_, err := drillfile.JSON(file.Files, diags)
			require.NoError(t, err)
			t.Logf("%s, %d in all; %v, and %v to show", diags[0].Summary, len(diags), loaded, cpu()-start-loaded)
			assert.Less(t, loaded, most)
		})
	}
}

func TestSecretsStayReferences(t *testing.T) {
	file, diags := drillfile.Load("full.hcl", read(t, "testdata/valid/full.hcl"), kinds(), drillfile.Inputs{})
	require.Empty(t, diags)
	spec := file.Drills[0].Targets[0].Spec.(postgresqlSpec)
	assert.Equal(t, []drill.SecretKey{{Name: "orders-app", Key: "uri"}}, spec.DSN.Refs())
	assert.Equal(t, "(sensitive)", spec.DSN.String())
}
