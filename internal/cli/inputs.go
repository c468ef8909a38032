package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// variablePrefix begins the names of environment variables that give a drill file's variables their values.
const variablePrefix = "DRILL_VAR_"

// inputFlags are what drill files take from outside: --var and --var-file, and what counts without a flag. Here alone is it
// gathered, in the order of precedence: environment, *.drillvars.hcl beside the file, then the flags as they were typed.
type inputFlags struct {
	typed []typedInput
	// several says that the flags are for several drill files, so that a name need not be in each; see unclaimed.
	several bool

	kinds    *drillfile.Kinds
	files    map[string]variablesFile // that were read, by path
	beside   map[string][]string      // the variables files in a directory
	declared map[string]bool          // by any of the drill files
}

// typedInput is one --var or --var-file.
type typedInput struct{ flag, text string }

// variablesFile is one that was read, or why it was not.
type variablesFile struct {
	values []drillfile.Value
	file   *hcl.File
	diags  hcl.Diagnostics
}

const (
	flagVar     = "var"
	flagVarFile = "var-file"
)

// inputFlag is one of the two flags. Both write to one list, which keeps their order.
type inputFlag struct {
	to   *inputFlags
	name string
}

func (f inputFlag) String() string { return "" }

func (f inputFlag) Type() string {
	if f.name == flagVar {
		return "NAME=VALUE"
	}
	return "PATH"
}

func (f inputFlag) Set(text string) error {
	if name, _, ok := strings.Cut(text, "="); f.name == flagVar && (!ok || !hclsyntax.ValidIdentifier(name)) {
		return errors.New("write the name of a variable, an equals sign and its value, such as --var namespace=shop")
	}
	f.to.typed = append(f.to.typed, typedInput{f.name, text})
	return nil
}

func (f *inputFlags) add(c *cobra.Command) {
	c.Flags().Var(inputFlag{f, flagVar}, flagVar, "give a variable of the drill file a value (repeatable)")
	c.Flags().Var(inputFlag{f, flagVarFile}, flagVarFile, "give variables values from a file (repeatable); *"+drillfile.VariablesExt+" beside the drill file counts by itself")
	_ = c.RegisterFlagCompletionFunc(flagVar, func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		return declaredIn(args, begun), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
	_ = c.RegisterFlagCompletionFunc(flagVarFile, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
	})
}

