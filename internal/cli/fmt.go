package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/google/renameio/v2"
	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drillfile"
)

func fmtCommand(env *Env) *cobra.Command {
	f := formatting{env: env, files: map[string]*hcl.File{}}
	c := &cobra.Command{
		Use:   "fmt [PATH...]",
		Short: "Write drill files in the usual format",
		Long: `Write the drill files that are named, or all in the directories that are named
and below them (default: the current directory), as terraform fmt would: two
spaces for each level, equals signs and comments in a row. Only spaces change.
Files of variables (*.drillvars.hcl) are formatted, too; hidden files are left
out. The names of the files that change are printed. A path of - reads standard
input and writes standard output.

A file with a syntax error is left as it is. The exit code is 0; 3 when --check
found a file that is not formatted; 4 when a file has a syntax error; and 2 when
a path cannot be read or written.`,
		Example: `  drill fmt drills                  # all below the directory
  drill fmt --check --diff drills   # in CI: change nothing, and show what would`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			return f.run(args)
		},
	}
	c.Flags().BoolVar(&f.check, "check", false, "change nothing; exit with 3 when a file is not formatted")
	c.Flags().BoolVar(&f.diff, "diff", false, "print what changes, as a unified diff")
	c.Flags().BoolVar(&f.write, "write", true, "write the files (never those of --check)")
	return c
}

// formatting is one call of drill fmt.
type formatting struct {
	env                *Env
	check, diff, write bool
	diags              hcl.Diagnostics
	files              map[string]*hcl.File // those with problems
	failed             bool                 // something could not be read or written
	changed, seen      int                  // files
}

func (f *formatting) run(paths []string) error {
	sources, diags := findSources(paths)
	f.diags, f.failed = diags, len(diags) > 0
	for _, s := range sources {
		f.format(s)
	}
	showDiagnostics(f.env, f.files, f.diags)
	switch {
	case f.failed:
		return silent{exitUsage}
	case f.diags.HasErrors():
		return silent{exitInvalidFile}
	case f.check && f.changed > 0:
		f.env.status("%d of %s not formatted. Format with: drill fmt %s", f.changed, count(f.seen, "file"), strings.Join(paths, " "))
		return silent{exitUnformatted}
	default:
		return nil
	}
}

func (f *formatting) format(s source) {
	src, err := s.read(f.env)
	if err != nil {
		f.fail(unreadable(s.name(), err))
		return
	}
	f.seen++
	out, file, diags := drillfile.Format(s.name(), src)
	if diags.HasErrors() {
		f.diags = append(f.diags, diags...)
		f.files[s.name()] = file
		return
	}
	same := bytes.Equal(src, out)
	if !same {
		f.changed++
	}
	f.show(s, src, out)
	if s.path == stdinPath || same || f.check || !f.write {
		return
	}
	if err := rewrite(s.path, out); err != nil {
		f.fail(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "File cannot be written",
			Detail: fmt.Sprintf("Writing %s failed: %s. It is as it was. Check that you may write it, and its directory.", s.path, cause(err))})
	}
}

func (f *formatting) fail(d *hcl.Diagnostic) {
	f.failed = true
	f.diags = append(f.diags, d)
}

// show prints what standard output is for: the text of standard input, or the name of what changes, and the difference.
func (f *formatting) show(s source, src, out []byte) {
	same := bytes.Equal(src, out)
	switch {
	case s.path == stdinPath && !f.check && !f.diff:
		fmt.Fprintf(f.env.Stdout, "%s", out)
	case !same && s.path != stdinPath:
		fmt.Fprintln(f.env.Stdout, s.path)
	}
	if f.diff && !same {
		name := strings.TrimPrefix(filepath.ToSlash(s.name()), "/")
		fmt.Fprint(f.env.Stdout, udiff.Unified("a/"+name, "b/"+name, string(src), string(out)))
	}
}

// rewrite replaces a file's text at once, so that nobody ever reads half of it. Its mode stays, and a link stays a link.
func rewrite(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // replacing a file asks for no right to write it
	if err != nil {
		return err
	}
	f.Close()
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	return renameio.WriteFile(path, text, 0o600) // the mode is for new files, and this one is old
}
