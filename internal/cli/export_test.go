package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExport(t *testing.T) {
	state := t.TempDir()
	rep, recorded := recordedRun(t, "r-1")
	remember(&Env{Stderr: &bytes.Buffer{}, Getenv: func(string) string { return state }}, rep, recorded)
	file := filepath.Join(t.TempDir(), "x.detail")
	require.NoError(t, os.WriteFile(file, recorded, 0o600))
	for name, args := range map[string][]string{"by its id": {"r-1", "--local"}, "by its file": {file}} {
		code, out, errs := callAt(t, state, append([]string{"export", "--history", "set"}, args...)...)
		require.Zero(t, code, "%s: %s", name, errs)
		require.Equal(t, 4000, strings.Count(out, "\n"), "a call and an outcome of each write")
		require.Equal(t, 100, strings.Count(out, ":type :fail"))
		require.True(t, strings.HasPrefix(out, "{:index 0, :type :invoke, :process 0, :f :add, :value 0, :time 0}\n"), out[:100])
	}
	code, out, errs := callAt(t, state, "export", "r-1", "--local")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, errs, "recorded no history of the kind register")
	for _, args := range [][]string{{"--history", "lists"}, {"--format", "json"}, {"no/such.detail"}} {
		if len(args) == 2 {
			args = append(args, file)
		}
		code, _, _ = callAt(t, state, append([]string{"export"}, args...)...)
		require.Equal(t, exitUsage, code, "%v", args)
	}
	require.NoError(t, os.WriteFile(file, recorded[:len(recorded)-9], 0o600))
	code, _, errs = callAt(t, state, "export", file, "--history", "set")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "cut off")
}
