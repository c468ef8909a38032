package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	untidy = "drill \"x\" {\n description=\"a\"\n}\n"
	tidied = "drill \"x\" {\n  description = \"a\"\n}\n"
)

// written makes a directory with files.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	t.Chdir(dir)
	return dir
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(raw)
}

func TestFmt(t *testing.T) {
	written(t, map[string]string{
		"a.hcl": untidy, "b.hcl": tidied, "below/c.hcl": untidy, "below/d.drillvars.hcl": "a=1\n", ".hidden.hcl": untidy, ".git/e.hcl": untidy,
		"notes.txt": untidy, "wrong.hcl": "drill {",
	})
	require.NoError(t, os.Chmod("a.hcl", 0o640))
	require.NoError(t, os.Symlink("a.hcl", "z.hcl"))

	code, out, errs := call(t, "fmt", "--check", ".", "a.hcl")
	require.Equal(t, 4, code)
	require.Equal(t, "a.hcl\nbelow/c.hcl\nbelow/d.drillvars.hcl\n", out, "each once")
	require.Contains(t, errs, "on wrong.hcl line 1")
	require.Equal(t, untidy, textOf(t, "a.hcl"), "--check writes nothing")

	code, out, _ = call(t, "fmt", "--write=false", ".")
	require.Equal(t, 4, code)
	require.Equal(t, "a.hcl\nbelow/c.hcl\nbelow/d.drillvars.hcl\n", out)
	require.Equal(t, untidy, textOf(t, "a.hcl"))

	code, out, _ = call(t, "fmt", ".")
	require.Equal(t, 4, code, "wrong.hcl is still wrong, and the others are done")
	require.Equal(t, "a.hcl\nbelow/c.hcl\nbelow/d.drillvars.hcl\n", out)
	require.Equal(t, tidied, textOf(t, "a.hcl"))
	require.Equal(t, tidied, textOf(t, "below/c.hcl"))
	require.Equal(t, "a = 1\n", textOf(t, "below/d.drillvars.hcl"))
	require.Equal(t, "drill {", textOf(t, "wrong.hcl"))
	for _, path := range []string{".hidden.hcl", ".git/e.hcl", "notes.txt"} {
		require.Equal(t, untidy, textOf(t, path))
	}
	info, err := os.Lstat("a.hcl")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
	left, err := filepath.Glob(".*a.hcl*")
	require.NoError(t, err)
	require.Empty(t, left, "no temporary file is left")

	require.NoError(t, os.Remove("wrong.hcl"))
	code, out, errs = call(t, "fmt", "--check")
	require.Zero(t, code)
	require.Empty(t, out+errs)
}

func TestFmtOfALink(t *testing.T) {
	written(t, map[string]string{"real/a.txt": untidy})
	require.NoError(t, os.Symlink("real/a.txt", "a.hcl"))
	code, out, _ := call(t, "fmt")
	require.Zero(t, code)
	require.Equal(t, "a.hcl\n", out)
	require.Equal(t, tidied, textOf(t, "real/a.txt"))
	info, err := os.Lstat("a.hcl")
	require.NoError(t, err)
	require.Equal(t, os.ModeSymlink, info.Mode().Type())
}

func TestFmtCheckAndDiff(t *testing.T) {
	written(t, map[string]string{"a.hcl": untidy, "b.hcl": tidied})
	code, out, errs := call(t, "fmt", "--check", "--diff")
	require.Equal(t, 3, code)
	require.Equal(t, "a.hcl\n--- a/a.hcl\n+++ b/a.hcl\n@@ -1,3 +1,3 @@\n drill \"x\" {\n- description=\"a\"\n+  description = \"a\"\n }\n", out)
	require.Equal(t, "1 of 2 files not formatted. Format with: drill fmt .\n", errs)
	require.Equal(t, untidy, textOf(t, "a.hcl"))

	code, out, _ = call(t, "fmt", "--diff", "a.hcl")
	require.Zero(t, code)
	require.Contains(t, out, "+  description")
	require.Equal(t, tidied, textOf(t, "a.hcl"), "as terraform's: --diff alone still writes")
}

func TestFmtOfStdin(t *testing.T) {
	for _, tc := range []struct {
		src  string
		args []string
		code int
		out  string
	}{
		{untidy, nil, 0, tidied},
		{tidied, nil, 0, tidied},
		{untidy, []string{"--check"}, 3, ""},
		{tidied, []string{"--check"}, 0, ""},
		{"drill {", nil, 4, ""},
		{"", nil, 0, ""},
	} {
		code, out, errs := callWith(t, append([]string{"fmt", "-"}, tc.args...), func(e *Env) { e.Stdin = strings.NewReader(tc.src) })
		require.Equal(t, tc.code, code, errs)
		require.Equal(t, tc.out, out)
	}
	_, out, _ := callWith(t, []string{"fmt", "--diff", "-"}, func(e *Env) { e.Stdin = strings.NewReader(untidy) })
	require.True(t, strings.HasPrefix(out, "--- a/<stdin>\n"), out)
}

// TestFmtOfWhatCannotBeRead: the others are done all the same.
func TestFmtOfWhatCannotBeRead(t *testing.T) {
	written(t, map[string]string{"a.hcl": untidy, "empty/notes.txt": ""})
	require.NoError(t, os.Symlink("nowhere", "broken.hcl"))
	code, out, errs := call(t, "fmt", "none.hcl", ".", "empty")
	require.Equal(t, 2, code)
	require.Equal(t, "a.hcl\n", out)
	require.Equal(t, tidied, textOf(t, "a.hcl"))
	require.Contains(t, errs, "none.hcl")
	require.Contains(t, errs, "broken.hcl")
	require.Contains(t, errs, "empty holds no drill file")
}

// TestWhatHasNoEndIsNotRead: a device is no drill file, and reading one must not take the machine's memory.
func TestWhatHasNoEndIsNotRead(t *testing.T) {
	for _, args := range [][]string{{"validate", "/dev/zero"}, {"fmt", "--check", "/dev/zero"}, {"plan", "/dev/zero"}} {
		code, _, errs := call(t, args...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, errs, "longer than 32 MiB", args)
	}
}
