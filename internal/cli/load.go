package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/term"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

// drillFiles lists the drill files that the paths name; a directory stands for the *.hcl files in it.
func drillFiles(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, withCode(exitUsage, "read %s: %w", p, cause(err))
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		found, err := filepath.Glob(filepath.Join(p, "*.hcl"))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", p, err)
		}
		if len(found) == 0 {
			return nil, withCode(exitUsage, "directory %s holds no drill file (*.hcl)", p)
		}
		sort.Strings(found)
		files = append(files, found...)
	}
	return files, nil
}

// cause drops the operation and path that an fs.PathError repeats.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// oneDrill loads the file and returns its only drill, or the one that is named. Problems are shown with line and caret.
func oneDrill(env *Env, path, name string) (*drill.Drill, []byte, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, withCode(exitUsage, "read %s: %w", path, cause(err))
	}
	d, err := pickDrill(env, path, src, name)
	return d, src, err
}

func pickDrill(env *Env, path string, src []byte, name string) (*drill.Drill, error) {
	file, diags := drillfile.Load(path, src, fileKinds(), drillfile.Inputs{})
	showDiagnostics(env, file.Files, diags)
	if diags.HasErrors() {
		return nil, silent{exitInvalidFile}
	}
	var all []string
	for _, d := range file.Drills {
		if d.Name == name || name == "" && len(file.Drills) == 1 {
			return d, nil
		}
		all = append(all, d.Name)
	}
	switch {
	case len(all) == 0:
		return nil, withCode(exitInvalidFile, "%s holds no drill. Write a block drill \"name\" { … }", path)
	case name == "":
		return nil, withCode(exitUsage, "%s holds %d drills; choose one with --drill: %s", path, len(all), strings.Join(all, ", "))
	default:
		return nil, withCode(exitUsage, "%s holds no drill %q; it holds: %s", path, name, strings.Join(all, ", "))
	}
}

func showDiagnostics(env *Env, files map[string]*hcl.File, diags hcl.Diagnostics) {
	if len(diags) == 0 {
		return
	}
	width := 100
	if f, ok := env.Stderr.(*os.File); ok && env.TTY {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 40 {
			width = min(w, 120)
		}
	}
	_ = drillfile.Render(env.Stderr, files, diags, width, env.color())
}
