package drillfile

import (
	"fmt"
	"regexp"

	"github.com/hashicorp/hcl/v2"

	"github.com/failoverdrill/drill/internal/drill"
)

// bareDuration is a number with a unit, at the end of what stands before the unit.
var bareDuration = regexp.MustCompile(`[0-9]+(\.[0-9]+)?$`)

var unit = regexp.MustCompile(`^[a-zµ]+([0-9.]+[a-zµ]+)*`)

// plainer puts HCL's words for mistakes of a newcomer into those of drills, and says each once.
func plainer(src []byte, diags hcl.Diagnostics) hcl.Diagnostics {
	characters := map[int]bool{} // places of characters that HCL has not
	for _, d := range diags {
		if d.Summary == "Invalid character" {
			characters[offset(d)] = true
		}
	}
	var kept hcl.Diagnostics
	for _, d := range diags {
		if d.Summary == "Invalid expression" && characters[offset(d)] {
			continue
		}
		if better := durationWithoutQuotes(src, d); better != nil {
			d = better
		}
		kept = append(kept, d)
	}
	return kept
}

// durationWithoutQuotes recognises 30s, which HCL takes for a number and a word too many.
func durationWithoutQuotes(src []byte, d *hcl.Diagnostic) *hcl.Diagnostic {
	if d.Subject == nil || d.Subject.Start.Byte > len(src) {
		return nil
	}
	line, before, _ := sourceLine(src, *d.Subject)
	number := bareDuration.FindString(before)
	text := number + unit.FindString(line[len(before):])
	if _, err := drill.ParseDuration(text); err != nil || number == "" || text == number {
		return nil
	}
	at := *d.Subject
	at.Start.Byte -= len(number)
	at.Start.Column -= len(number)
	at.End = at.Start
	at.End.Byte += len(text)
	at.End.Column += len([]rune(text))
	return problem(at, "Duration without quotes", fmt.Sprintf("A duration is a text. Write it in quotes: %q.", text))
}
