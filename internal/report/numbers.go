package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

func never(s drill.Seconds) bool { return math.IsInf(float64(s), 1) }

// number writes seconds to the hundredth, which is what 50 Hz resolve; less than a tenth to the millisecond.
func number(s drill.Seconds) string {
	digits := 2
	switch {
	case never(s):
		return "never"
	case s == 0:
		return "0"
	case s < 0.1:
		digits = 3
	}
	return strconv.FormatFloat(float64(s), 'f', digits, 64)
}

func seconds(s drill.Seconds) string {
	if never(s) {
		return "never"
	}
	return number(s) + " s"
}

// precise writes seconds as exactly as they are judged, so that a number just over its limit does not look equal to it.
func precise(s drill.Seconds) string {
	if never(s) {
		return "never"
	}
	text := strconv.FormatFloat(float64(s), 'f', 3, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " s"
}

func known(s *drill.Seconds) string {
	if s == nil {
		return "unknown"
	}
	return seconds(*s)
}

func millis(s *drill.Seconds) string {
	if s == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", 1000*float64(*s))
}

// bounds writes an interval that holds the truth.
func bounds(b *drill.Bounds) string {
	switch {
	case b == nil:
		return "unknown"
	case never(b.Upper):
		return "never"
	case b.Lower == 0:
		return "at most " + seconds(b.Upper)
	}
	return fmt.Sprintf("%s to %s", number(b.Lower), seconds(b.Upper))
}

func estimate(e drill.Estimate) string {
	if never(e.Estimate) {
		return "never"
	}
	return seconds(e.Estimate) + interval(e)
}

// interval is the error bar of an estimate.
func interval(e drill.Estimate) string {
	return fmt.Sprintf("  [%s, %s]", number(e.Lower), number(e.Upper))
}

func plural(n int, one string) string {
	switch n {
	case 0:
		return "no " + one
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
