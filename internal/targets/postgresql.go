package targets

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// postgresqlSpec is a target "postgresql" block.
type postgresqlSpec struct {
	Namespace string
	Selector  labels.Selector
	DSN       drill.Sensitive
	Service   string // empty: the one that the dsn's host names
	Roles     preset // zero: the one whose label the pods carry
	WriteRate int    // Hz
	FreshRate int    // Hz; 0: no fresh probe

	ReadService string // that reading clients use; empty: the members themselves
}

// postgresqlBlock is the block as it is written.
type postgresqlBlock struct {
	Namespace      string         `hcl:"namespace"`
	NamespaceRange hcl.Range      `hcl:"namespace,attr_value_range"`
	Selector       string         `hcl:"selector"`
	SelectorRange  hcl.Range      `hcl:"selector,attr_value_range"`
	DSN            hcl.Expression `hcl:"dsn"`
	Service        string         `hcl:"service,optional"`
	Preset         *string        `hcl:"preset,optional"`
	PresetRange    hcl.Range      `hcl:"preset,attr_value_range"`
	RoleLabel      *string        `hcl:"role_label,optional"`
	RoleLabelRange hcl.Range      `hcl:"role_label,attr_value_range"`
	PrimaryValue   *string        `hcl:"primary_value,optional"`
	PrimaryRange   hcl.Range      `hcl:"primary_value,attr_value_range"`
	WriteRate      *int           `hcl:"write_rate,optional"`
	WriteRateRange hcl.Range      `hcl:"write_rate,attr_value_range"`
	FreshRate      *int           `hcl:"fresh_rate,optional"`
	FreshRateRange hcl.Range      `hcl:"fresh_rate,attr_value_range"`
	ReadService    string         `hcl:"read_service,optional"`
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
		Name:   "postgresql",
		Doc:    "A replicated PostgreSQL whose members are pods.",
		Probed: true,
		Attributes: []schema.Attribute{
			schema.Seconds("outage_seconds", "How long no write has been accepted through the Service; 0 while they are."),
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
		decode:      decodePostgreSQL,
		namespaces:  func(s postgresqlSpec) []string { return []string{s.Namespace} },
		secrets:     postgresqlSecrets,
		permissions: postgresqlPermissions,
		bind:        bindPostgreSQL,
	})
}

func postgresqlSecrets(s postgresqlSpec) []SecretRef {
	var refs []SecretRef
	for _, k := range s.DSN.Refs() {
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
	if len(s.DSN.Refs()) > 0 {
		ps = append(ps, drill.Permission{Verb: "get", Resource: "secrets", Namespace: s.Namespace})
	}
	return ps
}

func decodePostgreSQL(body hcl.Body, ctx *hcl.EvalContext) (postgresqlSpec, hcl.Diagnostics) {
	var b postgresqlBlock
	diags := gohcl.DecodeBody(body, ctx, &b)
	if diags.HasErrors() {
		return postgresqlSpec{}, diags
	}
	wrong := func(at hcl.Range, summary, detail string, args ...any) {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(detail, args...), Subject: &at,
		})
	}
	spec := postgresqlSpec{Namespace: b.Namespace, Service: b.Service, ReadService: b.ReadService, WriteRate: defaultWriteRate, FreshRate: defaultFreshRate}
	if b.Namespace == "" {
		wrong(b.NamespaceRange, "Empty namespace", "Name the namespace that the members' pods are in.")
	}
	spec.Selector = decodeSelector(b.Selector, b.SelectorRange, wrong)
	if b.WriteRate != nil {
		spec.WriteRate = *b.WriteRate
		if spec.WriteRate < 1 || spec.WriteRate > maxWriteRate {
			wrong(b.WriteRateRange, "Write rate out of range",
				"write_rate is %d. Write a whole number of writes a second from 1 to %d.", spec.WriteRate, maxWriteRate)
		}
	}
	if b.FreshRate != nil {
		spec.FreshRate = *b.FreshRate
		if spec.FreshRate < 0 || spec.FreshRate > maxFreshRate {
			wrong(b.FreshRateRange, "Fresh rate out of range",
				"fresh_rate is %d. Write a whole number of logins a second from 1 to %d, or 0 for none.", spec.FreshRate, maxFreshRate)
		}
	}
	spec.Roles = b.roles(wrong)
	dsn, more := decodeDSN(b.DSN, ctx)
	spec.DSN = dsn
	return spec, append(diags, more...)
}

// roles is the preset that the block chooses or spells out.
func (b *postgresqlBlock) roles(wrong func(hcl.Range, string, string, ...any)) preset {
	var roles preset
	if b.Preset != nil {
		var ok bool
		if roles, ok = findPreset(*b.Preset); !ok {
			wrong(b.PresetRange, "Unknown preset", "There is no preset %q. The presets are %s; for other labels use role_label and primary_value.",
				*b.Preset, presetNames())
		}
		if b.RoleLabel != nil {
			wrong(b.RoleLabelRange, "Two ways to read roles", "preset and role_label exclude each other. Remove one of them.")
		}
	}
	if b.RoleLabel != nil {
		roles = preset{label: *b.RoleLabel, primary: []string{"primary", "master"}}
	}
	if b.PrimaryValue != nil {
		if roles.label == "" {
			wrong(b.PrimaryRange, "Missing role_label", "primary_value is a value of the label that role_label names. Add role_label, or a preset.")
		}
		roles.primary = []string{*b.PrimaryValue}
	}
	return roles
}

// decodeDSN evaluates the dsn by itself, because secret() may mark its value and gohcl does not take marked values.
func decodeDSN(expr hcl.Expression, ctx *hcl.EvalContext) (drill.Sensitive, hcl.Diagnostics) {
	val, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return "", diags
	}
	val, _ = val.UnmarkDeep()
	at := expr.Range()
	wrong := func(summary, detail string) hcl.Diagnostics {
		return append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at})
	}
	val, err := convert.Convert(val, cty.String)
	if err != nil || val.IsNull() || !val.IsKnown() {
		return "", wrong("Invalid dsn", "dsn must be a string, such as secret(\"orders-app\", \"uri\").")
	}
	dsn := drill.Sensitive(val.AsString())
	if len(dsn.Refs()) == 0 {
		// The parser's own words may quote the password, so they are not shown.
		if _, err := pgconn.ParseConfig(val.AsString()); err != nil || val.AsString() == "" {
			return "", wrong("Invalid dsn", dsnShape)
		}
	}
	return dsn, diags
}

const dsnShape = "The dsn cannot be read. Write it as postgres://user:password@service.namespace.svc:5432/database."

// postgreSQL is a target of kind postgresql.
type postgreSQL struct {
	Deps
	name string
	spec postgresqlSpec

	dial   *dialer
	tables ledger
	pool   *pool
	pinned []*pinned
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
		target: name, roles: spec.Roles, byIP: map[netip.Addr]string{}, wake: make(chan struct{}, 1),
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
