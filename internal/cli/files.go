package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
)

// The names by which drill files and files of variables are found in directories.
const (
	drillFileSuffix = ".hcl"
	varsFileSuffix  = ".drillvars.hcl"
)

// stdin is the path that stands for standard input, and what it is called in messages.
const (
	stdinPath = "-"
	stdinName = "<stdin>"
)

// source is a drill file or a file of variables that was named, or found in a directory that was.
type source struct {
	path string // to read; also to show, except for standard input
	set  string // the directory in which the names of its drills are unique
}

func (s source) name() string {
	if s.path == stdinPath {
		return stdinName
	}
	return s.path
}

// vars reports whether the file holds values of variables, and no drills.
func (s source) vars() bool { return strings.HasSuffix(s.path, varsFileSuffix) }

// read returns the file's text. Whoever calls it holds one text at a time, so that many files take little memory.
func (s source) read(env *Env) ([]byte, error) {
	if s.path == stdinPath {
		return readWhole(env.Stdin)
	}
	return readDrill(s.path)
}

// readDrill reads a drill file.
func readDrill(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the path, as os.ReadFile's does
	}
	defer f.Close()
	return readWhole(f)
}

// mostRead is far more than a drill file may have, and says so; what is longer may have no end, as a device.
const mostRead = 32 << 20

func readWhole(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, mostRead+1))
	if err == nil && len(raw) > mostRead {
		return nil, errors.New("it is longer than 32 MiB, and a drill file may have 1 MiB")
	}
	return raw, err //nolint:wrapcheck // whoever asks names the file
}

// findSources lists the files that the paths stand for, each once, in the order of the paths and then of names. What
// cannot be read is a problem beside the others; it hides none of them.
func findSources(paths []string) ([]source, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	var all []source
	seen := map[string]int{}
	add := func(path, set string, in bool) {
		id := identity(path)
		i, again := seen[id]
		switch {
		case !again:
			seen[id] = len(all)
			all = append(all, source{path, set})
		case in:
			all[i].set = set // it was named beside its directory
		}
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case p == stdinPath:
			add(p, "", false)
		case err != nil:
			diags = append(diags, unreadable(p, err))
		case !info.IsDir():
			add(p, identity(filepath.Dir(p)), false)
		default:
			found, problems := filesBelow(p)
			diags = append(diags, problems...)
			for _, f := range found {
				add(f, identity(p), true)
			}
		}
	}
	return all, diags
}

// filesBelow lists the *.hcl files in a directory and in those below it, without the hidden ones.
func filesBelow(dir string) (found []string, diags hcl.Diagnostics) {
	drills, top := 0, dir
	if !os.IsPathSeparator(dir[len(dir)-1]) {
		top += string(filepath.Separator) // of a link that was named, what it leads to: the walk itself follows none
	}
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			diags = append(diags, unreadable(path, err))
			return nil
		}
		if path != top && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, drillFileSuffix) && isFile(path, entry) {
			found = append(found, path)
			if !strings.HasSuffix(path, varsFileSuffix) {
				drills++
			}
		}
		return nil
	})
	if drills == 0 && len(diags) == 0 {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "No drill files",
			Detail: fmt.Sprintf("The directory %s holds no drill file (*%s), and neither do those below it. Name a drill file, or a directory with drill files.", dir, drillFileSuffix)})
	}
	return found, diags
}

// isFile reports whether an entry is a file, or a link that leads to one; a broken link counts, so that it is reported.
func isFile(path string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular()
}

// identity is the same for two paths of the same file.
func identity(path string) string {
	if path == stdinPath {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}

func unreadable(path string, err error) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "File cannot be read",
		Detail: fmt.Sprintf("Reading %s failed: %s. Check the path, and that you may read it.", printable(path), cause(err))}
}

// printable is a path without what would steer a terminal.
func printable(path string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, path)
}

// cause drops the operation and path that an fs.PathError repeats.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// drillFiles lists the drill files that the paths stand for. The first problem is the error.
func drillFiles(paths []string) ([]string, error) {
	sources, diags := findSources(paths)
	if len(diags) > 0 {
		return nil, withCode(exitUsage, "%s", diags[0].Detail)
	}
	var files []string
	for _, s := range sources {
		if !s.vars() {
			files = append(files, s.path)
		}
	}
	return files, nil
}
