package targets

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func decode(t *testing.T, body string) (postgresqlSpec, hcl.Diagnostics) {
	t.Helper()
	f, diags := hclsyntax.ParseConfig([]byte(body), "t.hcl", hcl.InitialPos)
	require.False(t, diags.HasErrors(), diags.Error())
	secret := function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}, {Name: "key", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			ref := drill.SecretRef(drill.SecretKey{Name: args[0].AsString(), Key: args[1].AsString()})
			return cty.StringVal(ref).Mark(schema.Sensitive), nil
		},
	})
	kind, ok := Find("postgresql")
	require.True(t, ok)
	spec, decoded := kind.Decode(f.Body, &hcl.EvalContext{Functions: map[string]function.Function{"secret": secret}})
	diags = decoded.Diagnostics
	if !diags.HasErrors() {
		assert.Equal(t, []string{"shop"}, kind.Namespaces(spec))
		assert.NotEmpty(t, kind.Permissions(spec))
		assert.Equal(t, "x", kind.Bind(Deps{}, "x", spec).Name())
	}
	return spec.(postgresqlSpec), diags
}

func TestDecode(t *testing.T) {
	spec, diags := decode(t, `
		namespace = "shop"
		selector  = "application=patroni,cluster-name=orders"
		dsn       = secret("orders-app", "uri")
	`)
	require.False(t, diags.HasErrors(), diags.Error())
	assert.Equal(t, "application=patroni,cluster-name=orders", spec.Selector.String())
	assert.Equal(t, 50, spec.WriteRate)
	assert.Equal(t, 10, spec.FreshRate)
	kind, _ := Find("postgresql")
	assert.Equal(t, []SecretRef{{Namespace: "shop", SecretKey: drill.SecretKey{Name: "orders-app", Key: "uri"}}}, kind.Secrets(spec))
	assert.Contains(t, kind.Permissions(spec), drill.Permission{Verb: "get", Resource: "secrets", Namespace: "shop"})

	spec, diags = decode(t, `
		namespace     = "shop"
		selector      = "app=pg"
		dsn           = "postgres://app:pw@orders.shop.svc:5432/orders"
		service       = "orders-rw"
		role_label    = "example.com/role"
		primary_value = "leader"
		write_rate    = 100
		fresh_rate    = 0
	`)
	require.False(t, diags.HasErrors(), diags.Error())
	assert.Equal(t, preset{label: "example.com/role", primary: []string{"leader"}}, spec.Roles)
	assert.Equal(t, "orders-rw", spec.Service)
	assert.Equal(t, 100, spec.WriteRate)
	assert.Zero(t, spec.FreshRate)
	assert.Empty(t, kind.Secrets(spec))
}

func TestDecodePointsAtWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ line, summary, detail string }{
		{`selector = "app in (a"`, "Invalid selector", "kubectl get pods -l"},
		{`selector = ""`, "Empty selector", "every pod"},
		{`write_rate = 500`, "Write rate out of range", "from 1 to 200"},
		{`write_rate = 0`, "Write rate out of range", "from 1 to 200"},
		{`fresh_rate = 51`, "Fresh rate out of range", "from 0 to 50"},
		{`fresh_rate = -1`, "Fresh rate out of range", "from 0 to 50"},
		{`preset = "patrony"`, "Unknown preset", `Did you mean "patroni"? For other labels use role_label`},
		{`preset = "stackgres"`, "Unknown preset", "cloudnativepg, crunchy, patroni, zalando. For other labels use role_label"},
		{`primary_value = "leader"`, "Missing role_label", "role_label"},
		{`dsn = "postgres://app:hunter2@:x/"`, "Invalid dsn", "postgres://user:password@"},
		{`dsn = ["a"]`, "Unsuitable value type", "is a string"},
		{`namespace = "my shop"`, "Invalid namespace", "small letters"},
		{`service = ""`, "Empty service", "Name the Service"},
		{`service = "orders.shop"`, "Invalid service", "without the namespace"},
		{`role_label = "a label"`, "Invalid label", "example.com/role"},
		{`namespace = ""`, "Empty namespace", "Name the namespace"},
		{`selectr = "a=b"`, "Unsupported argument", ""},
	} {
		t.Run(tt.line, func(t *testing.T) {
			name, _, _ := strings.Cut(tt.line, " ")
			lines := []string{}
			for _, l := range []string{`namespace = "shop"`, `selector = "app=pg"`, `dsn = "postgres://app:pw@orders/orders"`} {
				if !strings.HasPrefix(l, name+" ") {
					lines = append(lines, l)
				}
			}
			_, diags := decode(t, tt.line+"\n"+strings.Join(lines, "\n"))
			require.Len(t, diags, 1)
			assert.Equal(t, tt.summary, diags[0].Summary)
			assert.Contains(t, diags[0].Detail, tt.detail)
			assert.Equal(t, 1, diags[0].Subject.Start.Line)
			assert.NotContains(t, diags.Error(), "hunter2")
			if name != "selectr" {
				assert.Equal(t, len(name)+4, diags[0].Subject.Start.Column, "the caret is on the value")
			}
		})
	}
}

