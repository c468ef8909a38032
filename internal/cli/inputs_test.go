package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/report"
)

// orders is a drill file that takes everything from outside that there is.
const orders = `variable "zone" {
  type        = string
  default     = "from-default"
  description = "Where."
}

variable "password" {
  type      = string
  default   = "none"
  sensitive = true
}

variable "limits" {
  type    = any
  default = { lost = 0 }
}

drill "kill" {
  description = "In ${var.zone}."
%s
  target "postgresql" "orders" {
    namespace = var.zone
    selector  = "app=orders"
    dsn       = "postgres://u:${var.password}@db/orders%s"
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = "30s"
    lost_writes   = var.limits.lost
  }
}
`

const hidden = "canary-7f3a"

// desk is a directory with a drill file, and the environment of whoever works there.
type desk struct {
	*testing.T
	dir    string
	env    []string
	errs   bytes.Buffer
	out    bytes.Buffer
	inputs inputFlags
}

func newDesk(t *testing.T, source string) *desk {
	d := &desk{T: t, dir: t.TempDir()}
	d.write("kill.hcl", source)
	return d
}

func (d *desk) write(name, text string) string {
	path := filepath.Join(d.dir, name)
	require.NoError(d, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) process(args ...string) *Env {
	return &Env{Args: args, Stdin: strings.NewReader(""), Stdout: &d.out, Stderr: &d.errs, Getenv: func(string) string { return "" },
		Environ: func() []string { return d.env }, Notify: func(chan<- os.Signal) {}, Exit: func(int) { d.Fatal("exit") }}
}

// parse reads flags as a command does.
func (d *desk) parse(args ...string) {
	d.Helper()
	d.inputs = inputFlags{}
	c := &cobra.Command{}
	d.inputs.add(c)
	require.NoError(d, c.ParseFlags(args))
}

func (d *desk) load(args ...string) (*loaded, error) {
	d.Helper()
	d.parse(args...)
	d.errs.Reset()
	return oneDrill(d.process(), d.path("kill.hcl"), "", &d.inputs)
}

func (d *desk) zone(args ...string) string {
	d.Helper()
	read, err := d.load(args...)
	require.NoError(d, err, d.errs.String())
	return strings.TrimSuffix(strings.TrimPrefix(read.Description, "In "), ".")
}

// TestTheOrderIsTerraforms adds one source after the other, each of which wins over those before.
func TestTheOrderIsTerraforms(t *testing.T) {
	d := newDesk(t, fmt.Sprintf(orders, "", ""))
	require.Equal(t, "from-default", d.zone())
	d.env = []string{"OTHER=x", "DRILL_VAR_zone=from-env", "DRILL_VAR_unknown=x"}
	require.Equal(t, "from-env", d.zone())
	d.write("b.drillvars.hcl", "zone = \"from-b\"\nunknown = 1\n")
	require.Equal(t, "from-b", d.zone())
	d.write("a.drillvars.hcl", `zone = "from-a"`)
	require.Equal(t, "from-b", d.zone(), "by name, and the last one counts")
	d.write("c.drillvars.hcl", `zone = "from-c"`)
	require.Equal(t, "from-c", d.zone())
	d.write(".d.drillvars.hcl", `zone = "from-hidden"`)
	require.NoError(t, os.Mkdir(d.path("below"), 0o700))
	d.write("below/e.drillvars.hcl", `zone = "from-below"`)
	require.Equal(t, "from-c", d.zone(), "neither hidden files nor other directories")
	alone := newDesk(t, fmt.Sprintf(orders, "", ""))
	alone.write(".a.drillvars.hcl", `zone = "from-hidden"`)
	require.Equal(t, "from-default", alone.zone())

	file := d.write("prod.hcl", `zone = "from-file"`)
	other := d.write("other.hcl", `zone = "from-other"`)
	require.Equal(t, "from-file", d.zone("--var-file", file))
	require.Equal(t, "from-flag", d.zone("--var", "zone=from-flag"))
	require.Equal(t, "from-flag", d.zone("--var-file", file, "--var", "zone=from-flag"))
	require.Equal(t, "from-file", d.zone("--var", "zone=from-flag", "--var-file", file), "in the order of the command line, across both flags")
	require.Equal(t, "from-other", d.zone("--var-file", file, "--var=zone=from-flag", "--var-file="+other))
	require.Equal(t, "again", d.zone("--var", "zone=one", "--var-file", other, "--var", "zone=again"))
	d.write("kill.hcl", strings.Replace(fmt.Sprintf(orders, "", ""), "namespace = var.zone", `namespace = "shop"`, 1))
	require.Equal(t, "a=b,\" c", d.zone("--var", "zone=a=b,\" c"), "the value is as it was typed")
}

func TestNamesThatNoFileDeclares(t *testing.T) {
	d := newDesk(t, fmt.Sprintf(orders, "", ""))
	_, err := d.load("--var", "zoen=x")
	require.Equal(t, exitInvalidFile, exitCode(err))
	require.Contains(t, d.errs.String(), `Did you mean "zone"?`)
	file := d.write("prod.hcl", "zone = \"x\"\nzoen = \"y\"\n")
	_, err = d.load("--var-file", file)
	require.Equal(t, exitInvalidFile, exitCode(err))
	require.Contains(t, d.errs.String(), "prod.hcl line 2")
	require.Contains(t, d.errs.String(), "^^^")

	// Of several files, one must declare it.
	d.write("other.hcl", strings.ReplaceAll(fmt.Sprintf(orders, "", ""), "zone", "region"))
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"one has it":            {[]string{"--var", "region=x"}, 0, "Valid: 2 drills"},
		"none has it":           {[]string{"--var", "regoin=x"}, exitInvalidFile, `No drill file declares a variable "regoin", which is given by --var. Did you mean "region"? 1 error.`},
		"none has it of a file": {[]string{"--var-file", d.write("v.txt", "zoen = 1\n")}, exitInvalidFile, "v.txt line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(d.path("prod.hcl")))
			d.out.Reset()
			d.errs.Reset()
			renamed, err := os.ReadFile(d.path("other.hcl"))
			require.NoError(t, err)
			d.write("other.hcl", strings.Replace(string(renamed), `drill "kill"`, `drill "other"`, 1))
			require.Equal(t, tc.code, Main(d.process(append([]string{"validate", d.dir}, tc.args...)...)), d.errs.String())
			require.Contains(t, strings.Join(strings.Fields(d.out.String()+d.errs.String()), " "), tc.says)
		})
	}
}

