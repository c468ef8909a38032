//go:build bench

package scale

import (
	"context"

	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
)

func settle(runs *kube.Runs, run *kube.DrillRun) error {
	return runs.Settle(context.Background(), run, history.Summarize(run))
}
