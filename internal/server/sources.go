package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

// Sorts of files in a source. What ends like a variables file is no drill file.
const (
	drillFile     = ".hcl"
	variablesFile = ".drillvars.hcl"
)

// scheduled is a drill with a schedule, with what its runs are made of.
type scheduled struct {
	schedule.Installed
	file, source string
	inputs       kube.Inputs
	requester    kube.Requester
}

// findings are the drills that are installed now, from every source.
type findings struct {
	sources  []string
	problems []schedule.SourceProblem
	order    []scheduled
	drills   map[string]scheduled // by name; the first of two has it
	later    error                // why some file could not be read, for a reason of this machine's
}

func (f *findings) installed() []schedule.Installed {
	all := make([]schedule.Installed, len(f.order))
	for i, d := range f.order {
		all[i] = d.Installed
	}
	return all
}

func (f *findings) problem(source, format string, args ...any) {
	f.problems = append(f.problems, schedule.SourceProblem{Source: source, Text: fmt.Sprintf(format, args...)})
}

// parsed is what a drill file holds. It is kept while the file stays the same.
type parsed struct {
	drills []ScheduledDrill
	inputs kube.Inputs
	err    error
}

// find reads every source: the directory first, then the ConfigMaps, the oldest first.
func (s *scheduler) find() *findings {
	f := &findings{drills: map[string]scheduled{}}
	kept := map[string]parsed{}
	if s.o.Directory != "" {
		s.findDirectory(f, kept)
	}
	var configMaps []*corev1.ConfigMap
	for _, object := range s.cache.List() {
		if cm, ok := object.(*corev1.ConfigMap); ok {
			configMaps = append(configMaps, cm)
		}
	}
	kube.SortSchedules(configMaps)
	for _, cm := range configMaps {
		source := sourceOf(cm)
		f.sources = append(f.sources, source)
		who, ok := kube.RequesterOf(cm)
		if !ok {
			f.problem(source, "it does not say in whose name its drills run (annotation %s). Install them with drill schedule add", kube.AnnotationUser)
			continue
		}
		if s.o.policies.doubtful(kube.Changed(cm)) {
			f.problem(source, "it was changed while an admission policy was not in force, so that anybody could schedule in anybody's name. Add it again with drill schedule add")
			continue
		}
		paused := cm.Annotations[kube.AnnotationPaused] == "true"
		s.add(f, kept, source, cm.Data, who, paused)
	}
	s.files = kept
	return f
}

// findDirectory reads the server's own drills. They run in the server's name, and may do what was granted to that.
func (s *scheduler) findDirectory(f *findings, kept map[string]parsed) {
	source := "directory " + s.o.Directory
	f.sources = append(f.sources, source)
	entries, err := os.ReadDir(s.o.Directory)
	if err != nil {
		f.problem(source, "it cannot be read: %v", err)
		return
	}
	files := map[string]string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), drillFile) {
			continue
		}
		info, err := os.Stat(filepath.Join(s.o.Directory, e.Name()))
		if err == nil && info.Size() > kube.MaxSource {
			f.problem(source, "%s is %d KiB long, and a run's record holds %d KiB. Split the file", e.Name(), info.Size()>>10, kube.MaxSource>>10)
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.o.Directory, e.Name()))
		if err != nil {
			f.problem(source, "%s cannot be read: %v", e.Name(), err)
			continue
		}
		files[e.Name()] = string(text)
	}
	s.add(f, kept, source, files, s.me, false)
}

// add takes the drills with a schedule from a source's files.
func (s *scheduler) add(f *findings, kept map[string]parsed, source string, files map[string]string, who kube.Requester, paused bool) {
	before, invalid := len(f.order), 0
	beside := map[string]string{}
	for file, text := range files {
		if strings.HasSuffix(file, variablesFile) {
			beside[file] = text
		}
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(file, drillFile) || strings.HasSuffix(file, variablesFile) {
			continue
		}
		text := files[file]
		from := Source{File: file, Text: text, Recorded: files[file+kube.RecordedExt], Beside: beside}
		key := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%q", from))) // maps are printed in the order of their keys
		p, ok := s.files[key]
		if !ok {
			p = s.parse(from)
		}
		if later, ok := errors.AsType[*LaterError](p.err); ok {
			f.later = later // the sources are looked at again, instead of losing a drill meanwhile
			return
		}
		kept[key] = p
		if p.err != nil {
			invalid++
			f.problem(source, "%s: %v", file, p.err)
			continue
		}
		for _, d := range p.drills {
			if d.Schedule == nil {
				continue
			}
			one := scheduled{file: file, source: text, inputs: p.inputs, requester: who, Installed: schedule.Installed{
				Drill: d.Name, Source: source, Requester: who.User, Paused: paused, Schedule: *d.Schedule, Variables: p.inputs.Variables,
				Fault: d.Fault, Targets: kube.TargetsText(d.Namespaces)}}
			f.order = append(f.order, one)
			if _, taken := f.drills[d.Name]; !taken {
				f.drills[d.Name] = one
			}
		}
	}
	if len(f.order) == before && invalid == 0 {
		f.problem(source, "none of its files (*.hcl) holds a drill with a schedule. Add a block such as schedule { cron = \"0 10 1 * *\" } to a drill")
	}
}

// parse survives a drill file that makes its reader panic: it would be read again at every start of the server.
func (s *scheduler) parse(from Source) (p parsed) {
	defer func() {
		if r := recover(); r != nil {
			p = parsed{err: fmt.Errorf("it cannot be read: %v", r)}
		}
	}()
	p.drills, p.inputs, p.err = s.o.Drills(from)
	return p
}

func sourceOf(cm *corev1.ConfigMap) string { return kube.ScheduleSource(cm.Name) }

// textOf joins a source's problems.
func textOf(problems []schedule.SourceProblem, source string) string {
	var texts []string
	for _, p := range problems {
		if p.Source == source {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}