// TestTwoWaysToReadRoles: a preset and labels spelt out exclude each other.
func TestTwoWaysToReadRoles(t *testing.T) {
	_, diags := decode(t, "namespace = \"shop\"\nselector = \"app=pg\"\ndsn = \"postgres://orders/orders\"\npreset = \"patroni\"\nrole_label = \"role\"")
	require.Len(t, diags, 1)
	assert.Equal(t, "Two ways to read roles", diags[0].Summary)
	assert.Equal(t, 5, diags[0].Subject.Start.Line)
}

func TestJudge(t *testing.T) {
	pg := func(severity, code string) error { return &pgconn.PgError{SeverityUnlocalized: severity, Code: code} }
	lost := func(err error) error { return &net.OpError{Op: "read", Err: os.NewSyscallError("read", err)} }
	for _, tt := range []struct {
		name    string
		err     error
		outcome drill.Outcome
		signal  string
	}{
		{"no error", nil, drill.OutcomeOK, ""},
		{"rolled back", pg("ERROR", "23505"), drill.OutcomeFail, drill.SignalError},
		{"read only", pg("ERROR", "25006"), drill.OutcomeFail, drill.SignalReadOnly},
		{"localised by an old server", &pgconn.PgError{Severity: "ERROR", Code: "53100"}, drill.OutcomeFail, drill.SignalError},
		{"shutting down", pg("FATAL", "57P01"), drill.OutcomeIndeterminate, drill.SignalTerminated},
		{"crash of another backend", pg("FATAL", "57P02"), drill.OutcomeIndeterminate, drill.SignalTerminated},
		{"panic", pg("PANIC", "XX000"), drill.OutcomeIndeterminate, drill.SignalError},
		{"a pooler lost its server", pg("ERROR", "08006"), drill.OutcomeIndeterminate, drill.SignalError},
		{"completion unknown", pg("ERROR", "40003"), drill.OutcomeIndeterminate, drill.SignalError},
		{"reset", lost(syscall.ECONNRESET), drill.OutcomeIndeterminate, drill.SignalReset},
		{"closed", io.ErrUnexpectedEOF, drill.OutcomeIndeterminate, drill.SignalClosed},
		{"deadline", context.DeadlineExceeded, drill.OutcomeIndeterminate, drill.SignalTimeout},
		{"retransmissions gave up", lost(syscall.ETIMEDOUT), drill.OutcomeIndeterminate, drill.SignalTimeout},
		{"no route", lost(syscall.EHOSTUNREACH), drill.OutcomeIndeterminate, drill.SignalUnreach},
		{"something else", errors.New("what"), drill.OutcomeIndeterminate, drill.SignalError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outcome, how := judge(tt.err)
			assert.Equal(t, tt.outcome, outcome)
			assert.Equal(t, tt.signal, how)
		})
	}
}

func TestSignalOfDialing(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	free.Close()
	d, err := newDialer("postgres://app:hunter2@"+addr+"/orders?sslmode=disable", "")
	require.NoError(t, err)
	_, err = d.service(t.Context())
	assert.Equal(t, drill.SignalRefused, signal(err))

	d.config.Host = "no-such-host.invalid"
	_, err = d.service(t.Context())
	assert.Equal(t, drill.SignalDNS, signal(err))
	assert.NotContains(t, err.Error(), "hunter2")

	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	d.config.Host = "127.0.0.1"
	_, err = d.service(ctx)
	assert.Equal(t, drill.SignalTimeout, signal(err))
}

