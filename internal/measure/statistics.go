package measure

import (
	"math"

	"github.com/failoverdrill/drill/internal/drill"
)

// statistics says what a single run allows one to claim (MEASURING.md, "Statistics"). A p90 takes more than one run.
func statistics(rec *drill.RecoveryReport) *drill.StatisticsReport {
	if rec == nil {
		return nil
	}
	if rec.Outcome == drill.OutcomeNotRecovered {
		return &drill.StatisticsReport{N: 1, NeverRecovered: 1, FailureProbabilityUpper: 1}
	}
	e := rec.Estimate.Estimate
	return &drill.StatisticsReport{N: 1, Mean: new(e), Median: new(e), Max: new(e), FailureProbabilityUpper: failureBound(1)}
}

// failureBound is the highest failure probability that n clean runs leave possible at 95 % confidence.
func failureBound(n int) float64 { return 1 - math.Pow(0.05, 1/float64(n)) }
