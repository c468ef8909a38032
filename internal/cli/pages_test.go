package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// TestTheExperimentThatIsComparedIsValid: whoever copies drill's side of the page can run it, and the others' sides are
// at least whole.
func TestTheExperimentThatIsComparedIsValid(t *testing.T) {
	page, err := os.ReadFile("../../docs/coming-from.md")
	require.NoError(t, err)
	seen := map[string]int{}
	for _, block := range regexp.MustCompile("(?s)\n```(hcl|yaml|json)\n(.*?)\n```").FindAllSubmatch(page, -1) {
		language, text := string(block[1]), block[2]
		seen[language]++
		var content map[string]any
		switch language {
		case "hcl":
			path := filepath.Join(t.TempDir(), "kill-primary.hcl")
			require.NoError(t, os.WriteFile(path, append(text, '\n'), 0o600))
			code, out, errs := call(t, "validate", path)
			require.Zero(t, code, "%s%s", out, errs)
		case "yaml":
			require.NoError(t, yaml.UnmarshalStrict(text, &content), "%s", text)
		default:
			require.NoError(t, json.Unmarshal(text, &content), "%s", text)
		}
	}
	require.Equal(t, map[string]int{"hcl": 1, "yaml": 2, "json": 1}, seen)
}