func TestDSNKeepsOneHost(t *testing.T) {
	d, err := newDialer("postgres://app:pw@a:5432/orders?sslmode=prefer&target_session_attrs=read-write", "")
	require.NoError(t, err)
	assert.Equal(t, "a", d.config.Host)
	assert.Nil(t, d.config.ValidateConnect, "a read-only answer is an answer")
	for _, f := range d.config.Fallbacks {
		assert.Equal(t, "a", f.Host)
	}
	_, err = newDialer("postgres://app:hunter2@[::1/orders", "")
	assert.NotContains(t, err.Error(), "hunter2")
	_, err = newDialer("postgres://app:hunter2@a:5432,b:5433/orders", "")
	require.ErrorContains(t, err, "several hosts", "a second host would be a second member")
	assert.NotContains(t, err.Error(), "hunter2")
	assert.EqualError(t, d.scrub(errors.New("bad pw")), "bad (sensitive)")
}

func TestServiceOfHost(t *testing.T) {
	for host, want := range map[string]string{
		"orders": "orders", "orders.shop": "orders", "orders.shop.svc": "orders", "orders.shop.svc.cluster.local": "orders",
		"10.0.0.1": "", "::1": "", "localhost": "", "db.example.com": "", "orders.other.svc": "",
	} {
		assert.Equal(t, want, serviceIn(host, "shop"), host)
	}
}

func TestPresets(t *testing.T) {
	pod := func(labels map[string]string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
	}
	for _, tt := range []struct {
		want   string
		labels map[string]string
	}{
		{"cloudnativepg", map[string]string{"cnpg.io/instanceRole": "primary", "role": "primary"}},
		{"crunchy", map[string]string{"postgres-operator.crunchydata.com/role": "master"}},
		{"zalando", map[string]string{"spilo-role": "master"}},
		{"patroni", map[string]string{"role": "master"}},
		{"patroni", map[string]string{"role": "primary"}},
	} {
		p, ok := detectPreset([]*corev1.Pod{pod(nil), pod(tt.labels)})
		require.True(t, ok)
		assert.Equal(t, tt.want, p.name)
		assert.True(t, p.leads(pod(tt.labels)))
		assert.False(t, p.leads(pod(map[string]string{p.label: "replica"})))
	}
	_, ok := detectPreset([]*corev1.Pod{pod(map[string]string{"app": "pg"})})
	assert.False(t, ok)
}

func TestFreshReportsEachWriteOnceAndForgets(t *testing.T) {
	p := newPinned(&postgreSQL{spec: postgresqlSpec{WriteRate: 50}}, "orders-0")
	assert.Equal(t, []int64{0, 1, 3}, p.fresh([]int64{0, 1, 3}))
	assert.Equal(t, []int64{2, 4}, p.fresh([]int64{0, 1, 2, 3, 4}), "one came late")
	assert.EqualValues(t, -1, p.low)
	var many []int64
	for seq := range int64(1000) {
		many = append(many, seq)
	}
	assert.Len(t, p.fresh(many), 995)
	assert.EqualValues(t, 899, p.low)
	assert.Len(t, p.shown, 100, "memory is bounded")
	assert.Nil(t, p.fresh(nil))
}

func TestSequences(t *testing.T) {
	got, err := sequences("{1,22,333}")
	require.NoError(t, err)
	assert.Equal(t, []int64{1, 22, 333}, got)
	got, err = sequences("{}")
	require.NoError(t, err)
	assert.Empty(t, got)
	_, err = sequences("{a}")
	assert.Error(t, err)
}

func TestShows(t *testing.T) {
	want := map[string]drill.Numbers{"orders": drill.NumbersOf(1, 2, 5)}
	assert.True(t, shows(map[string]drill.Numbers{"orders": drill.NumbersOf(1, 2, 3, 5)}, want), "more is not behind")
	assert.False(t, shows(map[string]drill.Numbers{"orders": drill.NumbersOf(1, 2)}, want))
	assert.False(t, shows(nil, want))
}
