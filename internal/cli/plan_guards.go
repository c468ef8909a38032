package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// Whether something holds now.
const (
	stateHolds   = "holds"
	stateBroken  = "broken"
	stateUnknown = "unknown" // it cannot be asked from here
)

// guardState is a guard, and whether it holds now. One that is broken refuses a run.
type guardState struct {
	Guard string `json:"guard"`
	State string `json:"state"`
	Text  string `json:"text"`
}

func (m *planner) guard(name, state, format string, args ...any) {
	g := guardState{Guard: name, State: state, Text: fmt.Sprintf(format, args...)}
	m.plan.Guards = append(m.plan.Guards, g)
}

// broken is a guard that refuses a run.
func (m *planner) broken(name, format string, args ...any) {
	m.guard(name, stateBroken, format, args...)
	m.plan.refuse(name, format, args...)
}

// guards asks which of them hold now.
func (m *planner) guards(ctx context.Context) error {
	installed, err := m.installed(ctx)
	if err != nil {
		return err
	}
	if err := m.namespaces(ctx); err != nil {
		return err
	}
	if installed {
		m.alone(ctx)
	}
	m.limits(ctx)
	m.fileGuards(ctx)
	return nil
}

// installed asks whether drill is in the cluster, and whether a server runs that would admit the run.
func (m *planner) installed(ctx context.Context) (bool, error) {
	server, err := m.client.AppsV1().Deployments(kube.Namespace).Get(ctx, "drill-server", metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		m.broken("not_installed", "drill is not installed in this cluster. Install it with: drill install --allow %s.", strings.Join(m.need.namespaces, " --allow "))
		return false, nil
	case apierrors.IsForbidden(err):
		m.guard("installed", stateUnknown, "Whether drill's server runs: you may not look at Deployments in namespace %s.", kube.Namespace)
	case err != nil:
		return false, fmt.Errorf("look for drill's server: %w", err)
	case server.Status.ReadyReplicas == 0:
		m.broken("no_server", "drill's server is not ready, so nobody would admit the run. See: kubectl -n %s get pods.", kube.Namespace)
	default:
		m.guard("installed", stateHolds, "drill is installed, and its server is ready.")
	}
	return true, nil
}

// namespaces asks whether what the drill is about is there.
func (m *planner) namespaces(ctx context.Context) error {
	for _, ns := range m.need.namespaces {
		switch _, err := m.client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{}); {
		case apierrors.IsNotFound(err):
			m.broken("no_namespace", "There is no namespace %q in cluster %s. Check namespace in the drill file, and the context.", ns, m.client.Context)
		case err != nil && !apierrors.IsForbidden(err): // whoever may not read it hears so of its pods
			return fmt.Errorf("read namespace %s: %w", ns, err)
		}
	}
	return nil
}

// alone asks whether another run holds what this one would lock.
func (m *planner) alone(ctx context.Context) {
	runs := kube.NewRuns(m.client.Dynamic, kube.Namespace)
	held, err := kube.Holders(ctx, m.client, runs, m.scopes())
	switch {
	case apierrors.IsForbidden(err):
		m.guard("locked", stateUnknown, "Whether another run is at work here: you may not read Leases in namespace %s.", kube.Namespace)
	case err != nil:
		m.guard("locked", stateUnknown, "Whether another run is at work here: %v.", err)
	case len(held) > 0:
		for _, scope := range m.scopes() {
			if run, ok := held[scope]; ok {
				m.broken("locked", "Run %s holds the lock of %s. Wait for its end, or cancel it.", run, scope)
			}
		}
	default:
		m.guard("locked", stateHolds, "No other run is at work on %s.", strings.Join(m.scopes(), ", "))
	}
}

