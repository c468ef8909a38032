package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/report"
)

// reportFormats write a report in each form that --report knows.
var reportFormats = map[string]func(io.Writer, drill.Report) error{
	"json":  report.JSON,
	"junit": func(w io.Writer, r drill.Report) error { return report.JUnit(w, r) },
	"text":  func(w io.Writer, r drill.Report) error { return report.Text(w, r, report.Style{}) },
}

// reportFile is one --report FORMAT=PATH.
type reportFile struct{ format, path string }

// parseReports checks the flags before anything is touched: a report that cannot be written is no reason to have run.
func parseReports(flags []string) ([]reportFile, error) {
	var files []reportFile
	for _, f := range flags {
		format, path, ok := strings.Cut(f, "=")
		if _, known := reportFormats[format]; !ok || !known || path == "" {
			var formats []string
			for name := range reportFormats {
				formats = append(formats, name)
			}
			slices.Sort(formats)
			return nil, withCode(exitUsage, "--report takes FORMAT=PATH, with FORMAT one of %s; not %q", strings.Join(formats, ", "), f)
		}
		dir := filepath.Dir(path)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, withCode(exitUsage, "--report %s: there is no directory %s; make it first", f, dir)
		}
		files = append(files, reportFile{format, path})
	}
	return files, nil
}

// writeReports writes each file whole or not at all.
func writeReports(files []reportFile, r drill.Report) error {
	for _, f := range files {
		tmp, err := os.CreateTemp(filepath.Dir(f.path), ".report-*")
		if err != nil {
			return fmt.Errorf("write report %s: %w", f.path, err)
		}
		defer os.Remove(tmp.Name())
		err = reportFormats[f.format](tmp, r)
		if cerr := tmp.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = os.Chmod(tmp.Name(), 0o644)
		}
		if err == nil {
			err = os.Rename(tmp.Name(), f.path)
		}
		if err != nil {
			return fmt.Errorf("write report %s: %w", f.path, err)
		}
	}
	return nil
}
