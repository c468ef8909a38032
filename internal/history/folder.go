package history

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// Folder keeps reports of runs on this machine, one file for each, and their details beside them: what somebody has run
// stays readable when the cluster is gone.
type Folder string

// DefaultFolder is where a user's history is kept, by the rules of the XDG base directories.
func DefaultFolder(getenv func(string) string) (Folder, error) {
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return Folder(filepath.Join(state, "drill", "history")), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("there is no place for the local history: neither XDG_STATE_HOME nor HOME is set")
	}
	return Folder(filepath.Join(home, ".local", "state", "drill", "history")), nil
}

// isID keeps a run's id from being a path.
var isID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Save stores a report, whole or not at all. Only the user may read it: it names what is in a cluster.
func (f Folder) Save(rep drill.Report) error {
	raw, err := json.Marshal(rep)
	if err != nil {
		return fmt.Errorf("store run %s in the local history: %w", rep.Run.ID, err)
	}
	return f.write(rep.Run.ID, ".json", raw)
}

// DetailExt is the extension of a file that holds a run's detail.
const DetailExt = ".detail"

// SaveDetail stores a run's detail beside its report.
func (f Folder) SaveDetail(run string, raw []byte) error { return f.write(run, DetailExt, raw) }

// Detail reads a run's detail; an error for which errors.Is(err, fs.ErrNotExist) holds when there is none.
func (f Folder) Detail(run string) ([]byte, error) {
	if !isID.MatchString(run) {
		return nil, fmt.Errorf("read the detail of run %q: this is no run's id", run)
	}
	raw, err := os.ReadFile(filepath.Join(string(f), run+DetailExt))
	if err != nil {
		return nil, fmt.Errorf("read the detail of run %s: %w", run, err)
	}
	return raw, nil
}

func (f Folder) write(run, ext string, raw []byte) error {
	if !isID.MatchString(run) {
		return fmt.Errorf("store run %q in the local history: this is no run's id", run)
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("store run %s in the local history: %w", run, err)
	}
	tmp, err := os.CreateTemp(string(f), ".new-*")
	if err != nil {
		return fmt.Errorf("store run %s in the local history: %w", run, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(raw)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(string(f), run+ext))
	}
	if err != nil {
		return fmt.Errorf("store run %s in the local history: %w", run, err)
	}
	return nil
}

// List reads all reports, the newest first. A file that cannot be read is named in problems, and no reason to show none.
func (f Folder) List() (reports []drill.Report, problems []string, err error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the local history: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || filepath.Ext(entry.Name()) != ".json" {
			continue
		}
		path := filepath.Join(string(f), entry.Name())
		raw, err := os.ReadFile(path)
		var rep drill.Report
		if err == nil {
			err = json.Unmarshal(raw, &rep)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", path, err))
			continue
		}
		reports = append(reports, rep)
	}
	slices.SortFunc(reports, func(a, b drill.Report) int {
		return cmp.Or(b.Run.Started.Compare(a.Run.Started), cmp.Compare(b.Run.ID, a.Run.ID))
	})
	return reports, problems, nil
}
