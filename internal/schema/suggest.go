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
	if best := Nearest(given, known); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	if len(known) == 0 || len(known) > maxCompared {
		return ""
	}
	known = slices.Clone(known)
	slices.Sort(known)
	return " Known are: " + strings.Join(known, ", ") + "."
}

// maxCompared bounds how many names are compared, and how long they are, because comparing is quadratic: no one reads a
// suggestion among thousands, and a file may hold as many mistakes.
const maxCompared = 200

// Nearest is the known name that was probably meant; "" when none is near, or when there are too many.
func Nearest(given string, known []string) string {
	if len(given) > maxCompared || len(known) > maxCompared {
		return ""
	}
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
	return best
}
