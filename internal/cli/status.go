package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

func statusCommand(env *Env) *cobra.Command {
	var cluster clusterFlags
	var output string
	c := &cobra.Command{
		Use: "status", Short: "Show whether drill works in this cluster, what is in flight, and what someone must act on",
		Long: `Show drill's server, its admission policies, the hold, the limits, the runs in flight with their faults, what is not reverted,
and what schedules missed last. What you may not read is shown as unknown.
The exit code is 0 when nobody must act, 14 when something is not reverted that should be, 11 when runs cannot start because
no server leads or the policies are not in force. A hold is somebody's decision, and is no reason for another code.`,
		Example: "  drill status\n  drill status --output json | jq .runs",
		Args:    exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			client, err := cluster.connect()
			if err != nil {
				return err
			}
			s, err := readStatus(c.Context(), client)
			if err != nil {
				return err
			}
			if err := s.show(env.Stdout, output); err != nil {
				return err
			}
			if code := s.code(); code != exitOK {
				return silent{code}
			}
			return nil
		},
	}
	cluster.add(c)
	outputFlag(c, &output)
	return c
}

// status is what drill status shows.
type status struct {
	Cluster  string            `json:"cluster"`
	Now      time.Time         `json:"now"` // by the API server's clock
	Client   string            `json:"client_version"`
	Server   kube.ServerState  `json:"server"`
	Leads    bool              `json:"leads"`
	Skew     string            `json:"skew,omitempty"` // how client and server differ; empty when they do not
	Policies kube.PolicyState  `json:"policies"`
	Hold     *kube.Hold        `json:"hold"`
	Limits   map[string]string `json:"limits"`
	Runs     []runStatus       `json:"runs"`    // in flight
	Residue  []runStatus       `json:"residue"` // ended, and not reverted
	Missed   []missStatus      `json:"missed"`  // by schedules, the newest of each
	Unknown  []string          `json:"unknown"` // what the caller may not read, and else why it is not known
}

type runStatus struct {
	Name      string        `json:"run"`
	Drill     string        `json:"drill"`
	Requester string        `json:"requester"`
	Phase     string        `json:"phase"`
	Age       drill.Seconds `json:"age_seconds"`
	Cancelled bool          `json:"cancel_requested,omitempty"`
	Faults    []faultStatus `json:"faults"`
}

type faultStatus struct {
	Fault   string   `json:"fault"`
	Phase   string   `json:"phase"`
	Residue []string `json:"residue,omitempty"`
}

type missStatus struct {
	Drill   string         `json:"drill"`
	Missed  int            `json:"missed"`
	Newest  *schedule.Miss `json:"newest,omitempty"`
	Problem string         `json:"problem,omitempty"`
}

// readStatus looks at everything. What the caller may not read becomes unknown; no answer at all is an error.
func readStatus(ctx context.Context, client *kube.Client) (*status, error) {
	holds, runs := kube.NewHolds(client, kube.Namespace), kube.NewRuns(client.Dynamic, kube.Namespace)
	s := &status{Cluster: client.Context, Client: version, Limits: map[string]string{}, Runs: []runStatus{}, Residue: []runStatus{},
		Missed: []missStatus{}, Unknown: []string{}}
	var err error
	if s.Now, err = holds.Now(ctx); err != nil {
		return nil, err
	}
	records, err := runs.List(ctx)
	switch {
	case apierrors.IsForbidden(err):
		s.Unknown = append(s.Unknown, "the runs: you may not list drillruns. Ask for the ClusterRole drill-operator in namespace "+kube.Namespace)
	case err != nil:
		return nil, err // not installed, above all
	}
	for _, r := range records {
		one := s.run(r)
		switch {
		case !r.Finished():
			s.Runs = append(s.Runs, one)
		case len(r.Unreverted()) > 0:
			s.Residue = append(s.Residue, one)
		}
	}
	if s.Server, err = kube.ReadServer(ctx, client, kube.Namespace); err != nil {
		return nil, err
	}
	s.Leads = s.Server.Leads(s.Now)
	s.Skew = skew(version, s.Server.Image)
	s.Policies = runs.ProvePolicy(ctx)
	if s.Hold, err = holds.Get(ctx); err != nil {
		s.unknown("the hold", err)
	}
	s.limits(ctx, client)
	s.missed(ctx, client)
	return s, nil
}

