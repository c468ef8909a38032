// Package targets holds the kinds of system that a drill can test: their members, roles, lag and ledger.
package targets

import (
	"context"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// Target is one system under test. It is what the runner runs and what the faults ask.
type Target interface {
	Name() string
	// Look finds the members and whom the cluster calls primary, by reading the cluster alone; for plans. There are no
	// views of a target whose members have no roles.
	Look(ctx context.Context) ([]drill.Member, *drill.Views, error)
	// Open checks that the target can be drilled and makes its ledger, if it keeps one. What the user can mend is a
	// *drill.Refusal.
	Open(ctx context.Context) ([]drill.Member, error)
	// Probes are the target's own probes, if it has any. They are there once Open has returned.
	Probes() []drill.Probe
	// Members are those that are there now, with their present roles.
	Members(ctx context.Context) ([]drill.Member, error)
	// Answers reports whether this very member still accepts new connections at its address.
	Answers(ctx context.Context, m drill.Member) bool
	// Connect makes sure that a connection to this very member is open, if the target can.
	Connect(ctx context.Context, m drill.Member)
	// Connection is the state of that connection.
	Connection(m drill.Member) drill.Connection
	// Close removes the ledger and every session. It may be called after a failed Open.
	Close(ctx context.Context) error
}

// Replicated is a target that keeps drill's ledger: one of its members is primary.
type Replicated interface {
	Target
	// Watch reports the views of who is primary at once and whenever one changes, until ctx ends.
	Watch(ctx context.Context, changed func(drill.Views)) error
	// Primary asks every member and returns the only one that says it is the primary.
	Primary(ctx context.Context) (drill.Member, error)
	// ReadBack reads what every member holds of the ledger; it waits for replicas to catch up with the primary.
	ReadBack(ctx context.Context) (drill.ReadBack, error)
}

// Stateless is a target whose members are all alike.
type Stateless interface {
	Target
	// WatchMembers reports who can serve at once and whenever that changes, until ctx ends.
	WatchMembers(ctx context.Context, changed func(drill.Readiness)) error
}

// Deps is what a target works with.
type Deps struct {
	Run  string // the run's id
	Kube kubernetes.Interface
	// Secret returns a value of a Kubernetes Secret.
	Secret func(ctx context.Context, namespace, name, key string) (string, error)
	Checks []drill.Check // the probes of invariants that the drill asks for
	Log    *zap.Logger
	Reach  *kube.Reach // the addresses that a DSN may lead to; nil allows all
}

// SecretRef is a secret that a target's block names, and the namespace it is in.
type SecretRef struct {
	Namespace string
	drill.SecretKey
}

// Kind is one row of the table of targets.
type Kind struct {
	Name        string
	Doc         string
	Example     string             // a block of the kind
	Table       schema.Table       // its arguments
	Attributes  []schema.Attribute // what conditions may ask of target.<name>
	Probed      bool               // it has a probe of its own, which is called like the target
	NoLedger    bool               // its targets are Stateless; else they are Replicated
	Checks      []drill.Check      // the probes of invariants that its targets have, when a drill asks for them
	Decode      func(hcl.Body, *hcl.EvalContext) (any, *schema.Decoded)
	namespaces  func(spec any) []string
	secrets     func(spec any) []SecretRef
	permissions func(spec any) []drill.Permission
	bind        func(d Deps, name string, spec any) Target
}

// Bind makes a target of this kind from its decoded block. It touches nothing before Open.
func (k Kind) Bind(d Deps, name string, spec any) Target { return k.bind(d, name, spec) }

// Namespaces are those that the target lives in.
func (k Kind) Namespaces(spec any) []string { return k.namespaces(spec) }

// Secrets are those that the target's block refers to.
func (k Kind) Secrets(spec any) []SecretRef { return k.secrets(spec) }

// Permissions are the rights in the cluster that drilling the target needs.
func (k Kind) Permissions(spec any) []drill.Permission { return k.permissions(spec) }

// impl is what the author of a kind writes, with a typed spec.
type impl[Spec any] struct {
	body        schema.Body[Spec]
	namespaces  func(Spec) []string
	secrets     func(Spec) []SecretRef
	permissions func(Spec) []drill.Permission
	bind        func(Deps, string, Spec) Target
}

// define erases an impl's types.
func define[Spec any](k Kind, i impl[Spec]) Kind {
	k.Table = i.body.Table()
	k.Decode = func(b hcl.Body, ctx *hcl.EvalContext) (any, *schema.Decoded) { return i.body.Decode(b, ctx) }
	k.namespaces = func(spec any) []string { return i.namespaces(spec.(Spec)) }
	k.secrets = func(spec any) []SecretRef { return i.secrets(spec.(Spec)) }
	k.permissions = func(spec any) []drill.Permission { return i.permissions(spec.(Spec)) }
	k.bind = func(d Deps, name string, spec any) Target { return i.bind(d, name, spec.(Spec)) }
	return k
}

// refuse says why a target cannot be drilled; the user can mend it.
func refuse(target, code string, err error, format string, args ...any) error {
	return &drill.Refusal{Code: code, Text: fmt.Sprintf("Target %q: ", target) + fmt.Sprintf(format, args...), Err: err}
}

// membersArguments are those of every target whose members are pods.
func membersArguments(namespace *string, selector *labels.Selector) []schema.Argument {
	return []schema.Argument{
		schema.String("namespace", namespace, "Where the members' pods are.", schema.Required(), schema.Check(kube.CheckNamespace)),
		schema.Parsed("selector", selector, kube.Selector, "The labels of the members, and of nothing else, as for `kubectl get pods -l`.", schema.Required()),
	}
}
