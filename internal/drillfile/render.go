package drillfile

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/mattn/go-runewidth"
)

// Render writes diagnostics for people, wrapped at width; 0 does not wrap. With color the place is underlined, without
// it a line of carets points to it.
func Render(w io.Writer, files map[string]*hcl.File, diags hcl.Diagnostics, width int, color bool) error {
	for _, d := range diags {
		var b bytes.Buffer
		files, d := narrow(tame(files, d))
		if err := hcl.NewDiagnosticTextWriter(&b, upTo(files, d), uint(max(width, 0)), color).WriteDiagnostic(d); err != nil {
			return fmt.Errorf("render a diagnostic: %w", err)
		}
		text := b.String()
		if !color {
			text = withCarets(text, files, d)
		}
		if _, err := io.WriteString(w, shortLines(text, color)); err != nil {
			return fmt.Errorf("write a diagnostic: %w", err)
		}
	}
	return nil
}

// tame takes from the names of files what would steer a terminal: whoever made a file chose its name.
func tame(files map[string]*hcl.File, d *hcl.Diagnostic) (map[string]*hcl.File, *hcl.Diagnostic) {
	shown := *d
	shown.Detail = uncontrolled(d.Detail) // it may name another file
	if d.Subject == nil {
		return files, &shown
	}
	at := *d.Subject
	at.Filename = uncontrolled(at.Filename)
	shown.Subject = &at
	if d.Context != nil {
		over := *d.Context
		over.Filename = at.Filename
		shown.Context = &over
	}
	if f := files[d.Subject.Filename]; f != nil && at.Filename != d.Subject.Filename {
		files = map[string]*hcl.File{at.Filename: f}
	}
	return files, &shown
}

// uncontrolled is a text whose control characters can be seen, and do nothing.
func uncontrolled(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// upTo cuts the diagnostic's source off behind it, because HCL's writer goes through every line for each diagnostic.
func upTo(files map[string]*hcl.File, d *hcl.Diagnostic) map[string]*hcl.File {
	if d.Subject == nil || files[d.Subject.Filename] == nil {
		return files
	}
	file := *files[d.Subject.Filename]
	end := d.Subject.End.Byte
	if d.Context != nil {
		end = max(end, d.Context.End.Byte)
	}
	if end = max(end, 0); end < len(file.Bytes) {
		if i := bytes.IndexByte(file.Bytes[end:], '\n'); i >= 0 {
			file.Bytes = file.Bytes[:end+i+1]
		}
	}
	return map[string]*hcl.File{d.Subject.Filename: &file}
}

// withCarets puts a line of carets under the subject's first line.
func withCarets(text string, files map[string]*hcl.File, d *hcl.Diagnostic) string {
	if d.Subject == nil || files[d.Subject.Filename] == nil {
		return text
	}
	line, before, at := sourceLine(files[d.Subject.Filename].Bytes, *d.Subject)
	shown := fmt.Sprintf("%4d: %s\n", d.Subject.Start.Line, line)
	i := strings.Index(text, shown)
	if i < 0 {
		return text
	}
	indent := under(before, " ")
	number := strings.Repeat(" ", len(fmt.Sprintf("%4d: ", d.Subject.Start.Line)))
	carets := number + indent + pointers(at) + "\n"
	i += len(shown)
	return text[:i] + carets + text[i:]
}

func pointers(at string) string {
	if at == "" {
		return "^"
	}
	return under(at, "^")
}

// under repeats a mark as wide as the text is on a terminal. Tabs stay, because how wide they are is the terminal's choice.
func under(text, mark string) string {
	columns := runewidth.Condition{StrictEmojiNeutral: true} // and not what the locale says of ambiguous characters
	parts := strings.Split(text, "\t")
	for i, p := range parts {
		parts[i] = strings.Repeat(mark, columns.StringWidth(p))
	}
	return strings.Join(parts, "\t")
}

// sourceLine is the line on which a range begins, its part before the range, and its part within.
func sourceLine(src []byte, at hcl.Range) (line, before, within string) {
	start, end := min(max(at.Start.Byte, 0), len(src)), min(max(at.End.Byte, 0), len(src))
	from := bytes.LastIndexByte(src[:start], '\n') + 1
	to := len(src)
	if i := bytes.IndexByte(src[start:], '\n'); i >= 0 {
		to = start + i
	}
	full := strings.TrimSuffix(string(src[from:to]), "\r")
	head := min(start-from, len(full))
	tail := min(max(end-from, head), len(full))
	return full, full[:head], full[head:tail]
}