func (s *status) unknown(what string, err error) {
	why := err.Error()
	if apierrors.IsForbidden(err) {
		why = "you may not read it"
	}
	s.Unknown = append(s.Unknown, what+": "+why)
}

func (s *status) run(r *kube.DrillRun) runStatus {
	one := runStatus{Name: r.Name, Drill: r.Spec.Drill, Requester: r.Spec.Requester.User, Phase: phaseOf(r),
		Age: drill.Seconds(s.Now.Sub(r.CreationTimestamp.Time).Seconds()), Cancelled: r.CancelRequested(), Faults: []faultStatus{}}
	for _, f := range r.Status.Faults {
		one.Faults = append(one.Faults, faultStatus{f.String(), string(f.Phase), f.Residue})
	}
	return one
}

func (s *status) limits(ctx context.Context, client *kube.Client) {
	cm, err := client.CoreV1().ConfigMaps(kube.Namespace).Get(ctx, "drill-limits", metav1.GetOptions{})
	switch {
	case err == nil:
		maps.Copy(s.Limits, cm.Data)
	case !apierrors.IsNotFound(err):
		s.unknown("the limits", err)
	}
}

// missed reads the server's book of schedules.
func (s *status) missed(ctx context.Context, client *kube.Client) {
	book, err := readBook(ctx, kube.NewSchedules(client, kube.Namespace))
	if err != nil {
		s.unknown("the schedules", err)
		return
	}
	for _, e := range book.Entries {
		problem := e.Trouble(s.Now)
		if at := e.Overdue(s.Now); !at.IsZero() && problem == "" && !e.Paused {
			problem = "it was due at " + at.UTC().Format(time.RFC3339) + ", and nothing has happened"
		}
		if e.Newest != nil || problem != "" {
			s.Missed = append(s.Missed, missStatus{e.Drill, e.Missed, e.Newest, problem})
		}
	}
	for _, p := range book.Problems {
		s.Missed = append(s.Missed, missStatus{Drill: p.Source, Problem: p.Text})
	}
}

// released is the version of a release, as its image has it for a tag.
var released = regexp.MustCompile(`^v?[0-9]+\.[0-9]+`)

// skew says how the versions differ. Only those of releases can be compared: another tag is a name like any other.
func skew(client, image string) string {
	i := strings.LastIndex(image, ":")
	if i < 0 || !released.MatchString(client) || !released.MatchString(image[i+1:]) || strings.TrimPrefix(image[i+1:], "v") == strings.TrimPrefix(client, "v") {
		return ""
	}
	return fmt.Sprintf("this is drill %s, and the server is %s", client, image[i+1:])
}

// code is the command's exit code: what must be acted on first wins.
func (s *status) code() int {
	serverKnown := len(s.Server.Unknown) == 0
	switch {
	case len(s.Residue) > 0:
		return exitResidue
	case serverKnown && !s.Leads, s.Policies.Known && !s.Policies.InForce:
		return exitRefused
	}
	return exitOK
}

