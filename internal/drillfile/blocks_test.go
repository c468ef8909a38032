package drillfile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/schema"
)

// drillWith is a drill with more in it.
func drillWith(more string) string {
	return `drill "x" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "a=b"
    dsn       = "postgres://"
  }
  fault "kill_primary" "orders" {}
` + more + "\n}\n"
}

// said lists the problems of a file as "line summary: detail".
func said(t testing.TB, src string) []string {
	t.Helper()
	_, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
	var all []string
	for _, d := range diags {
		all = append(all, fmt.Sprintf("%d %s: %s", d.Subject.Start.Line, d.Summary, d.Detail))
	}
	return all
}

func one(t testing.TB, src string) *drill.Drill {
	t.Helper()
	file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
	require.False(t, diags.HasErrors(), render(t, file, diags))
	require.Len(t, file.Drills, 1)
	return file.Drills[0]
}

func TestEveryBlock(t *testing.T) {
	d := one(t, drillWith(`
  guard {
    namespaces  = ["shop", "carts"]
    max_targets = 2
    no_alert    = ["DatabaseDown"]
    prometheus  = "http://prometheus.monitoring:9090"
  }
  precondition "caught_up" {
    condition     = target.orders.lag_seconds < 1
    error_message = "Lag."
  }
  fault "network_partition" "cut" {
    target   = "orders"
    after    = "20s"
    duration = "1m"
    from     = { role = "primary" }
    to       = { namespace = "carts" }
  }
  abort "outage" {
    condition     = run.fault_seconds > 60 && target.orders.outage_seconds > duration("90s")
    for           = "5s"
    grace         = "1m"
    on_unknown    = "breach"
    error_message = "Writes fail."
  }
  objectives {
    lost_writes   = 0
    recovery_time = "30s"
    assert {
      condition     = run.fault_seconds < 300
      error_message = "Too long."
    }
  }`))
	assert.Equal(t, drill.Guard{Namespaces: []string{"shop", "carts"}, MaxTargets: 2, NoAlert: []string{"DatabaseDown"}, Prometheus: "http://prometheus.monitoring:9090"}, d.Guard)
	require.Len(t, d.Preconditions, 1)
	assert.Equal(t, "caught_up", d.Preconditions[0].Name)
	require.Len(t, d.Faults, 2)
	assert.Equal(t, []time.Duration{0, 20 * time.Second}, []time.Duration{d.Faults[0].After, d.Faults[1].After})
	assert.Equal(t, faultSpec{Target: "orders", Duration: time.Minute, Side: "carts"}, d.Faults[1].Spec, "after is not the kind's")
	abort := d.Aborts[0]
	assert.Equal(t, drill.Rule{Name: "outage", For: 5 * time.Second, Grace: time.Minute, OnUnknown: drill.UnknownBreach, Condition: abort.Condition}, abort)
	assert.Equal(t, []drill.Objective{{Name: "recovery_time", Limit: 30}, {Name: "lost_writes"}}, d.Objectives, "in the order of the language")
	assert.Empty(t, d.Unavailable)

	live := readings(map[string]float64{"outage_seconds": 100})
	truth, text := abort.Condition.Evaluate(live)
	assert.Equal(t, drill.Unknown, truth)
	assert.Equal(t, "Writes fail. (run.fault_seconds has no reading yet, target.orders.outage_seconds is 100)", text)
	live["run"] = map[string]map[string]float64{"": {"fault_seconds": 61}}
	truth, text = abort.Condition.Evaluate(live)
	assert.Equal(t, drill.True, truth)
	assert.Equal(t, "Writes fail. (run.fault_seconds is 61, target.orders.outage_seconds is 100)", text)
}

func TestUnavailable(t *testing.T) {
	src := drillWith(`
  target "postgresql" "carts" {
    namespace = "shop"
    selector  = "c=d"
    dsn       = "postgres://"
  }
  fault "kill_primary" "carts" {
    method = "sigkill"
  }
  notify "slack" {
    url = "https://slack.example"
  }
  objectives {
    alert "Down" {
      within = "1m"
    }
  }`)
	d := one(t, src)
	require.Len(t, d.Targets, 2, "all are there")
	lines := map[int]string{}
	for _, u := range d.Unavailable {
		assert.Equal(t, "x.hcl", u.File)
		lines[u.Line] = u.Text
	}
	require.Len(t, lines, 4)
	assert.Contains(t, lines[9], "more than one target")
	assert.Contains(t, lines[15], `method = "sigkill"`)
	assert.Contains(t, lines[17], "notify")
	assert.Contains(t, lines[21], "alert")
	file, diags := drillfile.Load("x.hcl", []byte(src+strings.Replace(drillWith(""), `"x"`, `"y"`, 1)), kinds(), drillfile.Inputs{})
	require.False(t, diags.HasErrors())
	assert.Empty(t, file.Drills[1].Unavailable, "each drill has its own")
}

