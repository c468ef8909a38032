package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// DidYouMean is a sentence with the known name that is nearest to the given one, or with all of them when none is
// near. It begins with a space, and is empty when there is nothing to say.
func DidYouMean(given string, known []string) string {
	known = slices.Clone(known)
	slices.Sort(known)
	best, bestAt := "", 1+len([]rune(given))/3
	for _, k := range known {
		at := levenshtein.Distance(given, k, nil)
		if given != "" && strings.HasPrefix(k, given) {
			at = 1
		}
		if at < bestAt || at == bestAt && best == "" {
			best, bestAt = k, at
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(" Did you mean %q?", best)
	case len(known) == 0:
		return ""
	default:
		return " Known are: " + strings.Join(known, ", ") + "."
	}
}