// declaredIn lists what --var may begin with: the variables that the files on the command line declare.
func declaredIn(args []string, begun string) []string {
	paths, err := drillFiles(args)
	if err != nil || strings.Contains(begun, "=") {
		return nil
	}
	var all []string
	for _, path := range paths {
		src, err := readBounded(path)
		if err != nil {
			continue
		}
		names, descriptions := drillfile.DeclaredVariables(path, src)
		for _, name := range names {
			all = append(all, cobra.CompletionWithDesc(name+"=", descriptions[name]))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// load reads a drill file with what it takes from outside. What is wrong with a variables file is among the problems; the
// error is for what is no drill file's or variables file's fault. With partial, a value may be missing.
func (f *inputFlags) load(env *Env, path string, src []byte, partial bool) (*drillfile.File, hcl.Diagnostics, error) {
	in := drillfile.Inputs{Partial: partial, Env: env.lookup, File: beside(filepath.Dir(path))}
	var diags hcl.Diagnostics
	files := map[string]*hcl.File{}
	take := func(path string, stray bool) error {
		read, err := f.read(path)
		if err != nil {
			return err
		}
		files[path] = read.file
		diags = append(diags, read.diags...)
		for _, v := range read.values {
			v.Stray = stray
			in.Given = append(in.Given, v)
		}
		return nil
	}
	in.Given = env.variables()
	auto, err := f.auto(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	for _, path := range auto {
		if err := take(path, true); err != nil {
			return nil, nil, err
		}
	}
	for _, typed := range f.typed {
		if typed.flag == flagVarFile {
			if err := take(typed.text, f.several); err != nil {
				return nil, nil, err
			}
			continue
		}
		name, value, _ := strings.Cut(typed.text, "=")
		in.Given = append(in.Given, drillfile.Value{Name: name, Origin: "--var", Text: value, Stray: f.several})
	}
	in.Partial = in.Partial || diags.HasErrors() // what is missing because of them is no problem of its own
	if f.several && len(f.typed) > 0 {           // parsing a file once more costs as much as all the rest
		if f.declared == nil {
			f.declared = map[string]bool{}
		}
		names, _ := drillfile.DeclaredVariables(path, src)
		for _, name := range names {
			f.declared[name] = true
		}
	}
	if f.kinds == nil {
		f.kinds = new(fileKinds())
	}
	file, found := drillfile.Load(path, src, *f.kinds, in)
	maps.Copy(file.Files, files)
	if diags = append(diags, found...); diags.HasErrors() {
		file.Drills = nil
	}
	return file, diags, nil
}

// unclaimed are the problems of flags that belong to none of several drill files, once all are read.
func (f *inputFlags) unclaimed() hcl.Diagnostics {
	if !f.several {
		return nil
	}
	var diags hcl.Diagnostics
	complain := func(name, origin string, at *hcl.Range) {
		if !f.declared[name] {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Undeclared variable", Subject: at, Detail: fmt.Sprintf(
				"No drill file declares a variable %q, which is given by %s.%s", name, origin, schema.DidYouMean(name, slices.Collect(maps.Keys(f.declared))))})
		}
	}
	for _, typed := range f.typed {
		if typed.flag == flagVar {
			name, _, _ := strings.Cut(typed.text, "=")
			complain(name, "--var", nil)
			continue
		}
		for _, v := range f.files[typed.text].values {
			complain(v.Name, v.Origin, new(v.Expr.Range()))
		}
	}
	return diags
}

// read reads a variables file once, however many drill files it is for.
func (f *inputFlags) read(path string) (variablesFile, error) {
	if known, ok := f.files[path]; ok {
		known.diags = nil // they have been told
		return known, nil
	}
	src, err := readBounded(path)
	if err != nil {
		return variablesFile{}, unreadVariables(path, err)
	}
	var read variablesFile
	read.values, read.file, read.diags = drillfile.ReadVariables(path, src, false)
	if read.file == nil {
		read.file = &hcl.File{}
	}
	if f.files == nil {
		f.files = map[string]variablesFile{}
	}
	f.files[path] = read
	return read, nil
}

func unreadVariables(path string, err error) error {
	return withCode(exitUsage, "cannot read the variables file %s: %w", path, err)
}

// auto lists the variables files in a directory, in the order in which they count.
func (f *inputFlags) auto(dir string) ([]string, error) {
	if known, ok := f.beside[dir]; ok {
		return known, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, withCode(exitUsage, "list the variables files in %s: %w", dir, cause(err))
	}
	var all []string
	for _, e := range entries { // by name
		if strings.HasSuffix(e.Name(), drillfile.VariablesExt) && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	if f.beside == nil {
		f.beside = map[string][]string{}
	}
	f.beside[dir] = all
	return all, nil
}

// lookup finds an environment variable.
func (e *Env) lookup(name string) (string, bool) {
	if e.Environ == nil {
		return "", false
	}
	all := e.Environ()
	for _, pair := range slices.Backward(all) { // of one that is there twice, the last counts
		if value, ok := strings.CutPrefix(pair, name+"="); ok && name != "" {
			return value, true
		}
	}
	return "", false
}

// variables are the values that the environment gives to variables. They may be for any drill file.
func (e *Env) variables() []drillfile.Value {
	if e.Environ == nil {
		return nil
	}
	var all []drillfile.Value
	for _, pair := range e.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if variable, ok := strings.CutPrefix(name, variablePrefix); ok {
			all = append(all, drillfile.Value{Name: variable, Origin: "the environment variable " + name, Text: value, Stray: true})
		}
	}
	return all
}

// beside reads files for file(): by paths from the drill file's own directory.
func beside(dir string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return readBounded(path)
	}
}

// readBounded reads an ordinary file that is no larger than what a run can take along.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such file")
	case err != nil:
		return nil, cause(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a file")
	case info.Size() > kube.MaxInputs:
		return nil, fmt.Errorf("it is %d KiB long, and a run takes %d KiB along", info.Size()>>10, kube.MaxInputs>>10)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, cause(err)
	}
	return src, nil
}