// TestWhatToWrite holds the words in which a problem says what to do.
func TestWhatToWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		more string
		want []string
	}{
		"argument of another block": {`hold = "20s"`, []string{"8 Unsupported argument: An argument named \"hold\" is not expected here. hold belongs to the block steady_state."}},
		"of a kind":                 {`url = "http://x"`, []string{"8 Unsupported argument: An argument named \"url\" is not expected here. url belongs to the block probe \"http\"."}},
		"misspelt":                  {`timout = "5m"`, []string{"8 Unsupported argument: An argument named \"timout\" is not expected here. Did you mean \"timeout\"?"}},
		"block of another block":    {`assert {}`, []string{"8 Unsupported block type: Blocks of type \"assert\" are not expected here. assert belongs to the block steady_state or the block objectives."}},
		"block of the top":          {`locals {}`, []string{"8 Unsupported block type: Blocks of type \"locals\" are not expected here. locals belongs to the top of the file."}},
		"block as argument":         {`guard = {}`, []string{"8 Unsupported argument: An argument named \"guard\" is not expected here. It is a block: write it as guard { … }, without an equals sign."}},
		"argument as block":         {`repeat {}`, []string{"8 Unsupported block type: Blocks of type \"repeat\" are not expected here. It is an argument: write it as repeat = …."}},
		"missing label":             {`probe "http" {}`, []string{"8 Missing name for probe: All probe blocks must have 2 labels (kind, name). Write it as probe \"KIND\" \"NAME\" { … }."}},
		"meta-argument misspelt": {"fault \"pod_kill\" \"orders2\" {\naftr = \"5s\"\n}",
			[]string{"9 Unsupported argument: An argument named \"aftr\" is not expected here. Did you mean \"after\"?"}},
		"fault's name twice": {"fault \"pod_kill\" \"orders\" {}", []string{"8 Duplicate name: Another fault named \"orders\" is on line 7 of x.hcl; this one is on line 8. " +
			"Give one of them a different name, and write target = \"orders\" in it if that is what the name stands for."}},
		"two guards": {"guard {}\nguard {}", []string{"9 Duplicate guard block: Only one \"guard\" block is allowed; the first is on line 8 of x.hcl."}},
		"namespace":  {"guard {\nnamespaces = [\"a\", \"b\"]\n}", []string{"3 Namespace not allowed: The guard of this drill, on line 9, allows \"a\", and \"b\" alone, and this target is in \"shop\". Add \"shop\" to the guard's namespaces if it may be touched."}},
		"timeout": {"timeout = \"2m\"\nfault \"network_partition\" \"cut\" {\nafter = \"1m\"\nduration = \"50s\"\nfrom = {}\nto = {}\n}",
			[]string{"8 Timeout too short: One run may take 2m0s, but its steady state must hold for 10s, the fault \"cut\" waits for 1m0s, and the fault \"cut\" lasts 50s. Raise timeout, or lower the rest."}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, said(t, drillWith(tc.more))) })
	}
}

// TestNoSecondProblem: what is wrong only because of another problem is not told.
func TestNoSecondProblem(t *testing.T) {
	for name, tc := range map[string]struct{ src, want string }{
		"required argument misspelt":   {drillWith("abort \"a\" {\nconditions = target.orders.lag_seconds > 5\nerror_message = \"x\"\n}"), "Unsupported argument"},
		"required block misspelt":      {"drill \"x\" {\ntarget \"deployment\" \"a\" {\nnamespace = \"shop\"\n}\nprobe \"tcp\" \"b\" {\naddress = \"a:1\"\n}\nfalt \"pod_kill\" \"a\" {}\n}", "Unsupported block type"},
		"target without a name":        {strings.Replace(drillWith("abort \"a\" {\ncondition = target.orders.lag_seconds > 5\nerror_message = \"x\"\n}"), `"postgresql" "orders"`, `"postgresql"`, 1), "Missing name for target"},
		"kind misspelt":                {strings.Replace(drillWith("abort \"a\" {\ncondition = target.orders.lag > 5\nerror_message = \"x\"\n}"), `"postgresql"`, `"postgres"`, 1), "Unknown kind of target"},
		"within what does not belong":  {drillWith("objectives {\nabort \"x\" {\ncondition = foo.bar\n}\n}"), "Unsupported block type"},
		"unknown for a known reason":   {drillWith("timeout = var.x\nstagger = \"20m\""), "Unknown variable"},
		"steady state of a wrong hold": {drillWith("timeout = \"1m\"\nsteady_state {\nhold = \"5 minutes\"\n}"), "Invalid duration"},
	} {
		t.Run(name, func(t *testing.T) {
			got := said(t, tc.src)
			require.Len(t, got, 1, got)
			assert.Contains(t, got[0], " "+tc.want+": ")
		})
	}
}

