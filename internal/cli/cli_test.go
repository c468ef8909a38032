package cli

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// call runs a command in memory.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return callWith(t, args)
}

// callWith is call in another environment.
func callWith(t *testing.T, args []string, change ...func(*Env)) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }, Notify: func(chan<- os.Signal) {}, Exit: func(int) { t.Fatal("exit") }}
	for _, c := range change {
		c(env)
	}
	code = Main(env)
	return code, out.String(), errs.String()
}

func TestShippedDrillsAreValid(t *testing.T) {
	code, out, errs := call(t, "validate", "../../drills")
	require.Zero(t, code, errs)
	require.Contains(t, out, "Valid:")
}

func TestUsageAndFileErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good, err := os.ReadFile("../../drills/kill-primary.hcl")
	require.NoError(t, err)
	wrong := write("wrong.hcl", strings.Replace(string(good), "hold_down", "hold_dwn", 1))
	orphan := write("orphan.hcl", strings.Replace(string(good), `fault "kill_primary" "orders"`, `fault "kill_primary" "ordres"`, 1))
	fine := write("fine.hcl", string(good))
	empty := t.TempDir()

	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no such command":             {[]string{"rnu"}, 2, "unknown command"},
		"no such flag":                {[]string{"run", "--fast", fine}, 2, "--fast"},
		"run without a file":          {[]string{"run"}, 2, "one drill file"},
		"recover of two runs":         {[]string{"recover", "a", "b"}, 2, "at most one"},
		"run of a missing file":       {[]string{"run", filepath.Join(dir, "none.hcl")}, 2, "none.hcl"},
		"run of a directory":          {[]string{"run", dir}, 2, "Name one drill file in it"},
		"plan of standard input":      {[]string{"plan", "-"}, 2, "Name a drill file"},
		"plan of a variables file":    {[]string{"plan", write("x.drillvars.hcl", "a = 1\n")}, 2, "Name the drill file beside it"},
		"run of an invalid file":      {[]string{"run", wrong}, 4, `Did you mean "hold_down"?`},
		"fault without its target":    {[]string{"validate", orphan}, 4, `"ordres"`},
		"another drill of the file":   {[]string{"run", fine, "--drill", "kill"}, 2, "kill-primary"},
		"report of an unknown format": {[]string{"run", fine, "--report", "pdf=x"}, 2, "FORMAT=PATH"},
		"report into no directory":    {[]string{"run", fine, "--report", "json=" + dir + "/no/such/x.json"}, 2, "no directory"},
		"output of an unknown form":   {[]string{"validate", fine, "--output", "yaml"}, 2, "text or json"},
		"runner of an unknown sort":   {[]string{"run", fine, "--runner", "moon"}, 2, "cluster or local"},
		"validate an empty directory": {[]string{"validate", empty}, 2, "no drill file"},
		"no cluster":                  {[]string{"run", fine, "--kubeconfig", filepath.Join(dir, "none")}, 1, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := call(t, tc.args...)
			require.Equal(t, tc.code, code, errs)
			require.Contains(t, errs, tc.says)
		})
	}
}

// TestResultsThatCannotBeWritten: on a full disk, drill fmt - < a > b must not look as if b were whole.
func TestResultsThatCannotBeWritten(t *testing.T) {
	written(t, map[string]string{"a.hcl": validDrill("a"), "b.hcl": "drill {"})
	full := func(e *Env) {
		e.Stdin, e.Stdout = strings.NewReader(validDrill("a")), &full{}
	}
	for _, args := range [][]string{{"fmt", "-"}, {"validate", "a.hcl"}, {"validate", "-o", "json", "a.hcl"}, {"kinds"}, {"kinds", "pod_kill"}, {"version"}} {
		code, _, errs := callWith(t, args, full)
		require.Equal(t, exitError, code, args)
		require.Equal(t, "Error: write to standard output: no space left on device\n", errs)
	}
	code, _, _ := callWith(t, []string{"validate", "-o", "json", "b.hcl"}, full)
	require.Equal(t, exitInvalidFile, code, "what is wrong otherwise keeps its code")
}

// full is a disk without room.
type full struct{}

func (*full) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
}

func TestValidateJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.hcl")
	require.NoError(t, os.WriteFile(path, []byte("drill \"x\" {\n  tiemout = \"1m\"\n}\n"), 0o600))
	code, out, _ := call(t, "validate", path, "--output", "json")
	require.Equal(t, 4, code)
	var result struct {
		Valid       bool `json:"valid"`
		ErrorCount  int  `json:"error_count"`
		Diagnostics []struct {
			Range struct {
				Start struct{ Line int }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	require.False(t, result.Valid)
	require.Positive(t, result.ErrorCount)
	require.Len(t, result.Diagnostics, result.ErrorCount)
}

func TestExitCodeOfAReport(t *testing.T) {
	for verdict, want := range map[drill.Verdict]int{
		drill.VerdictPassed: 0, drill.VerdictFailed: 10, drill.VerdictRefused: 11, drill.VerdictAborted: 12,
		drill.VerdictInterrupted: 13, drill.VerdictInvalid: 15, drill.VerdictError: 1,
	} {
		rep := drill.Report{Run: drill.RunReport{Verdict: verdict}, Faults: []drill.FaultReport{{}}}
		require.Equal(t, want, reportCode(rep), verdict)
		rep.Faults[0].Residue = []string{"node n1 is cordoned"}
		require.Equal(t, 14, reportCode(rep), "residue wins over %s", verdict)
	}
}

// TestAdmissionAsksForEverything: what the server asks on the requester's behalf must cover all that the drill names.
func TestAdmissionAsksForEverything(t *testing.T) {
	src, err := os.ReadFile("../../drills/kill-primary.hcl")
	require.NoError(t, err)
	env := &Env{Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }}
	request, err := admission(env)(kube.Spec{Drill: "kill-primary", File: "kill-primary.hcl", Source: string(src)}, drill.Inputs{})
	require.NoError(t, err)
	require.Equal(t, []string{"shop"}, request.Namespaces)
	require.Equal(t, []string{"kill_primary"}, request.FaultKinds)
	require.Len(t, request.Secrets, 1)
	require.Equal(t, "orders-drill", request.Secrets[0].Name)
	require.Equal(t, "shop", request.Avoid[0].Namespace)
	require.NotZero(t, request.Timeout)

	require.Empty(t, request.Reads)
	// A probe that looks into another namespace: the requester must be able to look there as well.
	elsewhere := strings.Replace(string(src), "  steady_state {", "  probe \"kubernetes\" \"pods\" {\n    namespace = \"bank\"\n    service   = \"vault\"\n  }\n\n"+
		"  probe \"kubernetes\" \"own\" {\n    namespace = \"shop\"\n    service   = \"orders\"\n  }\n\n  steady_state {", 1)
	request, err = admission(env)(kube.Spec{Drill: "kill-primary", File: "f.hcl", Source: elsewhere}, drill.Inputs{})
	require.NoError(t, err)
	require.Equal(t, []drill.Permission{{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: "bank"}}, request.Reads)
	require.Equal(t, []string{"shop"}, request.Namespaces, "a probe locks nothing")
	require.Equal(t, []string{"bank"}, namespacesOf(request.Reads, request.Namespaces))

	_, err = admission(env)(kube.Spec{Drill: "other", File: "kill-primary.hcl", Source: string(src)}, drill.Inputs{})
	require.ErrorContains(t, err, "other")
	_, err = admission(env)(kube.Spec{Drill: "kill-primary", File: "f.hcl", Source: "drill {"}, drill.Inputs{})
	require.ErrorContains(t, err, "f.hcl")
}

func TestRightsText(t *testing.T) {
	require.Equal(t, "list, watch pods in namespace shop; get nodes", rightsText([]drill.Permission{
		{Verb: "list", Resource: "pods", Namespace: "shop"}, {Verb: "get", Resource: "nodes"},
		{Verb: "watch", Resource: "pods", Namespace: "shop"}, {Verb: "list", Resource: "pods", Namespace: "shop"}}))
}

func TestEventsSurviveTheLog(t *testing.T) {
	var buf bytes.Buffer
	v := &jsonView{w: &buf}
	v.Observe(drill.Event{Seq: 7, At: drill.Offset(1500000000), Type: drill.EventFault, Fault: &drill.FaultChange{Name: "orders", State: drill.FaultInjected}})
	v.Observe(drill.Event{Seq: 8, Type: drill.EventSamples, Samples: make([]drill.Sample, 50)})
	require.Equal(t, 1, strings.Count(buf.String(), "\n"), "slots are never in the log")
	e, ok := decodeEvent(bytes.TrimSpace(buf.Bytes()))
	require.True(t, ok)
	require.Equal(t, int64(7), e.Seq)
	require.InDelta(t, 1.5, e.At.Seconds(), 1e-9)
	require.Equal(t, drill.FaultInjected, e.Fault.State)
	_, ok = decodeEvent([]byte(`{"level":"warn","msg":"a log line"}`))
	require.False(t, ok)
}