// fileGuards are those that the file itself sets. Whoever could not be asked from here is the runner's to ask.
func (m *planner) fileGuards(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, alertPatience)
	defer cancel()
	for _, c := range checkGuards(ctx, m.drill, m.plans) {
		name, why := "guard."+c.What, sentence(c.Why)
		switch {
		case c.What == guardMaxTargets && len(m.plans) < len(m.drill.Faults):
			m.guard(name, stateUnknown, "How many members the faults hurt: not every fault can be planned.")
		case c.Holds:
			m.guard(name, stateHolds, "%s", why)
		case c.Unasked:
			m.guard(name, stateUnknown, "%s The runner asks from inside the cluster, and refuses the run when it cannot.", why)
		default:
			m.guard(name, stateBroken, "%s", why)
			m.plan.refuse("guard", "%s", why)
		}
	}
}

// alertPatience is how long a plan waits for an answer about alerts: an address of the cluster's leads nowhere from here.
const alertPatience = 3 * time.Second

// holderLacks is whose rights were asked for, and which of them are missing.
type holderLacks struct {
	Who     string   `json:"who"` // "you" or "runner"
	User    string   `json:"user,omitempty"`
	Needed  int      `json:"needed"`
	Missing []string `json:"missing"`
	Unknown string   `json:"unknown,omitempty"` // why nobody could say
}

// rights asks what the requester and the runner may not do: either would refuse the run.
func (m *planner) rights(ctx context.Context) error {
	you := holderLacks{Who: "you", Missing: []string{}}
	if who, err := m.client.WhoAmI(ctx); err == nil {
		you.User = who.User
	} // an old cluster cannot say, and the rights do not depend on it
	needed := m.requesterRights()
	denied, err := m.client.Denied(ctx, needed)
	if err != nil {
		return err
	}
	you.Needed = len(needed)
	you.Missing = append(you.Missing, together(denied)...)
	if len(denied) > 0 {
		m.plan.refuse("requester_rights", "You may not %s. A run does nothing that its requester may not.", strings.Join(you.Missing, ", nor "))
	}
	account := kube.RunnerAccount()
	runner := holderLacks{Who: "runner", User: account.User, Missing: []string{}}
	var rights []kube.Right
	for _, p := range m.need.permissions {
		if r := (kube.Right{Permission: p}); !slices.Contains(rights, r) {
			rights = append(rights, r)
		}
	}
	runner.Needed = len(rights)
	lacks, err := m.client.RequesterMay(ctx, account, rights)
	switch {
	case apierrors.IsForbidden(err):
		runner.Unknown = "you may not ask for others' rights (create subjectaccessreviews.authorization.k8s.io); the run asks for itself"
	case err != nil:
		return err
	case len(lacks) > 0:
		var missing []drill.Permission
		for _, r := range lacks {
			missing = append(missing, r.Permission)
		}
		runner.Missing = append(runner.Missing, together(lacks)...)
		m.plan.refuse("missing_rights", "The runner may not %s. To let drills in there, run: drill install --allow %s.", rightsText(missing),
			strings.Join(namespacesOf(missing, m.need.namespaces), " --allow "))
	}
	m.plan.Rights = []holderLacks{you, runner}
	return nil
}

// requesterRights are what the requester needs to have a run: to ask for it, and to be allowed what it does.
func (m *planner) requesterRights() []kube.Right {
	var rights []kube.Right
	for _, verb := range []string{"create", "get", "watch"} {
		rights = append(rights, kube.Right{Permission: drill.Permission{Verb: verb, Group: kube.Resource.Group, Resource: kube.Resource.Resource, Namespace: kube.Namespace}})
	}
	if m.hidden {
		rights = append(rights, kube.Right{Permission: drill.Permission{Verb: "create", Resource: "secrets", Namespace: kube.Namespace}})
	}
	return append(rights, m.need.rights()...)
}

// together writes rights with the verbs of one object in one place.
func together(rights []kube.Right) []string {
	var order []kube.Right
	verbs := map[kube.Right][]string{}
	for _, r := range rights {
		key := r
		key.Verb = ""
		if verbs[key] == nil {
			order = append(order, key)
		}
		verbs[key] = append(verbs[key], r.Verb)
	}
	var all []string
	for _, r := range order {
		r.Verb = strings.Join(verbs[r], ", ")
		all = append(all, r.String())
	}
	return all
}
