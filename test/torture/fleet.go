package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Drill is one of a fleet's drill files, as a platform team would keep them: a file for each service, alike in form and
// different in every name and number.
func Drill(i int) string {
	if i%3 == 2 {
		return fill(deploymentDrill, i)
	}
	return fill(databaseDrill, i)
}

// Fleet writes n drill files into a directory, and the values that they share.
func Fleet(tb testing.TB, dir string, n int) {
	tb.Helper()
	for i := range n {
		require.NoError(tb, os.WriteFile(filepath.Join(dir, fmt.Sprintf("service-%04d.hcl", i)), []byte(Drill(i)), 0o600))
	}
}

// Plain is a file without a fault in it, of up to so many bytes: many drills of a fleet in one.
func Plain(size int) string {
	var b strings.Builder
	for i := 0; ; i++ {
		d := fill(plainDrill, i)
		if b.Len()+len(d) > size {
			return b.String()
		}
		b.WriteString(d)
	}
}

func fill(text string, i int) string {
	return strings.NewReplacer(
		"@N", fmt.Sprintf("%04d", i), "@TEAM", []string{"payments", "search", "identity", "logistics"}[i%4],
		"@SECONDS", fmt.Sprint(30+i%60), "@RATE", fmt.Sprint(10+i%40), "@HOUR", fmt.Sprint(6+i%12), "@DAY", fmt.Sprint(1+i%28),
	).Replace(text)
}
