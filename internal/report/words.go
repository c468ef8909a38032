package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// Seconds writes a length of time as the report does; what never happened is never.
func Seconds(s drill.Seconds) string { return seconds(s) }

// Estimate writes a measured length of time with its error bar.
func Estimate(e drill.Estimate) string { return estimate(e) }

// FreshDiffers reports whether new connections fared so differently that the headline cannot stand for them.
func FreshDiffers(rec *drill.RecoveryReport) bool { return freshDiffers(rec) }

// Bounds writes an interval that holds the truth; without one it is unknown.
func Bounds(b *drill.Bounds) string { return bounds(b) }

// Clean takes out what a terminal would obey.
func Clean(text string) string { return clean(text) }

// Wrap breaks a text into lines of at most n columns, and takes out what a terminal would obey.
func Wrap(text string, n int) []string { return wrap(text, n) }

// longestValue is how much of a variable's value a line for people shows.
const longestValue = 60

// Variables writes the values that variables were given, which are JSON, in the order of their names.
func Variables[V ~string | ~[]byte](values map[string]V) string {
	hidden, _ := json.Marshal(drill.Sensitive("")) // it always says the same
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := clean(string(values[name]))
		if value == string(hidden) {
			value = drill.Sensitive("").String()
		}
		if columns(value) > longestValue {
			value = pad(value, longestValue)
		}
		all = append(all, fmt.Sprintf("%s = %s", clean(name), value))
	}
	return strings.Join(all, ", ")
}
