package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/schema"
)

// pageWidth is the most columns that a line of reference takes; what is there to be copied is never wrapped.
const pageWidth = 80

// showKindList prints a sentence for each kind, by type of block.
func showKindList(w io.Writer, rows []kindRow) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r.Name))
	}
	first := true
	for _, block := range kindBlocks {
		some := ofBlock(rows, block)
		if len(some) == 0 {
			continue
		}
		if !first {
			fmt.Fprintln(w)
		}
		first = false
		fmt.Fprintf(w, "%ss\n", strings.ToUpper(block[:1])+block[1:])
		for _, r := range some {
			hang(w, fmt.Sprintf("  %-*s  ", width, r.Name), r.Doc)
		}
	}
	fmt.Fprintf(w, "\nMore of one: drill kinds %s\n", rows[0].Name)
}

// showKinds prints all there is to say of each kind. There is more than one only where kinds of different blocks have the
// same name.
func showKinds(w io.Writer, rows []kindRow) {
	for i, r := range rows {
		if i > 0 {
			fmt.Fprintf(w, "\n%s\n\n", strings.Repeat("─", pageWidth))
		}
		showKind(w, r)
	}
}

func showKind(w io.Writer, r kindRow) {
	fmt.Fprintf(w, "%s %q\n\n", r.Block, r.Name)
	hang(w, "", r.Doc)

	fmt.Fprint(w, "\nArguments\n")
	showArguments(w, r.Table.Arguments, "  ")

	if len(r.Attributes) > 0 {
		fmt.Fprintf(w, "\nLive values, for conditions: %s.NAME.%s and so on\n\n", r.Block, r.Attributes[0].Name)
		width := 0
		for _, name := range schema.Names(r.Attributes) {
			width = max(width, len(name))
		}
		for _, a := range r.Attributes {
			hang(w, fmt.Sprintf("  %-*s  ", width, a.Name), a.Doc+ofAttribute(a))
		}
	}

	fmt.Fprint(w, "\nRights in the cluster that the runner needs\n\n")
	rights := rightsOf(r.Permissions())
	width := 0
	for _, right := range rights {
		width = max(width, len(strings.Join(right.verbs, ", ")))
	}
	for _, right := range rights {
		fmt.Fprintf(w, "  %-*s  %s %s\n", width, strings.Join(right.verbs, ", "), right.resource, right.where)
	}
	if len(rights) == 0 {
		fmt.Fprintln(w, "  none")
	}

	fmt.Fprint(w, "\nExample\n\n")
	for line := range strings.Lines(r.Example) {
		fmt.Fprintf(w, "  %s", line)
	}
	fmt.Fprintf(w, "\nMore: %s\n", r.page())
}

func showArguments(w io.Writer, arguments []schema.Argument, indent string) {
	for i, a := range arguments {
		fmt.Fprintln(w)
		hangAt(w, indent, len(indent)+4, a.Name+": "+ofArgument(a))
		hang(w, indent+"    ", a.Doc)
		switch like := sameFields(arguments[:i], a); {
		case like != "":
			hang(w, indent+"    ", fmt.Sprintf("Its fields are those of %s.", like))
		case len(a.Fields) > 0:
			showArguments(w, a.Fields, indent+"    ")
		}
	}
}

// sameFields is the name of an earlier argument that has the same fields, so that they need not be told again.
func sameFields(before []schema.Argument, a schema.Argument) string {
	words := func(fields []schema.Argument) string {
		var b strings.Builder
		for _, f := range fields {
			fmt.Fprintf(&b, "%s\t%s\t%s\n", f.Name, ofArgument(f), f.Doc)
		}
		return b.String()
	}
	for _, b := range before {
		if len(a.Fields) > 0 && words(a.Fields) == words(b.Fields) {
			return b.Name
		}
	}
	return ""
}

// ofArgument is what an argument may be, in a few words.
func ofArgument(a schema.Argument) string {
	parts := []string{a.Type}
	add := func(ok bool, text string) {
		if ok {
			parts = append(parts, text)
		}
	}
	add(len(a.Values) > 0, inQuotes(a.Values, " or "))
	add(bounds(a) != "", bounds(a))
	add(a.Required, "required")
	add(a.Default != "", byDefault(a.Default))
	add(a.Sensitive, "may hold a secret")
	add(len(a.Later) > 0, "not available yet: "+inQuotes(a.Later, ", "))
	return strings.Join(parts, "; ")
}

// byDefault tells a value from words that describe what happens.
func byDefault(text string) string {
	if first, _ := utf8.DecodeRuneInString(text); unicode.IsLower(first) && text != "true" && text != "false" {
		return "default: " + text
	}
	return "default " + text
}

func bounds(a schema.Argument) string {
	switch {
	case a.Least == "":
		return ""
	case a.Most == "":
		return a.Least + " or more"
	}
	return a.Least + " to " + a.Most
}

// ofAttribute is what a live value can be, where that is not a number of any size.
func ofAttribute(a schema.Attribute) string {
	switch {
	case a.Type == cty.Bool:
		return " True or false."
	case a.Least != nil && a.Most != nil:
		return fmt.Sprintf(" From %g to %g.", *a.Least, *a.Most)
	}
	return ""
}

func inQuotes(words []string, between string) string {
	all := make([]string, 0, len(words))
	for _, word := range words {
		all = append(all, fmt.Sprintf("%q", word))
	}
	return strings.Join(all, between)
}

// hang prints a paragraph whose first line begins with the head, and whose others begin below its end.
func hang(w io.Writer, head, text string) { hangAt(w, head, utf8.RuneCountInString(head), text) }

func hangAt(w io.Writer, head string, indent int, text string) {
	line, used := head, 0
	for word := range strings.FieldsSeq(text) {
		if used > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > pageWidth {
			fmt.Fprintln(w, line)
			line, used = strings.Repeat(" ", indent), 0
		}
		if used > 0 {
			line += " "
		}
		line += word
		used++
	}
	fmt.Fprintln(w, line)
}
