package report

import (
	"strings"
	"unicode/utf8"

	"github.com/failoverdrill/drill/internal/drill"
)

// Style says how a terminal is written to.
type Style struct {
	Color bool // with ANSI colours
}

// width is the most columns that a line takes.
const width = 100

type ink string

const (
	plain  ink = ""
	bold   ink = "1"
	dim    ink = "2"
	red    ink = "31"
	green  ink = "32"
	yellow ink = "33"
)

// paint colours a text, if the terminal wants colours.
func (o Style) paint(text string, inks ...ink) string {
	if !o.Color || text == "" {
		return text
	}
	var codes []string
	for _, i := range inks {
		if i != plain {
			codes = append(codes, string(i))
		}
	}
	if len(codes) == 0 {
		return text
	}
	return "\x1b[" + strings.Join(codes, ";") + "m" + text + "\x1b[0m"
}

// clean takes out what a terminal would obey: names and messages come from a cluster that drill does not trust.
func clean(text string) string { return drill.Clean(text) }

// columns is the width of a text without colours.
func columns(text string) int { return utf8.RuneCountInString(text) }

// pad fills a text up to n columns, or cuts it.
func pad(text string, n int) string {
	if columns(text) > n {
		return string([]rune(text)[:n-1]) + "…"
	}
	return text + strings.Repeat(" ", n-columns(text))
}

// right is pad for numbers.
func right(text string, n int) string {
	return strings.Repeat(" ", max(0, n-columns(text))) + text
}

// wrap breaks a text into lines of at most n columns, inside a word only if it is longer than that.
func wrap(text string, n int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(clean(text)) {
		for columns(word) > n {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines, word = append(lines, string([]rune(word)[:n])), string([]rune(word)[n:])
		}
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) <= n:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
