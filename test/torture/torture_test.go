package torture

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// However ugly a file is, it costs no more than so many times what the largest plain file costs, which is of the same
// size as the largest that is ugly.
const (
	dearest = 6.0 // 100,000 arguments take three to four times as much, most of it HCL's; what grows with the square takes fifty
	fattest = 2.0
)

// TestUglyFiles: each is answered by what is wrong with it, and at a price.
func TestUglyFiles(t *testing.T) {
	bins := Build(t, DrillCommand, LimitCommand)
	plain := measure(t, bins, one("plain", Plain(mebibyte), ""))
	t.Logf("a plain file of 1 MiB: %v of CPU, %d MiB", plain.CPU, plain.Peak>>20)
	var all []dear
	for _, u := range slices.Concat(texts(), shapes(), bombs(), values()) {
		t.Run(u.name, func(t *testing.T) {
			ran := measure(t, bins, u)
			all = append(all, dear{u.name, ran})
			if u.says == "" {
				require.Zero(t, ran.Code, head(ran.Stderr))
				return
			}
			require.Contains(t, []int{2, 4}, ran.Code, "%s%s", head(ran.Stdout), head(ran.Stderr))
			require.Contains(t, ran.Stderr, u.says, head(ran.Stderr))
		})
		if last := len(all) - 1; last >= 0 && !t.Failed() {
			cheapEnough(t, u, all[last].Ran, plain)
		}
	}
	slices.SortFunc(all, func(a, b dear) int { return int(b.CPU - a.CPU) })
	for _, d := range all {
		t.Logf("%8v %4d MiB  %s", d.CPU.Round(time.Millisecond), d.Peak>>20, d.name)
	}
}

type dear struct {
	name string
	Ran
}

// cheapEnough holds a file's price against that of the plain one.
func cheapEnough(t *testing.T, u ugly, ran, plain Ran) {
	t.Helper()
	if float64(ran.CPU) <= dearest*float64(plain.CPU) && float64(ran.Peak) <= fattest*float64(plain.Peak) {
		return
	}
	t.Errorf("%s took %v of CPU and %d MiB; a plain file of 1 MiB takes %v and %d MiB", u.name, ran.CPU, ran.Peak>>20, plain.CPU, plain.Peak>>20)
}

// measure validates the files, and looks at what no output of drill's may hold.
func measure(t *testing.T, bins []string, u ugly) Ran {
	t.Helper()
	dir := t.TempDir()
	for name, text := range u.files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	ran := Run(t, bins[1], dir, u.env, append([]string{bins[0], "validate", "x.hcl"}, u.args...)...)
	for _, out := range []string{ran.Stdout, ran.Stderr} {
		require.NotRegexp(t, bug, head(out))
		require.NotRegexp(t, control, out, "an output steers the terminal")
		require.Less(t, len(out), 2*mebibyte, "too long to read: %s", head(out))
	}
	return ran
}

var (
	bug     = regexp.MustCompile(`panic|goroutine \d|fatal error|a bug`)
	control = regexp.MustCompile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
)

// head is as much of an output as a reader wants to see.
func head(s string) string {
	if len(s) > 2000 {
		return s[:2000] + "…"
	}
	return s
}
