package report

import "github.com/failoverdrill/drill/internal/drill"

// Seconds writes a length of time as the report does; what never happened is never.
func Seconds(s drill.Seconds) string { return seconds(s) }

// Estimate writes a measured length of time with its error bar.
func Estimate(e drill.Estimate) string { return estimate(e) }

// Bounds writes an interval that holds the truth; without one it is unknown.
func Bounds(b *drill.Bounds) string { return bounds(b) }

// Clean takes out what a terminal would obey.
func Clean(text string) string { return clean(text) }

// Wrap breaks a text into lines of at most n columns, and takes out what a terminal would obey.
func Wrap(text string, n int) []string { return wrap(text, n) }
