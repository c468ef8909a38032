package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

// takenUpWithin is how long the server may need to take up what is scheduled. It watches.
const takenUpWithin = 10 * time.Second

func scheduleCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use: "schedule", Short: "Let drills run by themselves, when their schedule says",
		Long: `A drill whose file has a schedule block runs by itself once it is installed in the cluster with drill schedule add. It runs in
your name: it does nothing that you may not do, and is refused when you may not do what it does any more.`,
		Example: `  drill schedule add drills/monthly-kill-primary.hcl
  drill schedule list
  drill schedule pause monthly-kill-primary`,
		Args: exactArgs(0, "a command: add, list, pause, resume or remove"),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(scheduleAddCommand(env), scheduleListCommand(env),
		scheduleChangeCommand(env, "pause", "Keep a scheduled drill from running, until drill schedule resume", "paused",
			func(ctx context.Context, s *kube.Schedules, name string) error { return s.SetPaused(ctx, name, true) }),
		scheduleChangeCommand(env, "resume", "Let a paused drill run again; what was due meanwhile is not made up for", "resumed",
			func(ctx context.Context, s *kube.Schedules, name string) error { return s.SetPaused(ctx, name, false) }),
		scheduleChangeCommand(env, "remove", "Take a drill from the schedule; the records of its runs stay", "removed",
			func(ctx context.Context, s *kube.Schedules, name string) error { return s.Remove(ctx, name) }))
	return c
}

func scheduleAddCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var name string
	var inputs inputFlags
	c := &cobra.Command{
		Use: "add PATH...", Short: "Schedule the drills in files, or in directories of them, in your name",
		Long: `Store each file that has a drill with a schedule block in the cluster, as a ConfigMap in drill's namespace, from where the
server runs it when it is due. Adding a file again replaces it, and makes you its requester.

The values that --var, --var-file, the environment and *.drillvars.hcl beside the file give to its variables are stored with it, for
everybody to read who may read ConfigMaps there. A file that takes secret values (env(), file(), or a value of a sensitive variable)
is refused: nobody is there to give them. Let it read a Kubernetes Secret with secret() instead.`,
		Example: "  drill schedule add drills/monthly-kill-primary.hcl\n  drill schedule add drills/monthly-kill-primary.hcl --var namespace=staging\n  drill schedule add drills",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return withCode(exitUsage, "drill schedule add takes files or directories. See 'drill schedule add --help'")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(c *cobra.Command, args []string) error {
			files, err := scheduledFiles(env, args, &inputs)
			if err != nil {
				return err
			}
			if name != "" && len(files) > 1 {
				return withCode(exitUsage, "--name is for one file, and these are %d", len(files))
			}
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			who, err := client.WhoAmI(c.Context())
			if err != nil {
				return err
			}
			for _, f := range files {
				if name != "" {
					f.name = name
				}
				if err := addSchedule(c.Context(), env, client, f, who); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cluster.add(c)
	inputs.add(c)
	c.Flags().StringVar(&name, "name", "", "the name of the ConfigMap (default: schedule- and the file's name)")
	return c
}

// scheduledFile is a drill file with at least one schedule in it.
type scheduledFile struct {
	name   string // of the ConfigMap
	path   string
	source string
	open   drill.Inputs
	drills []*drill.Drill // those with a schedule
}

var notInConfigMap = regexp.MustCompile("[^a-z0-9.-]+")

// scheduledFiles reads the files, and leaves out those of a directory that have no schedule.
func scheduledFiles(env *Env, paths []string, in *inputFlags) ([]scheduledFile, error) {
	names, err := drillFiles(paths)
	if err != nil {
		return nil, err
	}
	var files []scheduledFile
	taken, stored := map[string]string{}, map[string]string{}
	in.several = len(names) > 1
	for _, path := range names {
		src, err := readDrill(path)
		if err != nil {
			return nil, withCode(exitUsage, "read %s: %w", path, cause(err))
		}
		file, diags, err := in.load(env, path, src, false)
		if err != nil {
			return nil, err
		}
		showDiagnostics(env, file.Files, diags)
		if diags.HasErrors() {
			return nil, silent{exitInvalidFile}
		}
		base := strings.TrimSuffix(filepath.Base(path), ".hcl")
		f := scheduledFile{path: path, source: string(src), open: file.Open,
			name: "schedule-" + strings.Trim(notInConfigMap.ReplaceAllString(strings.ToLower(base), "-"), "-.")}
		for _, d := range file.Drills {
			if d.Schedule == nil {
				continue
			}
			if err := refuseUnavailable(d); err != nil {
				return nil, err
			}
			if first, ok := taken[d.Name]; ok {
				return nil, withCode(exitUsage, "drill %q is in %s and in %s. Give one of them another name", d.Name, first, path)
			}
			taken[d.Name] = path
			f.drills = append(f.drills, d)
		}
		what := secretsOf(file.Secret)
		switch {
		case len(f.drills) > 0 && what != "":
			return nil, &drill.Refusal{Code: "secret_inputs", Text: fmt.Sprintf(
				"%s takes %s along, and a scheduled drill takes nothing secret: it runs when nobody is there, and what is stored with it can be read. %s", path, what, useSecret)}
		case len(f.drills) > 0 && stored[f.name] != "": // directories may lie within each other
			return nil, withCode(exitUsage, "%s and %s would be stored under one name, %s. Give one of the files another name", stored[f.name], path, f.name)
		case len(f.drills) > 0:
			stored[f.name] = path
			files = append(files, f)
		case !slices.Contains(paths, path):
			env.status("%s has no schedule, and is left out.", path)
		default:
			return nil, withCode(exitUsage, "no drill in %s has a schedule. Add one to it:\n\n  schedule {\n    cron     = \"0 10 1 * *\" # at 10:00 on the first of every month\n    timezone = \"Europe/Berlin\"\n  }\n\nor run it now with drill run %s", path, path)
		}
	}
	if diags := in.unclaimed(); diags.HasErrors() {
		showDiagnostics(env, nil, diags)
		return nil, silent{exitInvalidFile}
	}
	if len(files) == 0 {
		return nil, withCode(exitUsage, "no drill in %s has a schedule. Add a block such as schedule { cron = \"0 10 1 * *\" }", strings.Join(paths, ", "))
	}
	return files, nil
}

func addSchedule(ctx context.Context, env *Env, client *kube.Client, f scheduledFile, who kube.Requester) error {
	store := kube.NewSchedules(client, kube.Namespace)
	base := filepath.Base(f.path)
	stored := map[string]string{base: f.source}
	if !f.open.Empty() {
		recorded, err := json.Marshal(drill.Inputs{Variables: f.open.Variables})
		if err != nil {
			return fmt.Errorf("encode the variables of %s: %w", f.path, err)
		}
		stored[base+kube.RecordedExt] = string(recorded)
	}
	replaced, err := store.Install(ctx, f.name, stored, who)
	if err != nil {
		return err
	}
	seen := takenUp(ctx, store, f)
	for _, d := range f.drills {
		e, ok := seen[d.Name]
		switch {
		case ok && e.Problem != "":
			if !replaced { // then nothing has changed
				if err := store.Remove(ctx, f.name); err != nil {
					return err
				}
			}
			return &drill.Refusal{Code: "not_scheduled", Text: e.Problem}
		case ok && !e.Next.IsZero():
			fmt.Fprintf(env.Stdout, "Scheduled %s as %s: next %s.\n", d.Name, who.User, when(e.Next, time.Now()))
		default:
			fmt.Fprintf(env.Stdout, "Stored %s for %s.\n", d.Name, who.User)
			env.status("drill's server has not taken it up within %s. Does it run? See: kubectl -n %s get pods", takenUpWithin, kube.Namespace)
		}
		warnOfRights(ctx, env, client, d)
	}
	return nil
}

// takenUp waits until the server's book holds the drills, or a problem with them, and returns what it says of each.
func takenUp(ctx context.Context, store *kube.Schedules, f scheduledFile) map[string]schedule.Entry {
	source := kube.ScheduleSource(f.name)
	seen := map[string]schedule.Entry{}
	for giveUp := time.Now().Add(takenUpWithin); ; {
		book, err := readBook(ctx, store)
		if err != nil {
			return seen
		}
		for _, d := range f.drills {
			for _, e := range book.Entries {
				if e.Drill == d.Name && e.Source == source && e.Schedule.Equal(*d.Schedule) && !e.Next.IsZero() {
					seen[d.Name] = e
				}
			}
			for _, p := range book.Problems {
				if p.Source == source && strings.Contains(p.Text, fmt.Sprintf("%q", d.Name)) {
					seen[d.Name] = schedule.Entry{Problem: p.Text}
				}
			}
		}
		if len(seen) == len(f.drills) || time.Now().After(giveUp) {
			return seen
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return seen
		}
	}
}

// warnOfRights says now why a run would be refused, and not only when it is due.
func warnOfRights(ctx context.Context, env *Env, client *kube.Client, d *drill.Drill) {
	denied, err := client.Denied(ctx, needsOf(d).rights())
	if err != nil {
		env.status("Whether you may do what it does could not be asked: %v", err)
		return
	}
	for _, right := range denied {
		env.status("Its runs will be refused as long as you may not %s.", right)
	}
}

func readBook(ctx context.Context, store *kube.Schedules) (*schedule.Book, error) {
	raw, _, err := store.Book(ctx)
	if err != nil {
		return nil, err
	}
	book := new(schedule.Book)
	if len(raw) == 0 {
		return book, nil
	}
	if err := json.Unmarshal(raw, book); err != nil {
		return nil, fmt.Errorf("read the server's book of schedules: %w", err)
	}
	return book, nil
}

// scheduleChangeCommand is a command that does one thing to the ConfigMap of a scheduled drill.
func scheduleChangeCommand(env *Env, verb, short, done string, change func(context.Context, *kube.Schedules, string) error) *cobra.Command {
	var cluster clusterFlags
	c := &cobra.Command{
		Use: verb + " NAME", Short: short,
		Long:    short + ".\nNAME is a drill's, or that of the ConfigMap that holds it, as drill schedule list shows them.",
		Example: "  drill schedule " + verb + " monthly-kill-primary",
		Args:    exactArgs(1, "the name of one scheduled drill"),
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return scheduledNames(c.Context(), &cluster, args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			store := kube.NewSchedules(client, kube.Namespace)
			name, err := findSchedule(c.Context(), store, args[0])
			if err != nil {
				return err
			}
			err = change(c.Context(), store, name)
			if apierrors.IsNotFound(err) {
				err = withCode(exitUsage, "no drill %q is scheduled. See drill schedule list", args[0])
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Stdout, "%s: %s.\n", args[0], done)
			return nil
		},
	}
	cluster.add(c)
	return c
}

func scheduledNames(ctx context.Context, cluster *clusterFlags, args []string) []string {
	client, err := cluster.connect()
	if err != nil || len(args) > 0 {
		return nil
	}
	book, err := readBook(ctx, kube.NewSchedules(client, kube.Namespace))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range book.Entries {
		names = append(names, e.Drill)
	}
	return names
}

// findSchedule is the ConfigMap that a name means: its own, or that of a drill in it.
func findSchedule(ctx context.Context, store *kube.Schedules, name string) (string, error) {
	all, err := store.List(ctx)
	if err != nil {
		return "", err
	}
	book, err := readBook(ctx, store)
	if err != nil {
		return "", err
	}
	for _, cm := range all {
		if cm.Name == name {
			return name, nil
		}
	}
	i := slices.IndexFunc(book.Entries, func(e schedule.Entry) bool { return e.Drill == name })
	if i < 0 {
		return "", withCode(exitUsage, "no drill %q is scheduled. See drill schedule list", name)
	}
	source := book.Entries[i].Source
	var others []string
	for _, e := range book.Entries {
		if e.Source == source && e.Drill != name {
			others = append(others, e.Drill)
		}
	}
	cm, ok := strings.CutPrefix(source, kube.ScheduleSource(""))
	switch {
	case !ok:
		return "", withCode(exitUsage, "drill %q comes from the server's %s. Change the file there", name, source)
	case len(others) > 0:
		return "", withCode(exitUsage, "ConfigMap %s holds %s, too. Name %s to mean them all", cm, strings.Join(others, ", "), cm)
	}
	return cm, nil
}
