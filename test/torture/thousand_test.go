package torture

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAThousandFiles: what drill adds to parsing is bounded, and so is the memory, because no file is kept.
func TestAThousandFiles(t *testing.T) {
	bins := Build(t, DrillCommand, LimitCommand, ParseCommand)
	few, many := t.TempDir(), t.TempDir()
	Fleet(t, few, 100)
	Fleet(t, many, 1000)
	parse := Run(t, bins[1], many, nil, bins[2], many)
	drill := Run(t, bins[1], many, nil, bins[0], "validate", many)
	small := Run(t, bins[1], few, nil, bins[0], "validate", few)
	require.Zero(t, parse.Code, parse.Stderr)
	require.Zero(t, drill.Code, head(drill.Stderr))
	require.Contains(t, drill.Stdout, "Valid: 1000 drills in 1000 files.")
	t.Logf("1,000 files: %v of CPU and %d MiB; parsing alone %v and %d MiB; 100 files %v and %d MiB",
		drill.CPU, drill.Peak>>20, parse.CPU, parse.Peak>>20, small.CPU, small.Peak>>20)
	require.Less(t, drill.CPU, 5*parse.CPU, "of parsing alone")
	require.Less(t, drill.Peak, int64(128*mebibyte))
	require.Less(t, drill.Peak, small.Peak+32*mebibyte, "ten times the files, and no more memory than that")
}
