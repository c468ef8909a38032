package drill

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestT20Clean: nothing is left that steers a terminal, forges a line or turns the direction of writing.
func TestT20Clean(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ünïcode ✓ · 3 s":          "plain, ünïcode ✓ · 3 s",
		"a\x1b]0;owned\x07b":              "a ]0;owned b",
		"a\r\n  12.0s  PASSED\n":          "a 12.0s PASSED",
		"a\u009b31mb\u202egpj.exe\u2066x": "a 31mb gpj.exe x",
		"a\x9b31mb":                       "a\ufffd31mb",
		"zero\u200bwidth\u2028line\ufeff": "zero width line",
		"\x1b[2J":                         "[2J",
	} {
		require.Equal(t, want, Clean(text))
		require.Equal(t, want, Clean(Clean(text)))
	}
	require.Equal(t, "Error\n  at x\n\ty ]0;", CleanLines("Error\n  at x\n\ty\x1b]0;"))
	require.Equal(t, []string{"a b"}, CleanAll([]string{"a\nb"}))
	require.Nil(t, CleanAll(nil))
}
