package drillfile

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// A problem is there to be read, however long the names, the values and the lines are that it tells of.
const (
	maxLine   = 400  // bytes of a line of the file; of a longer one a window is shown
	window    = 80   // bytes before the place and at most that many behind it
	maxWord   = 120  // characters of a word, a name or a value
	maxOutput = 1000 // bytes of any line that is written
)

// short is a text with an ellipsis for the middle of what is too long.
func short(text string, most int) string {
	if len(text) <= most || utf8.RuneCountInString(text) <= most {
		return text
	}
	runes := []rune(text)
	return string(runes[:most*2/3]) + "…" + string(runes[len(runes)-most/3:])
}

// shortWords shortens every word by itself, so that a sentence stays one.
func shortWords(text string) string {
	if len(text) <= maxWord {
		return text
	}
	words := strings.Split(text, " ")
	for i, w := range words {
		words[i] = short(w, maxWord)
	}
	return strings.Join(words, " ")
}

// shortLines cuts the lines of an output that are still too long, such as those with values.
func shortLines(text string, color bool) string {
	if len(text) <= maxOutput {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if len(line) > maxOutput {
			lines[i] = strings.ToValidUTF8(line[:maxOutput], "") + "…"
			if color {
				lines[i] += "\x1b[0m"
			}
		}
	}
	return strings.Join(lines, "\n")
}

// narrow is a diagnostic and its source as they are shown: without the rest of what goes over too many lines, and with a
// window of a line that is too long.
func narrow(files map[string]*hcl.File, d *hcl.Diagnostic) (map[string]*hcl.File, *hcl.Diagnostic) {
	if d.Subject == nil || files[d.Subject.Filename] == nil {
		return files, d
	}
	file := files[d.Subject.Filename]
	line, before, within := sourceLine(file.Bytes, *d.Subject)
	over := *d.Subject
	if d.Context != nil {
		over = hcl.RangeOver(over, *d.Context)
	}
	if over.End.Byte-over.Start.Byte <= maxSnippet && len(line) <= maxLine {
		return files, d
	}
	shown, at := *d, *d.Subject
	shown.Context = nil
	at.End.Byte = at.Start.Byte + len(within)
	shown.Subject = &at
	if len(line) <= maxLine {
		return files, &shown
	}
	head, place, tail := before, within, line[len(before)+len(within):]
	if len(head) > window {
		head = "…" + strings.ToValidUTF8(head[len(head)-window:], "")
	}
	if len(place) > window {
		place = strings.ToValidUTF8(place[:window], "") + "…"
	}
	if len(tail) > window {
		tail = strings.ToValidUTF8(tail[:window], "") + "…"
	}
	narrowed := &hcl.File{Nav: where{file.Nav, at.Start.Byte}}
	narrowed.Bytes = append(bytes.Repeat([]byte("\n"), at.Start.Line-1), head+place+tail+"\n"...)
	at.Start.Byte = at.Start.Line - 1 + len(head)
	at.End = at.Start
	at.End.Byte += len(place)
	return map[string]*hcl.File{at.Filename: narrowed}, &shown
}

// where says in which block a place is, whose offset is another one in what is shown.
type where struct {
	nav    any
	offset int
}

// ContextString is asked for by HCL's writer.
func (w where) ContextString(int) string { return contextOf(w.nav, w.offset) }

// contextOf is the head of the block that an offset is in.
func contextOf(nav any, offset int) string {
	if n, ok := nav.(interface{ ContextString(int) string }); ok {
		return shortWords(n.ContextString(offset))
	}
	return ""
}