// TestMessagesOfAVariablesFileShowNoText: a name that is misspelt may be a secret's.
func TestMessagesOfAVariablesFileShowNoText(t *testing.T) {
	for name, text := range map[string]string{
		"misspelt":       "pasword = \"hunter2\"\n",
		"arithmetic":     "password = \"hunter2\" + 3\n",
		"a broken line":  "password = \"hunter2\" \"x\"\n",
		"an open quote":  "password = \"hunter2\n",
		"twice":          "password = \"a\"\npassword = \"hunter2\"\n",
		"a heredoc":      "pasword = <<E\nhunter2\nE\n",
		"of wrong type":  "password = [\"hunter2\"]\n",
		"a list's error": "password = [\"hunter2\", upper(\"hunter2\")]\n",
	} {
		t.Run(name, func(t *testing.T) {
			written(t, map[string]string{"a.hcl": "variable \"password\" {\n  type      = string\n  sensitive = true\n}\n\n" + validDrill("a"), "v.txt": text})
			for _, output := range []string{outputText, outputJSON} {
				code, out, errs := call(t, "validate", "a.hcl", "--var-file", "v.txt", "-o", output)
				require.Equal(t, exitInvalidFile, code)
				require.NotContains(t, out+errs, "hunter2")
				if name != "of wrong type" { // that is told of the declaration
					require.Contains(t, out+errs, "v.txt")
				}
			}
		})
	}
}

