package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/term"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/kube"
)

// loaded is one drill of a file, with all that its runs are made of.
type loaded struct {
	*drill.Drill
	source       string
	open, secret drill.Inputs // what the file took from outside
}

// longestShown is how long a variable's value may be in a report, in bytes of JSON. The record has it whole.
const longestShown = 1 << 10

// variables are those that were given, as a report may show them.
func (l *loaded) variables() map[string]drill.VariableValue {
	var all map[string]drill.VariableValue
	show := func(name string, value json.RawMessage) {
		if all == nil {
			all = map[string]drill.VariableValue{}
		}
		all[name] = drill.VariableValue(value)
	}
	for name, value := range l.open.Variables {
		if len(value) > longestShown {
			value, _ = json.Marshal(fmt.Sprintf("(too long to show: %d bytes)", len(value))) // a text always can be
		}
		show(name, value)
	}
	hidden, _ := json.Marshal(drill.Sensitive("")) // it always says the same
	for name := range l.secret.Variables {
		show(name, hidden)
	}
	return all
}

// oneDrill loads the file and returns its only drill, or the one that is named. Problems are shown with line and caret.
func oneDrill(env *Env, path, name string, in *inputFlags) (*loaded, error) {
	if err := oneDrillFile(path); err != nil {
		return nil, err
	}
	src, err := readDrill(path)
	if err != nil {
		return nil, withCode(exitUsage, "read %s: %w", path, cause(err))
	}
	file, diags, err := in.load(env, path, src, false)
	if err != nil {
		return nil, err
	}
	return pickDrill(env, path, string(src), name, file, diags)
}

// oneDrillFile refuses what other commands take, and a run cannot.
func oneDrillFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case path == stdinPath:
		return withCode(exitUsage, "a run keeps the name of its drill's file, so that standard input will not do. Name a drill file")
	case err == nil && info.IsDir():
		return withCode(exitUsage, "%s is a directory. Name one drill file in it", path)
	case strings.HasSuffix(path, varsFileSuffix):
		return withCode(exitUsage, "%s holds values of variables, and no drill. Name the drill file beside it, for which it counts by itself", path)
	default:
		return nil
	}
}

// recordedDrill loads a drill from a run's record, and what the file took from outside when the run was asked for.
func recordedDrill(env *Env, spec kube.Spec, in drill.Inputs) (*loaded, error) {
	file, diags := drillfile.Load(spec.File, []byte(spec.Source), fileKinds(), drillfile.Recorded(in))
	if !diags.HasErrors() {
		diags = nil // warnings are shown where the run is asked for
	}
	return pickDrill(env, spec.File, spec.Source, spec.Drill, file, diags)
}

func pickDrill(env *Env, path, source, name string, file *drillfile.File, diags hcl.Diagnostics) (*loaded, error) {
	showDiagnostics(env, file.Files, diags)
	if diags.HasErrors() {
		return nil, silent{exitInvalidFile}
	}
	var all []string
	for _, d := range file.Drills {
		if d.Name == name || name == "" && len(file.Drills) == 1 {
			return &loaded{d, source, file.Open, file.Secret}, nil
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
	_ = drillfile.Render(env.Stderr, files, diags, width, env.color(env.Stderr))
}
