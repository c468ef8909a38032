package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
)

// version is set by the Makefile.
var version = "dev"

// commands lists every command, in the order of the help text.
func commands() []func(*Env) *cobra.Command {
	return []func(*Env) *cobra.Command{
		initCommand, runCommand, validateCommand, fmtCommand, planCommand, kindsCommand,
		scheduleCommand, statusCommand, cancelCommand, holdCommand, resumeCommand, recoverCommand, historyCommand, reportCommand, exportCommand, compareCommand,
		installCommand, uninstallCommand, serveCommand, execCommand, agentCommand, readCommand, versionCommand,
	}
}

// Main runs the command that the arguments name and returns the process's exit code.
func Main(env *Env) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(env.Stderr, "drill failed (a bug, please report it): %v\n%s", p, debug.Stack())
			code = exitError
		}
	}()
	results := &results{to: env.Stdout}
	env.Stdout = results
	root := &cobra.Command{
		Use:   "drill",
		Short: "Prove that what is highly available really fails over",
		Long: `drill breaks one thing on purpose, watches what clients really see, puts everything back, and says in numbers
how long recovery took, how far replicas lagged, and which acknowledged writes were lost.`,
		Example: `  drill install --allow shop            # once per cluster
  drill init --namespace shop           # write a first drill for what runs there
  drill plan drills/kill-primary.hcl    # what would be touched
  drill run drills/kill-primary.hcl     # do it, and report`,
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return withCode(exitUsage, "%w. See '%s --help'", err, c.CommandPath())
	})
	root.PersistentFlags().BoolVar(&env.Plain, "no-color", false, "print without colour, as the environment variable NO_COLOR does")
	for _, command := range commands() {
		root.AddCommand(command(env))
	}
	ran, err := root.ExecuteContextC(context.Background())
	if err != nil && ran == root {
		err = withCode(exitUsage, "%w", err) // no command was found
	}
	if failed := results.failed(); err == nil && failed != nil {
		err = fmt.Errorf("write to standard output: %w", cause(failed))
	}
	if err != nil {
		if _, ok := errors.AsType[silent](err); !ok {
			within(sayTimeout, func() { fmt.Fprintf(env.Stderr, "Error: %s\n", errorText(err)) })
		}
	}
	return exitCode(err)
}

// errorText is an error for a terminal, which obeys nothing in it. What is wrong with a file or with the usage, and a refusal,
// keep their lines as drill laid them out, and several errors have one each. In any other error there may be others' words:
// it is one line.
func errorText(err error) string {
	switch code := exitCode(err); code {
	case exitUsage, exitInvalidFile, exitRefused:
		return drill.CleanLines(err.Error())
	}
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return drill.Clean(err.Error())
	}
	var lines []string
	all := several.Unwrap()
	for _, one := range all {
		lines = append(lines, errorText(one))
	}
	if errors.Join(all...).Error() != err.Error() { // not joined, but said in one sentence
		return drill.Clean(err.Error())
	}
	return strings.Join(lines, "\n")
}

// results is standard output. It keeps why something could not be written, which no command asks after every line: half
// a result, on a full disk, must not count as a whole one.
type results struct {
	to io.Writer

	mu  sync.Mutex // guards err: a view may still be at work when the process ends
	err error
}

func (r *results) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *results) Write(text []byte) (int, error) {
	n, err := r.to.Write(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.err == nil {
		r.err = err
	}
	return n, err //nolint:wrapcheck // a writer passes on what it is told
}

// exactArgs is cobra's check with the exit code of wrong usage.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return withCode(exitUsage, "%s takes %s, got %d arguments. See '%s --help'", c.CommandPath(), what, len(args), c.CommandPath())
		}
		return nil
	}
}

func versionCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print drill's version", Args: exactArgs(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(env.Stdout, "drill", version)
			return nil
		},
	}
}