func TestWhatIsWrongWithAVariablesFileIsToldWithTheRest(t *testing.T) {
	d := newDesk(t, "")
	d.write("kill.hcl", strings.Replace(strings.Replace(fmt.Sprintf(orders, "", ""), "fault \"kill_primary\"", "fault \"kill_primry\"", 1), "  default     = \"from-default\"\n", "", 1))
	d.write("a.drillvars.hcl", "zone = eu\n")
	_, err := d.load()
	require.Equal(t, exitInvalidFile, exitCode(err))
	said := d.errs.String()
	require.Contains(t, said, `zone = "…"`)
	require.Contains(t, said, "^^")
	require.Contains(t, said, `"kill_primary"`, "and of the drill file, at once")
	require.NotContains(t, said, "No value for variable")

	_, err = d.load("--var-file", d.path("none.hcl"))
	require.Equal(t, exitUsage, exitCode(err))
	require.ErrorContains(t, err, "none.hcl: there is no such file")
	for _, odd := range []string{d.dir, "/dev/zero"} {
		_, err = d.load("--var-file", odd)
		require.ErrorContains(t, err, "it is not a file")
	}
	long := d.write("long.txt", strings.Repeat("#", kube.MaxInputs+1))
	_, err = d.load("--var-file", long)
	require.ErrorContains(t, err, "512 KiB")
	for _, wrong := range []string{"zone", "=x", "a b=x", "1=x"} {
		d.errs.Reset()
		require.Equal(t, exitUsage, Main(d.process("run", d.path("kill.hcl"), "--var", wrong)))
		require.Contains(t, d.errs.String(), "--var namespace=shop")
	}
}

func TestFilesAreFoundFromTheDrillFile(t *testing.T) {
	d := newDesk(t, fmt.Sprintf(orders, "", `?application_name=${urlencode(file("certs/ca.pem"))}`))
	_, err := d.load()
	require.Equal(t, exitInvalidFile, exitCode(err))
	require.Contains(t, d.errs.String(), "certs/ca.pem")
	require.NoError(t, os.Mkdir(d.path("certs"), 0o700))
	d.write("certs/ca.pem", hidden)
	read, err := d.load()
	require.NoError(t, err, d.errs.String())
	require.Equal(t, map[string]string{"certs/ca.pem": hidden}, read.secret.Files)
}

// TestInputsTravel goes the whole way: what a user gives is in the runner's drill, and in nothing that others see.
func TestInputsTravel(t *testing.T) {
	d := newDesk(t, fmt.Sprintf(orders, "", `?application_name=${env("X")}&dbname=${urlencode(trimspace(file("y.txt")))}`))
	d.env = []string{"X=" + hidden + "-env", "UNUSED=" + hidden}
	d.write("y.txt", hidden+"-file\n")
	read, err := d.load("--var", "password="+hidden+"-var", "--var", "zone=bank", "--var", "limits={lost=3}")
	require.NoError(t, err, d.errs.String())
	in, payload, err := kube.SealInputs(read.open, read.secret)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"zone": `"bank"`, "limits": `{"lost":3}`}, in.Variables)
	require.Equal(t, map[string]string{"X": hidden + "-env"}, read.secret.Env, "what it did not use does not travel")
	run := &kube.DrillRun{Spec: kube.Spec{Drill: "kill", File: "kill.hcl", Source: read.source, Inputs: in}}
	record, err := json.Marshal(run)
	require.NoError(t, err)

	// There, with neither that environment nor those files.
	there := &Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }}
	got := new(kube.DrillRun)
	require.NoError(t, json.Unmarshal(record, got))
	all, err := got.Spec.Inputs.Unseal(payload)
	require.NoError(t, err)
	again, err := recordedDrill(there, got.Spec, all)
	require.NoError(t, err, fmt.Sprint(there.Stderr))
	require.Equal(t, read.open, again.open)
	require.Equal(t, read.secret, again.secret)
	request, err := admission(there)(got.Spec, all)
	require.NoError(t, err)
	require.Equal(t, []string{"bank"}, request.Namespaces)
	want := fmt.Sprintf("postgres://u:%[1]s-var@db/orders?application_name=%[1]s-env&dbname=%[1]s-file", hidden)
	require.Equal(t, want, dsnOf(t, again.Drill), "the drill that the runner has is whole")

	shown, err := json.Marshal(again.Drill)
	require.NoError(t, err)
	rep := drill.Report{Run: drill.RunReport{ID: "r", Drill: "kill", Variables: again.variables()}}
	raw, err := json.Marshal(rep)
	require.NoError(t, err)
	require.Contains(t, string(raw), `"variables":{"limits":{"lost":3},"password":"(sensitive)","zone":"bank"}`)
	var text bytes.Buffer
	require.NoError(t, report.Text(&text, rep, report.Style{}))
	require.Contains(t, text.String(), `with limits = {"lost":3}, password = (sensitive), zone = "bank"`)
	for what, said := range map[string]string{"the record": string(record), "the drill as JSON": string(shown), "the drill in a log": fmt.Sprintf("%+v %#v %v", again.Drill, again.Targets, again.Targets[0].Spec),
		"the report": string(raw) + text.String(), "what the command said": d.errs.String() + d.out.String(), "the server's log": fmt.Sprint(there.Stderr)} {
		require.NotContains(t, said, hidden, what)
	}

	_, err = got.Spec.Inputs.Unseal(nil)
	require.ErrorContains(t, err, "not the one")
}

