package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/report"
)

// reportFormats write reports in each form that --report knows: those of several trials, or one. A form that shows one
// run shows the last, whose statistics cover them all.
var reportFormats = map[string]func(io.Writer, ...drill.Report) error{
	"json":  func(w io.Writer, rs ...drill.Report) error { return report.JSON(w, rs[len(rs)-1]) },
	"junit": report.JUnit,
	"text":  func(w io.Writer, rs ...drill.Report) error { return report.Text(w, rs[len(rs)-1], report.Style{}) },
}

// trialInPath stands for a trial's number in the path of --report.
const trialInPath = "{trial}"

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

// writeReports writes each file, of the last trial and those before it.
func writeReports(files []reportFile, trials []drill.Report) error {
	for _, f := range files {
		reports, path := trials, f.path
		if strings.Contains(filepath.Base(path), trialInPath) {
			reports = trials[len(trials)-1:]
			path = filepath.Join(filepath.Dir(path), strings.ReplaceAll(filepath.Base(path), trialInPath, strconv.Itoa(reports[0].Run.Trial)))
		}
		if err := writeReport(path, f.format, reports); err != nil {
			return fmt.Errorf("write report %s: %w", path, err)
		}
	}
	return nil
}

// writeReport writes a file whole or not at all.
func writeReport(path, format string, reports []drill.Report) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = reportFormats[format](tmp, reports...)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}
