package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheThreatModelNamesTests: a row without a test, or with one that is gone, promises what nobody holds.
func TestTheThreatModelNamesTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/threat-model.md")
	require.NoError(t, err)
	there := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "../.." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, found := range function.FindAllStringSubmatch(string(source), -1) {
			there[found[1]] = true
		}
		return err
	}))
	rows := 0
	name := regexp.MustCompile("`(Test\\w+)`")
	for line := range strings.Lines(string(text)) {
		if !regexp.MustCompile(`^\| T\d+ \|`).MatchString(line) {
			continue
		}
		rows++
		cells := strings.Split(strings.TrimSpace(line), "|")
		last := cells[len(cells)-2]
		if strings.TrimSpace(last) == "not held yet" {
			continue
		}
		named := name.FindAllStringSubmatch(last, -1)
		require.NotEmpty(t, named, "no test: %s", line)
		for _, n := range named {
			require.True(t, there[n[1]], "there is no %s, which docs/threat-model.md names", n[1])
		}
	}
	require.Equal(t, 21, rows)
}