func dsnOf(t *testing.T, d *drill.Drill) string {
	t.Helper()
	dsn := reflect.Indirect(reflect.ValueOf(d.Targets[0].Spec)).FieldByName("DSN")
	require.True(t, dsn.IsValid())
	return dsn.String()
}

// TestAWrongSecretIsNotShown: what is said of a value that is wrong does not quote it, nor the line on which it stands.
func TestAWrongSecretIsNotShown(t *testing.T) {
	source := strings.Replace(fmt.Sprintf(orders, "", ""), "  type      = string\n  default   = \"none\"\n", "  type      = list(number)\n\n"+
		"  validation {\n    condition     = length(var.password) > 9\n    error_message = \"Not ${var.password[0]}.\"\n  }\n", 1)
	source = strings.Replace(source, "${var.password}", "${var.password[0]}", 1)
	for name, tc := range map[string]struct{ given, inFile, says string }{
		"no value at all":  {hidden, `"` + hidden + `"`, "Unsuitable value for variable"},
		"another type":     {`["` + hidden + `"]`, `["` + hidden + `"]`, "Unsuitable value for variable"},
		"against its rule": {"[73737373]", "[73737373]", "Invalid value for variable"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, source)
			file := d.write("x.txt", "password = "+tc.inFile+"\n")
			d.env = []string{"DRILL_VAR_password=" + tc.given}
			for _, args := range [][]string{{}, {"--var", "password=" + tc.given}, {"--var-file", file}} {
				_, err := d.load(args...)
				require.Equal(t, exitInvalidFile, exitCode(err))
				require.Contains(t, d.errs.String(), tc.says)
				require.NotContains(t, d.errs.String(), hidden)
				require.NotContains(t, d.errs.String(), "73737373")
			}
		})
	}
}

// TestNoValueIsAReference: whoever gives a value cannot make the runner read a Secret that the file does not name.
func TestNoValueIsAReference(t *testing.T) {
	forged := drill.SecretRef(drill.SecretKey{Name: "other", Key: "password"})
	d := newDesk(t, fmt.Sprintf(orders, "", `?application_name=${env("X")}`))
	d.env = []string{"X=" + forged}
	_, err := d.load()
	require.Equal(t, exitInvalidFile, exitCode(err))
	d.env = []string{"X=x"}
	_, err = d.load("--var", "password="+forged)
	require.Equal(t, exitInvalidFile, exitCode(err))

	// Nor by a record that no command of ours wrote.
	read, err := d.load()
	require.NoError(t, err)
	quoted, err := json.Marshal(forged)
	require.NoError(t, err)
	for _, in := range []drill.Inputs{
		{Env: map[string]string{"X": forged}},
		{Env: map[string]string{"X": "x"}, Variables: map[string]json.RawMessage{"password": quoted}},
	} {
		_, err = admission(d.process())(kube.Spec{Drill: "kill", File: "kill.hcl", Source: read.source}, in)
		require.Error(t, err)
	}
}

func TestCompletionNamesTheVariables(t *testing.T) {
	d := newDesk(t, fmt.Sprintf(orders, "", ""))
	complete := func(args ...string) string {
		d.out.Reset()
		require.Zero(t, Main(d.process(append([]string{"__complete"}, args...)...)))
		return d.out.String()
	}
	said := complete("run", d.path("kill.hcl"), "--var", "")
	require.Contains(t, said, "zone=\tWhere.\n")
	require.Contains(t, said, "password=")
	require.Contains(t, said, fmt.Sprintf(":%d\n", cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp))
	require.NotContains(t, complete("run", d.path("kill.hcl"), "--var", "zone="), "password")
	require.Contains(t, complete("run", "--var-file", ""), fmt.Sprintf(":%d\n", cobra.ShellCompDirectiveFilterFileExt))
}