func (s *status) show(w io.Writer, output string) error {
	if output == outputJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %s\n", what, fmt.Sprintf(format, cleanArgs(args)...))
	}
	line("Cluster", "%s", s.Cluster)
	s.showServer(line)
	switch p := s.Policies; {
	case !p.Known:
		line("Policies", "unknown: %s", p.Why)
	case p.InForce:
		line("Policies", "in force (a run in another's name is refused)")
	default:
		line("Policies", "NOT IN FORCE: %s", p.Why)
	}
	switch {
	case s.Hold != nil:
		line("Hold", "%s, for %s. Nothing starts. End it: drill resume", strings.Replace(s.Hold.String(), "drill is on hold", "IN FORCE", 1),
			roughly(max(0, s.Now.Sub(s.Hold.Since))))
	case !slices.ContainsFunc(s.Unknown, func(u string) bool { return strings.HasPrefix(u, "the hold") }):
		line("Hold", "none")
	}
	for i, key := range slices.Sorted(maps.Keys(s.Limits)) {
		what := ""
		if i == 0 {
			what = "Limits"
		}
		line(what, "%s = %s", key, s.Limits[key])
	}
	if len(s.Limits) == 0 {
		line("Limits", "none set (ConfigMap drill-limits)")
	}
	s.showRuns(w, "In flight", s.Runs)
	s.showRuns(w, "NOT REVERTED", s.Residue)
	for i, m := range s.Missed {
		if i == 0 {
			fmt.Fprintf(w, "\nSchedules\n")
		}
		var text []string
		if m.Newest != nil {
			text = append(text, fmt.Sprintf("missed %d, the newest %s: %s", m.Missed, when(m.Newest.At, s.Now.Local()), m.Newest.Reason))
		}
		if m.Problem != "" {
			text = append(text, m.Problem)
		}
		fmt.Fprintf(w, "  %s: %s\n", drill.Clean(m.Drill), drill.Clean(strings.Join(text, ". ")))
	}
	for i, u := range s.Unknown {
		if i == 0 {
			fmt.Fprintf(w, "\nUnknown\n")
		}
		fmt.Fprintf(w, "  %s\n", drill.Clean(u))
	}
	return nil
}

func (s *status) showServer(line func(what, format string, args ...any)) {
	v := s.Server
	switch {
	case len(v.Unknown) > 0:
		line("Server", "not known completely: %s", strings.Join(v.Unknown, ", "))
	case s.Leads:
		line("Server", "pod %s leads; %d of %d ready, %s", v.Leader, v.Ready, v.Desired, count(v.Restarts, "restart"))
	case v.Desired == 0:
		line("Server", "NONE LEADS: it is scaled to 0. Nothing is admitted, scheduled or swept; drill hold and drill cancel work")
	default:
		line("Server", "NONE LEADS; %d of %d ready, %s. See: kubectl -n %s get pods", v.Ready, v.Desired, count(v.Restarts, "restart"), kube.Namespace)
	}
	for _, t := range v.Trouble {
		line("", "%s", t)
	}
	versions := "drill " + s.Client
	if v.Image != "" {
		versions += ", server's image " + v.Image
	}
	if s.Skew != "" {
		versions += " (THEY DIFFER)"
	}
	line("Versions", "%s", versions)
}

func (s *status) showRuns(w io.Writer, title string, runs []runStatus) {
	if len(runs) == 0 {
		if title == "In flight" {
			fmt.Fprintf(w, "%-11s %s\n", title, "nothing")
		}
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, r := range runs {
		note := ""
		if r.Cancelled && title == "In flight" {
			note = ", asked to end"
		}
		fmt.Fprintf(w, "  %s  %s%s for %s, asked by %s\n", cleanArgs([]any{r.Name, r.Phase, note,
			roughly(time.Duration(float64(r.Age) * float64(time.Second))), r.Requester})...)
		for _, f := range r.Faults {
			left := ""
			if len(f.Residue) > 0 {
				left = ": " + strings.Join(f.Residue, "; ")
			}
			fmt.Fprintf(w, "    %s %s%s\n", drill.Clean(f.Fault), f.Phase, strings.TrimRight(": "+drill.Clean(strings.TrimPrefix(left, ": ")), ": "))
		}
		if title != "In flight" {
			fmt.Fprintf(w, "    the server keeps trying while it runs; by hand: drill recover %s\n", drill.Clean(r.Name))
		}
	}
}
