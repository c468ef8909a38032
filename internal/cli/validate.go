package cli

import (
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

func validateCommand(env *Env) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "validate [PATH...]",
		Short: "Check drill files; every problem at once, without a cluster",
		Long: `Check the drill files that are named, or those in the directories that are named (default: the current one).
No cluster is asked. The exit code is 0 when all are valid, and 4 when one is not.`,
		Example: "  drill validate drills\n  drill validate --output json drills/kill-primary.hcl",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			return validate(env, args, output)
		},
	}
	outputFlag(c, &output)
	return c
}

func validate(env *Env, paths []string, output string) error {
	names, err := drillFiles(paths)
	if err != nil {
		return err
	}
	files := map[string]*hcl.File{}
	var diags hcl.Diagnostics
	var drills []*drill.Drill
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			return withCode(exitUsage, "read %s: %w", name, cause(err))
		}
		file, found := drillfile.Load(name, src, fileKinds(), drillfile.Inputs{Partial: true})
		maps.Copy(files, file.Files)
		diags = append(diags, found...)
		drills = append(drills, file.Drills...)
	}
	if output == outputJSON {
		raw, err := drillfile.JSON(files, diags)
		if err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
		fmt.Fprintf(env.Stdout, "%s\n", raw)
	} else {
		showDiagnostics(env, files, diags)
	}
	if diags.HasErrors() {
		return silent{exitInvalidFile}
	}
	if output != outputJSON {
		fmt.Fprintf(env.Stdout, "Valid: %s in %s.\n", count(len(drills), "drill"), count(len(names), "file"))
		for _, d := range drills {
			showTimes(env.Stdout, d, time.Now())
		}
	}
	return nil
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
