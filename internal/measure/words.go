package measure

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// say writes a length of time for people, to the millisecond.
func say(s drill.Seconds) string {
	if s == drill.Never() {
		return "never"
	}
	text := strconv.FormatFloat(float64(s), 'f', 3, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " s"
}

// plural counts things for people.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// sorted lists a map's keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
