package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
)

func TestScheduledDrillsTakeNothingSecret(t *testing.T) {
	const cron = "  schedule { cron = \"0 10 1 * *\" }\n"
	plain := fmt.Sprintf(orders, cron, "")
	for name, tc := range map[string]struct {
		source string
		args   []string
		env    string
		says   string
	}{
		"environment":        {fmt.Sprintf(orders, cron, `?application_name=${env("X")}`), nil, "X=" + hidden, `env("X")`},
		"sensitive variable": {plain, []string{"--var", "password=" + hidden}, "", "sensitive variable password"},
		"and from outside":   {plain, nil, "DRILL_VAR_password=" + hidden, "sensitive variable password"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, tc.source)
			d.env = []string{tc.env}
			require.Equal(t, exitRefused, Main(d.process(append([]string{"schedule", "add", d.path("kill.hcl")}, tc.args...)...)), d.errs.String())
			require.Contains(t, d.errs.String(), tc.says)
			require.Contains(t, d.errs.String(), "secret(")
			require.NotContains(t, d.errs.String(), hidden)
		})
	}
	d := newDesk(t, plain)
	d.parse("--var", "zone=bank")
	files, err := scheduledFiles(d.process(), []string{d.path("kill.hcl")}, &d.inputs)
	require.NoError(t, err, "the default of a sensitive variable is in the file for all to read")
	require.Equal(t, map[string]json.RawMessage{"zone": json.RawMessage(`"bank"`)}, files[0].open.Variables)
}

func TestTheServerReadsScheduledDrills(t *testing.T) {
	env := &Env{Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }, Environ: func() []string { return []string{"X=x", "DRILL_VAR_zone=the-servers"} }}
	read := drillReader(env)
	zone := func(from server.Source) (string, kube.Inputs) {
		t.Helper()
		from.File = "kill.hcl"
		if from.Text == "" {
			from.Text = fmt.Sprintf(orders, "", "")
		}
		drills, in, err := read(from)
		require.NoError(t, err)
		return drills[0].Description, in
	}
	said, in := zone(server.Source{})
	require.Equal(t, "In from-default.", said, "the server's own environment is nobody's")
	require.Empty(t, in)
	said, in = zone(server.Source{Beside: map[string]string{"b.drillvars.hcl": `zone = "b"`, "a.drillvars.hcl": "zone = \"a\"\nstray = 1"}})
	require.Equal(t, "In b.", said)
	require.Equal(t, map[string]string{"zone": `"b"`}, in.Variables)
	said, _ = zone(server.Source{Recorded: `{"variables":{"zone":"recorded"}}`, Beside: map[string]string{"b.drillvars.hcl": `zone = "b"`}})
	require.Equal(t, "In recorded.", said)

	for name, from := range map[string]server.Source{
		"cannot be read":     {Recorded: "{"},
		"Reference":          {Beside: map[string]string{"x.drillvars.hcl": "zone = eu"}},
		"sensitive variable": {Beside: map[string]string{"x.drillvars.hcl": `password = "` + hidden + `"`}},
		"variable X":         {Text: fmt.Sprintf(orders, "", `?application_name=${env("X")}`)},
		"hosts":              {Text: fmt.Sprintf(orders, "", `?application_name=${file("/etc/hosts")}`)},
		"variable X again":   {Text: fmt.Sprintf(orders, "", `?application_name=${env("X")}`), Recorded: `{"env":{"X":"x"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			from.File = "kill.hcl"
			if from.Text == "" {
				from.Text = fmt.Sprintf(orders, "", "")
			}
			_, _, err := read(from)
			require.Error(t, err)
			require.NotContains(t, err.Error(), hidden)
		})
	}
}
