package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// TestKindsList: each kind has its sentence, under its block.
func TestKindsList(t *testing.T) {
	code, out, errs := call(t, "kinds")
	require.Zero(t, code, errs)
	at := -1
	for _, line := range []string{"Targets\n", "  postgresql ", "  deployment ", "\nProbes\n", "  http ", "\nFaults\n", "  kill_primary ", "More of one: drill kinds postgresql\n"} {
		i := strings.Index(out, line)
		require.Greater(t, i, at, "%q in its place in\n%s", line, out)
		at = i
	}
	code, out, _ = call(t, "kinds", "probe")
	require.Zero(t, code)
	require.Contains(t, out, "  tcp ")
	require.NotContains(t, out, "kill_primary")
}

// TestKindsFitATerminal: nothing is wider than 80 columns, but for what is to be copied.
func TestKindsFitATerminal(t *testing.T) {
	for _, k := range append(kindRows(), kindRow{}) {
		args := []string{"kinds"}
		if k.Name != "" {
			args = append(args, k.Block, k.Name)
		}
		_, out, _ := call(t, args...)
		out = strings.ReplaceAll(out, k.Example, "")
		for line := range strings.SplitSeq(out, "\n") {
			require.LessOrEqual(t, utf8.RuneCountInString(line), pageWidth, line)
			require.Equal(t, strings.TrimRight(line, " "), line)
		}
	}
}

// TestKindOfFault: everything that one needs to write the block is there, and what is not available yet.
func TestKindOfFault(t *testing.T) {
	code, out, errs := call(t, "kinds", "kill_primary")
	require.Zero(t, code, errs)
	for _, part := range []string{
		"fault \"kill_primary\"\n\nKill the member",
		"\n  method: string; \"graceful\" or \"force_delete\"; default \"force_delete\"; not\n      available yet: \"sigkill\", \"freeze\", \"node_loss\"\n",
		"\n  hold_down: duration; default: none",
		"\n  get, list, delete  pods in <namespace>\n", "\n  get, patch         configmaps drill-held-members in failoverdrill\n",
		"\n  fault \"kill_primary\" \"orders\" {\n    method    = \"force_delete\"\n",
		"\nMore: docs/faults/kill_primary.md\n",
	} {
		require.Contains(t, out, part)
	}
	_, out, _ = call(t, "kinds", "network_partition")
	require.Contains(t, out, "\n      role: string; \"primary\" or \"replica\" or \"any\"\n          The members")
	require.Contains(t, out, "\n      Its fields are those of from.\n")
	_, out, _ = call(t, "kinds", "postgresql")
	require.Contains(t, out, "\n  dsn: string; required; may hold a secret\n")
	require.Contains(t, out, "Live values, for conditions: target.NAME.outage_seconds and so on")
	require.Contains(t, out, "accepted in time. From 0 to 1.")
	require.Contains(t, out, "\n  get          secrets in <namespace>\n")
	_, out, _ = call(t, "kinds", "http")
	require.Contains(t, out, "the runner needs\n\n  none\n")
}

func TestKindsJSON(t *testing.T) {
	var all kindsJSON
	code, out, errs := call(t, "kinds", "--output", "json")
	require.Zero(t, code, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Equal(t, "1.0", all.FormatVersion)
	require.Len(t, all.Kinds, len(kindRows()))

	_, out, _ = call(t, "kinds", "fault", "network_partition", "--output", "json")
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Len(t, all.Kinds, 1)
	k := all.Kinds[0]
	require.Equal(t, "fault", k.Block)
	by := map[string]argumentJSON{}
	for _, a := range k.Arguments {
		by[a.Name] = a
	}
	require.True(t, by["duration"].Required)
	require.Equal(t, "30m", by["duration"].Most)
	require.Equal(t, []string{"reject"}, by["action"].Later)
	require.Len(t, by["from"].Fields, 4)
	require.Contains(t, out, `"live_values": []`)
	require.Contains(t, out, `"namespace": "<namespace>"`)
}

func TestUnknownKinds(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"kill_primray"}, `there is no kind named "kill_primray". Did you mean "kill_primary"?`},
		{[]string{"probe", "kill_primary"}, `there is no kind of probe named "kill_primary". Known are: http, kubernetes, promql, tcp.`},
		{[]string{"fualt", "kill_primary"}, `there are no kinds of "fualt". Did you mean "fault"?`},
		{[]string{"a", "b", "c"}, "got 3 arguments"},
		{[]string{"http", "--output", "yaml"}, "text or json"},
	} {
		code, out, errs := call(t, append([]string{"kinds"}, c.args...)...)
		require.Equal(t, exitUsage, code)
		require.Empty(t, out)
		require.Contains(t, errs, c.says)
	}
}

// TestKindsOfOneName: a name that two tables have means both, and its block tells them apart.
func TestKindsOfOneName(t *testing.T) {
	rows := append(kindRows(), kindRow{Block: "fault", Name: "http", Doc: "Another.", Permissions: kindRows()[0].Permissions})
	found, whole, err := chooseKinds(rows, []string{"http"})
	require.NoError(t, err)
	require.False(t, whole)
	require.Len(t, found, 2)
	var out bytes.Buffer
	showKinds(&out, found)
	require.Contains(t, out.String(), "probe \"http\"\n")
	require.Contains(t, out.String(), "fault \"http\"\n")
	found, _, err = chooseKinds(rows, []string{"fault", "http"})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "Another.", found[0].Doc)
}

func TestCompletionOfKinds(t *testing.T) {
	_, out, _ := call(t, "__complete", "kinds", "")
	require.Contains(t, out, "kill_primary\tfault: Kill the member")
	require.Contains(t, out, "probe\tall kinds of probe")
	_, out, _ = call(t, "__complete", "kinds", "probe", "")
	require.Contains(t, out, "http\t")
	require.NotContains(t, out, "kill_primary")
	_, out, _ = call(t, "__complete", "kinds", "http", "")
	require.NotContains(t, out, "http")
}
