package targets

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// postgresqlSpec is a target "postgresql" block.
type postgresqlSpec struct {
	Namespace string
	Selector  labels.Selector
	DSN       drill.Sensitive
	CA        drill.Sensitive // PEM; empty: the machine's own
	Service   string          // empty: the one that the dsn's host names
	Roles     preset          // zero: the one whose label the pods carry
	WriteRate int             // Hz
	FreshRate int             // Hz; 0: no fresh probe
	UpWithin  time.Duration   // of an answer to a write; 0: learnt from the baseline

	ReadService string // that reading clients use; empty: the members themselves

	preset, roleLabel, primaryValue string // as they are written; Roles is what they mean
}

// The rates of the ledger's writes, in Hz: through kept sessions, and with a login each.
const (
	defaultWriteRate = 50
	maxWriteRate     = 200
	defaultFreshRate = 10
	maxFreshRate     = 50
)

func postgresql() Kind {
	return define(Kind{
		Name: "postgresql",
		Doc:  "A replicated PostgreSQL whose members are pods.",
		Example: `target "postgresql" "orders" {
  namespace = "shop"
  selector  = "application=patroni,cluster-name=orders"
  dsn       = secret("orders-drill", "uri")
}
`,
		Probed: true,
		Attributes: []schema.Attribute{
			schema.Seconds("outage_seconds", "How long the present outage of writes through the Service has lasted; 0 when there is none. A blip is none."),
			schema.Seconds("lag_seconds", "How far the worst replica is behind; no reading while one of them is unknown."),
			schema.Ratio("success_ratio", "The share of the writes of the last 10 s that were accepted in time."),
			schema.Count("primaries", "How many members say that they are the primary."),
			schema.Seconds("read_outage_seconds", "How long no read has been answered; needs the objective read_outage, staleness or monotonic_read_violations."),
			schema.Seconds("staleness_seconds", "By how much the most stale read was behind; needs the same objectives."),
			schema.Count("monotonic_read_violations", "Reads that showed less than an earlier one of their session; needs the same objectives."),
			schema.Count("read_your_writes_violations", "Reads that did not show what their session had written; needs the objective of this name."),
			schema.Count("sum_violations", "Reads of the accounts whose sum was wrong; needs the objective of this name."),
			schema.Count("register_violations", "Registers whose history is not linearizable; needs the objective of this name."),
		},
		Checks: []drill.Check{drill.CheckReads, drill.CheckOwn, drill.CheckSum, drill.CheckRegister},
	}, impl[postgresqlSpec]{
		body:        postgresqlBody(),
		namespaces:  func(s postgresqlSpec) []string { return []string{s.Namespace} },
		secrets:     postgresqlSecrets,
		permissions: postgresqlPermissions,
		bind:        bindPostgreSQL,
	})
}

func postgresqlSecrets(s postgresqlSpec) []SecretRef {
	var refs []SecretRef
	for _, k := range append(s.DSN.Refs(), s.CA.Refs()...) {
		refs = append(refs, SecretRef{Namespace: s.Namespace, SecretKey: k})
	}
	return refs
}

func postgresqlPermissions(s postgresqlSpec) []drill.Permission {
	var ps []drill.Permission
	for _, verb := range []string{"list", "watch"} {
		ps = append(ps,
			drill.Permission{Verb: verb, Resource: "pods", Namespace: s.Namespace},
			drill.Permission{Verb: verb, Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: s.Namespace})
	}
	if len(s.DSN.Refs())+len(s.CA.Refs()) > 0 {
		ps = append(ps, drill.Permission{Verb: "get", Resource: "secrets", Namespace: s.Namespace})
	}
	return ps
}