// TestTooLate: an abort condition must be able to fire before the timeout.
func TestTooLate(t *testing.T) {
	at := func(lengths string) []string {
		return said(t, drillWith("timeout = \"5m\"\nsteady_state {\nhold = \"1m\"\n}\nabort \"a\" {\n"+lengths+"\ncondition = target.orders.lag_seconds > 5\nerror_message = \"x\"\n}"))
	}
	assert.Empty(t, at(`for = "3m59s"`))
	assert.Empty(t, at("grace = \"2m\"\nfor = \"1m59s\""))
	for lengths, line := range map[string]string{`for = "4m"`: "13", "grace = \"3m\"\nfor = \"1m\"": "13", "for = \"3m\"\ngrace = \"1m\"": "13", "grace = \"1m\"\nfor = \"3m\"": "14"} {
		got := at(lengths)
		require.Len(t, got, 1, lengths)
		assert.True(t, strings.HasPrefix(got[0], line+" Abort condition too late: This condition cannot end the run before 5m0s have passed"), got[0])
	}
}

// TestNeverChanges: the bounds of live values decide, and the message says which.
func TestNeverChanges(t *testing.T) {
	const lag, ratio = "target.orders.lag_seconds is never less than 0", "target.orders.success_ratio is from 0 to 1"
	for expr, want := range map[string]string{
		`target.orders.lag_seconds >= 0`:                                           "true: " + lag,
		`target.orders.lag_seconds < 0`:                                            "false: " + lag,
		`0 > target.orders.lag_seconds`:                                            "false: " + lag,
		`target.orders.lag_seconds == -1`:                                          "false: " + lag,
		`target.orders.lag_seconds != -1`:                                          "true: " + lag,
		`target.orders.success_ratio > 1`:                                          "false: " + ratio,
		`target.orders.success_ratio <= 1`:                                         "true: " + ratio,
		`!(target.orders.success_ratio <= 1)`:                                      "false: " + ratio,
		`target.orders.success_ratio >= 99 && target.orders.lag_seconds > 1`:       "false: " + ratio,
		`target.orders.lag_seconds > 1 && target.orders.success_ratio >= 99`:       "false: " + ratio,
		`target.orders.lag_seconds > -1 || target.orders.success_ratio > 0.5`:      "true: " + lag,
		`target.orders.lag_seconds > -1 && target.orders.success_ratio < 2`:        "true",
		`target.orders.lag_seconds < 5 || true`:                                    "true: true alone decides it",
		`target.orders.success_ratio - 2 > target.orders.lag_seconds || 1 > 0`:     "true: 1 > 0 alone decides it",
		`target.orders.success_ratio > 1 ? target.orders.lag_seconds < 1 : 1 == 1`: "",
		`target.orders.lag_seconds > 0`:                                            "",
		`target.orders.lag_seconds <= 0`:                                           "",
		`target.orders.success_ratio >= 1`:                                         "",
		`target.orders.success_ratio < 1`:                                          "",
		`target.orders.lag_seconds == 0`:                                           "",
		`target.orders.lag_seconds - 5 < 0`:                                        "",
		`target.orders.lag_seconds > target.orders.success_ratio`:                  "",
		`target.orders.lag_seconds < 1 && target.orders.success_ratio <= 1`:        "",
	} {
		t.Run(expr, func(t *testing.T) {
			got := said(t, conditionFile(expr, `"x"`))
			if want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Equal(t, "9 Constant condition: The result of this condition is always "+want[:len(strings.SplitN(want, ":", 2)[0])]+", whatever is measured"+
				strings.TrimPrefix(want, strings.SplitN(want, ":", 2)[0])+". Check its operators and its limits.", got[0])
		})
	}
}

