package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	naming "k8s.io/apimachinery/pkg/util/validation"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/report"
	"github.com/failoverdrill/drill/internal/starter"
)

type initOptions struct {
	cluster clusterFlags
	look    starter.Options
	out     string
	force   bool
}

func initCommand(env *Env) *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use: "init [NAME]", Short: "Write a first drill for what runs in a namespace; reads the cluster only",
		Long: `Ask the cluster what runs in a namespace, and write a drill file for it, with comments: for a PostgreSQL kept by Patroni,
CloudNativePG, Crunchy or Zalando's operator its primary is killed, for any other Deployment or StatefulSet one of its pods.
NAME is what the drill is called; without it a name is made from what was found. The file is NAME.hcl.
Of Secrets the names of their keys are looked at, and no value is shown or kept. Nothing in the cluster is changed.
Where several answers are right they are listed with the flag that chooses, or asked for at a terminal. The exit code is 11 when nothing
could be written, 2 when the file is there already.`,
		Example: "  drill init --namespace shop\n  drill init orders --namespace shop --selector application=patroni,cluster-name=orders\n  drill init --namespace shop --selector app=checkout --out -",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return withCode(exitUsage, "%s takes at most one name, got %d arguments. See '%s --help'", c.CommandPath(), len(args), c.CommandPath())
			}
			return initDrill(c.Context(), env, strings.Join(args, ""), o)
		},
	}
	o.cluster.add(c)
	c.Flags().StringVarP(&o.look.Namespace, "namespace", "n", "", "the namespace to look at")
	c.Flags().StringVarP(&o.look.Selector, "selector", "l", "", "the labels of the pods, as for kubectl get pods -l (default: everything in the namespace)")
	c.Flags().StringVar(&o.look.Service, "service", "", "the Service that clients use (default: the one that leads there)")
	c.Flags().StringVar(&o.look.Secret, "secret", "", "the Secret with what drill connects with, NAME or NAME/KEY (default: found by the names of keys)")
	c.Flags().StringVar(&o.out, "out", "", "the file to write, or - for standard output (default: NAME.hcl)")
	c.Flags().BoolVar(&o.force, "force", false, "also when the file is there already")
	return c
}

var blockName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)

func initDrill(ctx context.Context, env *Env, name string, o initOptions) error {
	if o.look.Namespace == "" {
		return withCode(exitUsage, "say which namespace to look at, such as: drill init --namespace shop")
	}
	if len(naming.IsDNS1123Label(o.look.Namespace)) > 0 {
		return withCode(exitUsage, "%q cannot be the name of a namespace. Write up to 63 small letters, digits and hyphens, such as shop", o.look.Namespace)
	}
	if name != "" && !blockName.MatchString(name) {
		return withCode(exitUsage, "%q cannot be the name of a drill. Write a letter, and then up to 62 letters, digits, hyphens and underscores", name)
	}
	if o.look.Namespace == kube.Namespace {
		return withCode(exitUsage, "namespace %s is drill's own, and drill cannot break itself. Name the one that your system runs in", kube.Namespace)
	}
	if _, err := labels.Parse(o.look.Selector); err != nil {
		return withCode(exitUsage, "--selector %q is not a label selector: %w. Write it as for kubectl get pods -l, such as app=checkout", o.look.Selector, err)
	}
	if err := o.free(name); err != nil {
		return err // before anybody waits for a cluster
	}
	client, err := o.cluster.connect()
	if err != nil {
		return err
	}
	o.look.Choose = env.choose
	sys, err := starter.Look(ctx, client, o.look)
	if err != nil {
		return err
	}
	if name == "" {
		name = sys.DrillName()
	}
	if err := o.free(name); err != nil {
		return err
	}
	src, path := sys.Write(name), o.path(name)
	shown := path
	if path == "-" {
		shown = name + ".hcl"
	}
	file, diags := drillfile.Load(shown, src, fileKinds(), drillfile.Inputs{})
	if diags.HasErrors() {
		showDiagnostics(env, file.Files, diags)
		return fmt.Errorf("drill wrote a file that it cannot read itself (a bug, please report it); nothing was saved")
	}
	for _, w := range sys.Warnings() {
		env.status("Note: %s", w)
	}
	if path == "-" {
		_, err := env.Stdout.Write(src)
		return err
	}
	if err := save(path, src, o.force); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "Wrote %s: drill %q for %s in namespace %s (%s).\n", path, name, sys.Name, sys.Namespace, sys.Title)
	if n := strings.Count(string(src), "TODO"); n > 1 { // the head speaks of them
		fmt.Fprintf(env.Stdout, "Look at what is marked TODO (%s). Then: drill plan %s\n", count(n-1, "place"), path)
	} else {
		fmt.Fprintf(env.Stdout, "Read it once. Then: drill plan %s\n", path)
	}
	return nil
}

// path is where a drill of that name is written.
func (o initOptions) path(name string) string {
	if o.out != "" {
		return o.out
	}
	return name + ".hcl"
}

// free refuses a path that is taken, or in no directory. Without a name nothing can be said yet, unless --out says where.
func (o initOptions) free(name string) error {
	path := o.path(name)
	if path == "-" || path == ".hcl" {
		return nil
	}
	if dir := filepath.Dir(path); !isDir(dir) {
		return withCode(exitUsage, "there is no directory %s to write %s to. Make it, or name another with --out", dir, filepath.Base(path))
	}
	if isDir(path) {
		return withCode(exitUsage, "%s is a directory. Name a file in it with --out", path)
	}
	if o.force {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return withCode(exitUsage, "%s is there already. Write it anew with --force, or elsewhere with --out", path)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// save writes a new file, and another's only with force.
func save(path string, src []byte, force bool) error {
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, how, 0o644)
	if err != nil {
		return withCode(exitUsage, "write %s: %w", path, cause(err))
	}
	if _, err = f.Write(src); err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	return nil
}

// choose asks who sits at the terminal. Where nobody does it says which flag chooses.
func (e *Env) choose(c starter.Choice) (string, error) {
	var list strings.Builder
	for i, o := range c.Options {
		fmt.Fprintf(&list, "\n  %d. %s %s   (%s)", i+1, c.Flag, report.Clean(o.Value), report.Clean(o.Text))
	}
	if !e.Asked {
		return "", &drill.Refusal{Code: "several", Text: fmt.Sprintf("There are several %s. Choose one with %s:%s", c.What, c.Flag, list.String())}
	}
	fmt.Fprintf(e.Stderr, "There are several %s:%s\n", c.What, list.String())
	lines := bufio.NewScanner(e.Stdin)
	for {
		fmt.Fprintf(e.Stderr, "Which one? [1-%d] ", len(c.Options))
		if !lines.Scan() {
			return "", &drill.Refusal{Code: "several", Text: fmt.Sprintf("Nothing was chosen. Choose with %s", c.Flag)}
		}
		if n, err := strconv.Atoi(strings.TrimSpace(lines.Text())); err == nil && n >= 1 && n <= len(c.Options) {
			return c.Options[n-1].Value, nil
		}
	}
}
