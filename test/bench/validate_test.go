//go:build bench

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/test/torture"
)

// TestValidate measures what a call of drill validate on 1,000 generated drill files takes, beside a process that only
// parses the same bytes.
func TestValidate(t *testing.T) {
	const files = 1000
	bins := torture.Build(t, torture.DrillCommand, torture.LimitCommand, torture.ParseCommand)
	dir := t.TempDir()
	torture.Fleet(t, dir, files)
	var measured []pair
	var peak int64
	for range rounds {
		drill := torture.Run(t, bins[1], dir, nil, bins[0], "validate", dir)
		require.Zero(t, drill.Code, drill.Stderr)
		parse := torture.Run(t, bins[1], dir, nil, bins[2], dir)
		require.Zero(t, parse.Code, parse.Stderr)
		measured = append(measured, pair{float64(drill.CPU), float64(parse.CPU)})
		peak = max(peak, drill.Peak)
	}
	drill, parse := columns(measured)
	results.add(row{"CPU of validating 1,000 drill files, each", micros(median(drill) / files), "hclparse alone, " + micros(median(parse)/files), spread(measured),
		met(fmt.Sprintf("≤ 1 s for all (%s)", time.Duration(median(drill)).Round(time.Millisecond)), median(drill) <= float64(time.Second))})
	results.add(row{"memory of validating them", mebibytes(peak), "", "", met("≤ 128 MiB", peak <= 128<<20)})
}