func postgresqlBody() schema.Body[postgresqlSpec] {
	return schema.Body[postgresqlSpec]{
		Defaults: postgresqlSpec{Selector: labels.Nothing(), WriteRate: defaultWriteRate, FreshRate: defaultFreshRate},
		Arguments: func(s *postgresqlSpec) []schema.Argument {
			return append(membersArguments(&s.Namespace, &s.Selector),
				schema.Secret("dsn", &s.DSN, "What drill connects with, through the Service of the application; usually `secret(\"name\", \"key\")`, from a Secret in the same namespace.",
					schema.Required(), schema.Check(checkDSN)),
				schema.Secret("ca", &s.CA, "The certificate authority that signed the servers' certificates, as PEM text; usually `secret(\"name\", \"ca.crt\")`. The `sslmode` is then `verify-full`, unless the `dsn` says `verify-ca`.",
					schema.Default("the machine's authorities, where `sslmode` verifies"), schema.Check(checkCA)),
				schema.String("service", &s.Service, "The Service that writing clients use.", schema.Default("the `dsn`'s host"), schema.Check(kube.CheckService)),
				schema.String("preset", &s.preset, "Who labels the pods' roles, and so how.", schema.Default("by the label that the pods carry"),
					schema.OneOf(presetNames()...), schema.Hint("For other labels use role_label and primary_value.")),
				schema.String("role_label", &s.roleLabel, "The label that holds the role, where no preset fits.", schema.Default("the preset's"), schema.Check(kube.CheckLabel)),
				schema.String("primary_value", &s.primaryValue, "The value of `role_label` on a primary.", schema.Default("the preset's; beside role_label `primary` and `master`"), schema.Check(kube.CheckLabelValue)),
				schema.Number("write_rate", &s.WriteRate, "The ledger's writes a second.", schema.Between(1, maxWriteRate)),
				schema.Number("fresh_rate", &s.FreshRate, "Logins a second, each with a write of its own: what a client sees that has just been started. 0 for none.", schema.Between(0, maxFreshRate)),
				schema.UpWithin(&s.UpWithin),
				schema.String("read_service", &s.ReadService, "The Service (or a host name) that reading clients connect to, for the invariants of reads.", schema.Default("each member in turn")))
		},
		Check: (*postgresqlSpec).check,
	}
}

// check looks at the arguments together. For a login with a write the bound is at least two of its own intervals; see fresh.
func (s *postgresqlSpec) check(d *schema.Decoded) {
	s.readRoles(d)
	schema.Slots{Argument: "write_rate", Rate: s.WriteRate, Deadline: pooledDeadline, Waits: "a write waits for its answer"}.CheckUpWithin(d, s.UpWithin)
}

// readRoles finds the preset that the block chooses or spells out.
func (s *postgresqlSpec) readRoles(d *schema.Decoded) {
	s.Roles, _ = findPreset(s.preset)
	if d.Given("preset") && d.Given("role_label") {
		d.Report(d.At("role_label"), "Two ways to read roles", "preset and role_label exclude each other. Remove one of them.")
	}
	if s.roleLabel != "" {
		s.Roles = preset{label: s.roleLabel, primary: []string{"primary", "master"}}
	}
	if s.primaryValue != "" {
		if !d.Given("preset") && !d.Given("role_label") {
			d.Report(d.At("primary_value"), "Missing role_label", "primary_value is a value of the label that role_label names. Add role_label, or a preset.")
		}
		s.Roles.primary = []string{s.primaryValue}
	}
}

// postgreSQL is a target of kind postgresql.
type postgreSQL struct {
	Deps
	name string
	spec postgresqlSpec

	dial   *dialer
	tables ledger
	pool   *pool
	pinned []*pinned
	seat   sync.Mutex // held while a pinned probe looks for a pod in place of one that is gone
	checks []check
	opened []drill.Member
	made   bool // the ledger may exist

	started sync.Map // pod UID -> when its server said that it was started
	cluster cluster
}

// Timing of what a target does for itself.
const (
	askTimeout   = 2 * time.Second  // of asking one member who it is
	showTimeout  = 10 * time.Second // until every replica shows the ledger
	catchTimeout = 15 * time.Second // until every replica shows what the primary holds, at the end
	walTimeout   = 2 * time.Second  // until a commit that did not wait for its WAL is in it
	closeTimeout = 10 * time.Second // of removing the ledger
)

func bindPostgreSQL(d Deps, name string, spec postgresqlSpec) Target {
	if d.Log == nil {
		d.Log = zap.NewNop()
	}
	t := &postgreSQL{Deps: d, name: name, spec: spec, tables: ledger{run: d.Run, checks: d.Checks}}
	t.cluster = cluster{
		target: name, roles: spec.Roles, byIP: map[netip.Addr]instance{}, wake: make(chan struct{}, 1),
	}
	return t
}

// Name is the target's name in the drill file.
func (t *postgreSQL) Name() string { return t.name }

// Probes are the writer through the Service, the fresh one beside it, one pinned probe per member, and those of the
// invariants that the drill asks for.
func (t *postgreSQL) Probes() []drill.Probe {
	if t.pool == nil {
		return nil
	}
	probes := []drill.Probe{&writer{t: t}}
	if t.spec.FreshRate > 0 {
		probes = append(probes, &fresh{t: t})
	}
	for _, p := range t.pinned {
		probes = append(probes, p)
	}
	for _, c := range t.checks {
		probes = append(probes, c)
	}
	return probes
}

func (t *postgreSQL) refuse(code string, err error, format string, args ...any) error {
	return refuse(t.name, code, err, format, args...)
}

// list joins names for a sentence.
func list(names []string) string {
	names = slices.Sorted(slices.Values(names))
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