// TestSwitch: a variable may turn a condition off.
func TestSwitch(t *testing.T) {
	file := func(expr string) string {
		return "variable \"strict\" {\ndefault = false\n}\n" + conditionFile(expr, `"x"`)
	}
	assert.Empty(t, said(t, file(`var.strict && target.orders.lag_seconds > 5`)))
	assert.Empty(t, said(t, file(`target.orders.lag_seconds > 5 || !var.strict`)))
	assert.Len(t, said(t, file(`var.strict`)), 1, "nothing live is in it")
}

// TestFoldedAlike: a condition gives the same whether or not it can be computed in part at load.
func TestFoldedAlike(t *testing.T) {
	const expr, message = `target.orders.lag_seconds + 1 > %s(duration("3s"), 2) && -target.orders.primaries < 0`, `"Lag ${target.orders.lag_seconds}${1 + 1}."`
	folded := condition(t, fmt.Sprintf(expr, "max"), message)
	whole := condition(t, `[for x in [1] : `+fmt.Sprintf(expr, "max")+`][0]`, message)
	for _, values := range []map[string]float64{nil, {"lag_seconds": 1}, {"lag_seconds": 3}, {"lag_seconds": 3, "primaries": 1}, {"lag_seconds": 1, "primaries": 1}, {"primaries": 0}} {
		truth, text := folded.Evaluate(readings(values))
		other, words := whole.Evaluate(readings(values))
		assert.Equal(t, other, truth, values)
		assert.Equal(t, words, text, values)
	}
}

func TestComparisons(t *testing.T) {
	variables := "variable \"limit\" {\ndefault = \"90s\"\n}\nlocals {\nnothing = null\n}\n"
	for expr, want := range map[string]string{
		`target.orders.lag_seconds > var.limit`:     "15 Duration as text: Live values are numbers, and this is a text. Write duration(var.limit), which is its number of seconds.",
		`target.orders.lag_seconds > ("1m30s")`:     `15 Duration as text: Live values are numbers, and this is a text. Write duration("1m30s"), which is its number of seconds.`,
		`target.orders.lag_seconds < local.nothing`: "15 Comparison with null: This is null, with which nothing can be compared or computed. Give it a value.",
		`target.orders.lag_seconds == null`:         "15 Comparison with null: No live value is ever null. While a value has no reading, the condition waits for one.",
		`target.orders.lag_seconds % 0 == 1`:        "15 Division by zero: Divided by 0, a live value is infinite or nothing at all, whatever is measured. Divide by another number.",
		`target.orders.lag_seconds > 1 && 1 == "1"`: "15 Comparison of different types: This compares a number with a string, which are never equal. Write both as the same type.",
	} {
		assert.Equal(t, []string{want}, said(t, variables+conditionFile(expr, `"x"`)), expr)
	}
	for _, fine := range []string{`target.orders.lag_seconds > duration(var.limit)`, `local.nothing != null && target.orders.lag_seconds > 1`,
		`local.nothing == null ? target.orders.lag_seconds > 1 : true`, `var.limit == "90s" && target.orders.lag_seconds > 1`} {
		assert.Empty(t, said(t, variables+conditionFile(fine, `"x"`)), fine)
	}
}

// TestLanguage: every block and every argument says what it is for.
func TestLanguage(t *testing.T) {
	var types []string
	var walk func(n schema.Nested, way string)
	walk = func(n schema.Nested, way string) {
		way += " " + n.Type
		types = append(types, n.Type)
		assert.NotEmpty(t, n.Doc, way)
		seen := map[string]bool{}
		for _, a := range n.Body.Arguments {
			assert.NotEmpty(t, a.Doc, "%s %s", way, a.Name)
			assert.False(t, seen[a.Name], "%s has %s twice", way, a.Name)
			seen[a.Name] = true
		}
		for _, b := range n.Body.Blocks {
			assert.False(t, seen[b.Type], "%s has %s twice", way, b.Type)
			seen[b.Type] = true
			walk(b, way)
		}
	}
	for _, n := range drillfile.Language() {
		walk(n, "")
	}
	for _, want := range []string{"variable", "validation", "locals", "drill", "target", "probe", "guard", "precondition", "steady_state", "assert", "fault", "abort", "objectives", "alert", "schedule", "notify"} {
		assert.True(t, slices.Contains(types, want), want)
	}
}

// TestObjectivesAndInvariants: what is a length of time to one is so to the other.
func TestObjectivesAndInvariants(t *testing.T) {
	for _, i := range drill.Invariants() {
		value := "0"
		if i.Seconds {
			value = `"1s"`
		}
		d := one(t, drillWith("objectives {\n"+i.Objective+" = "+value+"\n}"))
		require.Len(t, d.Objectives, 1)
		assert.Equal(t, i.Objective, d.Objectives[0].Name)
	}
}
