package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/child"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
)

// Bounds of what a reader says of a file, in bytes, and of how many drills of one file are scheduled.
const (
	maxProblem   = 8 << 10
	maxShown     = 16 << 10
	maxScheduled = 64
	maxWords     = 1 << 16  // and signs and lines: they fit into child.Memory
	maxVariables = 16 << 10 // bytes, of all variables of a scheduled file: its runs and the book of schedules hold them
)

// readTask is what the server asks a reader: one of them is set.
type readTask struct {
	Run      *readRun       `json:"run,omitempty"`
	Schedule *server.Source `json:"schedule,omitempty"`
}

type readRun struct {
	Spec   kube.Spec    `json:"spec"`
	Inputs drill.Inputs `json:"inputs"`
}

// readAnswer is what a reader says.
type readAnswer struct {
	Request server.Request          `json:"request"`
	Drills  []server.ScheduledDrill `json:"drills,omitempty"`
	Inputs  kube.Inputs             `json:"inputs"`
	Problem string                  `json:"problem,omitempty"` // what is wrong with the file
	Shown   string                  `json:"shown,omitempty"`   // the same with its lines, for the log
}

// readCommand reads one drill file for the server, in a process of its own with bounds.
func readCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "read", Short: "Read one drill file for the server, as JSON on standard input", Hidden: true, Args: exactArgs(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			raw, err := child.Input(env.Stdin)
			if err == nil {
				err = child.Confine()
			}
			if err != nil {
				return err
			}
			var task readTask
			if err := json.Unmarshal(raw, &task); err != nil {
				return fmt.Errorf("read the task: %w", err)
			}
			out, err := json.Marshal(readHere(task))
			if err != nil {
				return fmt.Errorf("write the answer: %w", err)
			}
			_, err = env.Stdout.Write(out)
			return err //nolint:wrapcheck // it is said by Main
		},
	}
}

// readHere reads a file in this process, and survives one that makes its reader panic.
func readHere(task readTask) (a readAnswer) {
	var shown bytes.Buffer
	env := &Env{Stdout: &bytes.Buffer{}, Stderr: &shown, Getenv: func(string) string { return "" }, Plain: true}
	defer func() {
		if p := recover(); p != nil {
			a = readAnswer{Problem: fmt.Sprintf("it cannot be read: %v", p)}
		}
		a.Problem, a.Shown = cutText(a.Problem, maxProblem), cutText(shown.String(), maxShown)
	}()
	var err error
	switch long := tooLong(task); {
	case long != "":
		err = errors.New(long)
	case task.Run != nil:
		a.Request, err = admission(env)(task.Run.Spec, task.Run.Inputs)
	case task.Schedule != nil:
		var drills []*drill.Drill
		drills, a.Inputs, err = drillReader(env)(*task.Schedule)
		for _, d := range drills {
			if d.Schedule == nil {
				continue
			}
			one := server.ScheduledDrill{Name: d.Name, Namespaces: needsOf(d).namespaces, Schedule: d.Schedule}
			if len(d.Faults) > 0 {
				one.Fault = d.Faults[0].Kind
			}
			a.Drills = append(a.Drills, one)
		}
		size := 0
		for name, value := range a.Inputs.Variables {
			size += len(name) + len(value)
		}
		switch {
		case len(a.Drills) > maxScheduled:
			err = fmt.Errorf("it holds %d drills with a schedule, and one file may hold %d. Split it", len(a.Drills), maxScheduled)
		case size > maxVariables:
			err = fmt.Errorf("its source gives it %d KiB of variables, and a schedule may have %d. Shorten them", size>>10, maxVariables>>10)
		}
		if err != nil {
			a.Drills, a.Inputs = nil, kube.Inputs{}
		}
	default:
		err = errors.New("there is nothing to read")
	}
	if err != nil {
		a.Problem = err.Error()
	}
	return a
}

// tooLong says which text has more words than a reader's memory holds.
func tooLong(task readTask) string {
	texts := map[string]string{}
	switch {
	case task.Run != nil:
		texts[task.Run.Spec.File] = task.Run.Spec.Source
	case task.Schedule != nil:
		maps.Copy(texts, task.Schedule.Beside)
		texts[task.Schedule.File] = task.Schedule.Text
	}
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		if long := drillfile.CheckWords(path, texts[path], maxWords); long != "" {
			return long
		}
	}
	return ""
}

// cutText cuts a text that is too long, at a whole character.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + " …"
}
