package drillfile

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// causes drops what the parser says only because of a problem that it has told before: of a quote that is not closed it
// complains on every line that follows, and of a character that it does not know in several ways.
func causes(src []byte, diags hcl.Diagnostics) hcl.Diagnostics {
	diags = tidy(diags)
	var kept hcl.Diagnostics
	told := map[int]bool{}    // lines
	unknown := map[int]bool{} // lines with a character that HCL does not know
	for _, d := range diags {
		if d.Summary == "Invalid character" && d.Subject != nil {
			unknown[d.Subject.Start.Line] = true
		}
	}
	for _, d := range diags {
		if d.Subject == nil {
			kept = append(kept, d)
			continue
		}
		line := d.Subject.Start.Line
		if unknown[line] && (told[line] || d.Summary != "Invalid character") {
			continue
		}
		d.Detail += hint(d, src)
		open := d.Summary == "Invalid multi-line string" || d.Summary == "Unterminated template string"
		if !open || !told[line] {
			kept = append(kept, d)
		}
		if told[line] = true; open {
			break // what follows was read as text, or was text and is read as something else
		}
	}
	return kept
}

const hintEquals = " If an argument is meant, it takes an equals sign"

// hint says what to write instead, where HCL only says that it cannot read on.
func hint(d *hcl.Diagnostic, src []byte) string {
	line, before, at := sourceLine(src, *d.Subject)
	switch d.Summary {
	case "Missing newline after argument":
		switch at {
		case "=":
			return " To compare two values, write ==."
		case "and":
			return " Write && where both must be true."
		case "or":
			return " Write || where one must be true."
		}
	case "Argument or block definition required":
		switch {
		case at == "}":
			return " This closing brace is one too many, or an earlier one is in the wrong place."
		case at == "{" && len(bytes.TrimSpace(src[:d.Subject.Start.Byte])) == 0:
			return " Drill files are not JSON. Write a block such as drill \"kill-primary\" { … }."
		}
	case "Invalid block definition":
		words := strings.Fields(before)
		if len(words) == 2 && hclsyntax.ValidIdentifier(words[0]) && strings.HasPrefix(words[1], `"`) && !strings.Contains(line, "{") {
			return fmt.Sprintf(hintEquals+": %s = %s.", words[0], words[1])
		}
	}
	return ""
}

// withoutDots points to a name, and not to the dot before it.
func withoutDots(path string, src []byte, diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		at := d.Subject
		if at == nil || at.Filename != path || at.End.Byte-at.Start.Byte < 2 || at.Start.Byte < 0 || at.End.Byte > len(src) || src[at.Start.Byte] != '.' {
			continue
		}
		name := *at
		name.Start.Byte++
		name.Start.Column++
		d.Subject = &name
	}
	return diags
}
