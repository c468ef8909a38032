// Package report shows a run's report to people and to programs; every form is a view of the same structure.
package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/failoverdrill/drill/internal/drill"
)

// JSON writes the report as REPORT.md describes it, indented.
func JSON(w io.Writer, r drill.Report) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // texts say "<" where they mean it
	e.SetIndent("", "  ")
	if err := e.Encode(r.JSON()); err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	return nil
}
