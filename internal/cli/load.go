package cli

import (
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/term"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

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
