package drill

import (
	"strings"
	"unicode"
)

// Clean makes one line of a text that drill did not write itself: an answer of a database, an event of Kubernetes, a name in
// a record. What a terminal obeys, or what makes a text look like another one, becomes a space: control characters, the
// marks that turn the direction of writing, line breaks. Runs of spaces become one. Clean text stays as it is.
func Clean(text string) string {
	return strings.Join(strings.Fields(strings.Map(harmless, text)), " ")
}

// CleanLines is Clean for a text of several lines, which drill laid out itself: line breaks and spaces stay.
func CleanLines(text string) string {
	return strings.Map(func(c rune) rune {
		switch c {
		case '\n', '\t':
			return c
		}
		return harmless(c)
	}, text)
}

// CleanAll cleans every text of a list. It returns a new list, and nil for none.
func CleanAll(texts []string) []string {
	var all []string
	for _, t := range texts {
		all = append(all, Clean(t))
	}
	return all
}

func harmless(c rune) rune {
	if unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) {
		return ' '
	}
	return c
}
