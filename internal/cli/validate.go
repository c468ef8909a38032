package cli

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

func validateCommand(env *Env) *cobra.Command {
	var output string
	var inputs inputFlags
	c := &cobra.Command{
		Use:   "validate [PATH...]",
		Short: "Check drill files; every problem at once, without a cluster",
		Long: `Check the drill files that are named, or all in the directories that are named
and below them (default: the current directory). Hidden files are left out. A
path of - is standard input. No cluster is asked.

Drill names must be unique within a directory. Variables may be without a value;
files of variables (*.drillvars.hcl) count for the drill files beside them.

The exit code is 0 when all are valid, also with warnings; 4 when one is not;
and 2 when a path cannot be read. --output json prints problems in the shape of
terraform validate -json, for whatever reads that.`,
		Example: `  drill validate drills
  drill validate --output json drills/kill-primary.hcl
  drill validate - < drills/kill-primary.hcl            # as an editor may

  # annotations in a GitHub workflow
  drill validate -o json drills | jq -r '.diagnostics[] | select(.range) |
    "::\(.severity) file=\(.range.filename),line=\(.range.start.line)::" +
    ("\(.summary). \(.detail)" | gsub("%"; "%25") | gsub("\n"; "%0A"))'`,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			return validate(env, args, output, &inputs)
		},
	}
	outputFlag(c, &output)
	inputs.add(c)
	return c
}

// rubbish is how much of it may lie about, as a share of what is in use: one file at a time is, and little of what reading
// it takes, so that collecting at every doubling would cost a third of all.
// What is in use and what lies about may be so much together, unless a single file needs more.
const (
	rubbish = 400
	room    = 128 << 20
)

func validate(env *Env, paths []string, output string, in *inputFlags) error {
	defer debug.SetGCPercent(debug.SetGCPercent(rubbish))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(room))
	v := validation{env: env, in: in, files: map[string]*hcl.File{}, places: map[drillName]hcl.Range{}, said: map[saying]bool{}}
	sources, diags := findSources(paths)
	in.several = slices.IndexFunc(sources, source.vars) >= 0 || len(sources) > 1
	for _, s := range sources {
		v.check(s)
	}
	v.add(in.unclaimed(), nil)
	v.diags = append(v.diags, diags...)
	if output == outputJSON {
		raw, err := drillfile.JSON(v.files, v.diags)
		if err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
		fmt.Fprintf(env.Stdout, "%s\n", raw)
	} else {
		showDiagnostics(env, v.files, v.diags)
		v.summary()
	}
	switch {
	case len(diags) > 0 || v.unread > 0 || v.astray:
		return silent{exitUsage}
	case v.diags.HasErrors():
		return silent{exitInvalidFile}
	default:
		return nil
	}
}

// validation gathers what is wrong with many files. Of a file in which nothing is wrong it keeps next to nothing.
type validation struct {
	env    *Env
	in     *inputFlags
	diags  hcl.Diagnostics
	files  map[string]*hcl.File // those with problems
	drills int
	timed  []*drill.Drill          // those with a schedule, and no more of them than that and their name
	places map[drillName]hcl.Range // where each name is first
	said   map[saying]bool
	read   int  // files
	faulty int  // files with problems
	unread int  // files that could not be read
	astray bool // a file of variables could not be read
}

// drillName is what there may be only once.
type drillName struct{ set, name string }

// saying is a problem at its place. A file of variables that belongs to several drill files has its problems once.
type saying struct {
	file            string
	offset          int
	summary, detail string
}

func (v *validation) check(s source) {
	if s.vars() {
		v.checkVariables(s)
		return
	}
	src, err := s.read(v.env)
	if err != nil {
		v.unread++
		v.diags = append(v.diags, unreadable(s.name(), err))
		return
	}
	v.read++
	file, diags, err := v.in.load(v.env, s.name(), src, true)
	if err != nil {
		v.withoutVariables(err)
		file, diags = drillfile.Load(s.name(), src, fileKinds(), drillfile.Inputs{Partial: true})
	}
	v.drills += len(file.Drills)
	for _, d := range file.Drills {
		if d.Schedule != nil {
			v.timed = append(v.timed, &drill.Drill{Name: strings.Clone(d.Name), Schedule: d.Schedule})
		}
	}
	for _, n := range file.Names {
		first, ok := v.places[drillName{s.set, n.Name}]
		switch {
		case !ok:
			v.places[drillName{s.set, n.Name}] = n.At
		case first.Filename != n.At.Filename: // the others have been reported
			diags = append(diags, drillfile.Duplicate("drill", n.Name, n.At, first))
		}
	}
	v.add(diags, file.Files)
}

// checkVariables checks a file of variables by itself. The drill files beside it check it against what they declare.
func (v *validation) checkVariables(s source) {
	src, err := readBounded(s.path)
	if err != nil {
		v.unread++
		v.withoutVariables(unreadVariables(s.path, err))
		return
	}
	v.read++
	_, file, diags := drillfile.ReadVariables(s.path, src, true)
	v.add(diags, map[string]*hcl.File{s.path: file})
}

// withoutVariables reports a file of variables that cannot be read. It may belong to several drill files.
func (v *validation) withoutVariables(err error) {
	v.astray = true
	text := err.Error()
	v.add(hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "File cannot be read", Detail: sentence(strings.ToUpper(text[:1]) + text[1:])}}, nil)
}

func (v *validation) add(diags hcl.Diagnostics, files map[string]*hcl.File) {
	news := false
	for _, d := range diags {
		key := saying{summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			key.file, key.offset = d.Subject.Filename, d.Subject.Start.Byte
		}
		if !v.said[key] {
			v.said[key], news = true, true
			v.diags = append(v.diags, d)
		}
	}
	if news && files != nil {
		v.faulty++
		maps.Copy(v.files, files)
	}
}

// summary is the last line: what was found, or what there is.
func (v *validation) summary() {
	errors := len(slices.DeleteFunc(slices.Clone(v.diags), func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError }))
	warnings := len(v.diags) - errors
	if errors > 0 {
		found := count(errors, "error")
		if warnings > 0 {
			found += " and " + count(warnings, "warning")
		}
		if all, bad := v.read+v.unread, v.faulty+v.unread; all > 1 && bad > 0 {
			found += fmt.Sprintf(" in %d of %d files", bad, all)
		}
		v.env.status("%s.", found)
		return
	}
	with := ""
	if warnings > 0 {
		with = ", with " + count(warnings, "warning")
	}
	fmt.Fprintf(v.env.Stdout, "Valid: %s in %s%s.\n", count(v.drills, "drill"), count(v.read, "file"), with)
	for _, d := range v.timed {
		showTimes(v.env.Stdout, d, time.Now())
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// The forms of output.
const (
	outputText = "text"
	outputJSON = "json"
)

func outputFlag(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", outputText, "text, or json for programs")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{outputText, outputJSON}, cobra.ShellCompDirectiveNoFileComp))
}

func checkOutput(output string) error {
	if output != outputText && output != outputJSON {
		return withCode(exitUsage, "--output takes text or json, not %q", output)
	}
	return nil
}
