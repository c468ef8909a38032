package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Build compiles commands of this module as they are shipped, without the race detector, and returns their paths.
func Build(tb testing.TB, pkgs ...string) []string {
	tb.Helper()
	dir := tb.TempDir()
	var bins []string
	args := []string{"build", "-o", dir}
	for _, p := range pkgs {
		args = append(args, "github.com/failoverdrill/drill/"+p)
		bins = append(bins, filepath.Join(dir, filepath.Base(p)))
	}
	c := exec.CommandContext(tb.Context(), "go", args...) //nolint:gosec // the test's
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	out, err := c.CombinedOutput()
	require.NoError(tb, err, "build %v: %s", pkgs, out)
	return bins
}

// The commands that are built.
const (
	DrillCommand = "cmd/drill"
	LimitCommand = "test/torture/limit"
	ParseCommand = "test/torture/parse"
)

// Ran is what a process did, by the kernel's account of it.
type Ran struct {
	Code           int
	Stdout, Stderr string
	CPU            time.Duration // user and system, all threads
	Peak           int64         // bytes of memory, at most
}

// The limits of a process that is tortured. Whoever hits one is ended by the kernel, before the machine suffers.
const (
	patience = time.Minute // for a process that sleeps; one that works is ended after maxCPU seconds of it
	maxCPU   = 20
	maxSpace = 2 << 30 // bytes of address space, most of which Go's runtime only reserves
)

// Run runs a command to its end within the limits.
func Run(tb testing.TB, limit, dir string, env []string, command ...string) Ran {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	account := filepath.Join(tb.TempDir(), "account")
	c := exec.CommandContext(ctx, limit, append([]string{account, fmt.Sprint(maxCPU), fmt.Sprint(maxSpace)}, command...)...) //nolint:gosec // the test's
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	require.NoError(tb, ctx.Err(), "%v did not end: %s", command, errs.String())
	require.NoError(tb, err, errs.String())
	ran := Ran{Stdout: out.String(), Stderr: errs.String()}
	raw, err := os.ReadFile(account)
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(raw, &ran))
	return ran
}
