package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/report"
)

func exportCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var format, kind string
	var local bool
	c := &cobra.Command{
		Use: "export RUN", Short: "Write a run's history of operations, for a checker of consistency",
		Long: `Write what clients did and were answered in a run that is over, as Jepsen writes histories, so that Elle or Knossos can judge it.
RUN is its id, the beginning of it if no other run's begins so, "last", or a file with a detail.

  register  the register's reads, writes and compare-and-sets   elle-cli --model rw-register
  bank      transfers between accounts, and all balances        elle-cli --model bank --allow-negative-balances
  set       the ledger's writes, and what there was in the end  elle-cli --model set

A run has the first two when its drill asks for register_violations and sum_violations.`,
		Example: `  drill export last --history register > register.edn
  drill export ~/.local/state/drill/history/2026-11-21t10-04-05z-kill-primary-7f3a.detail --history set`,
		Args: exactArgs(1, "one run"),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "edn" {
				return withCode(exitUsage, "--format takes edn, not %q", format)
			}
			if !slices.Contains(report.Histories(), kind) {
				return withCode(exitUsage, "--history takes one of %s, not %q", strings.Join(report.Histories(), ", "), kind)
			}
			raw, err := findDetail(c.Context(), env, cluster, args[0], local)
			if err != nil {
				return err
			}
			rec, err := detail.Read(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			err = report.EDN(env.Stdout, rec, kind)
			if _, none := errors.AsType[report.ErrNoHistory](err); none {
				return withCode(exitUsage, "this run recorded no history of the kind %s; ask for it by an objective, or export another: %s", kind, strings.Join(report.Histories(), ", "))
			}
			return err
		},
	}
	cluster.add(c)
	c.Flags().StringVar(&format, "format", "edn", "edn")
	c.Flags().StringVar(&kind, "history", report.HistoryRegister, strings.Join(report.Histories(), ", "))
	c.Flags().BoolVar(&local, "local", false, "from this machine's own history; needs no cluster")
	return c
}

// findDetail is the detail that a user means.
func findDetail(ctx context.Context, env *Env, cluster clusterFlags, meant string, local bool) ([]byte, error) {
	switch {
	case isDetailFile(meant):
		raw, err := os.ReadFile(meant)
		if err != nil {
			return nil, withCode(exitUsage, "read %s: %w", meant, cause(err))
		}
		return raw, nil
	case local:
		_, raw, err := localDetail(ctx, env, meant)
		return raw, err
	}
	_, raw, err := clusterDetail(ctx, cluster, meant)
	return raw, err
}
