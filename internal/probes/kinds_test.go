package probes

import (
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// decode reads the inside of a block of the kind.
func decode(t *testing.T, kind, body string) (any, hcl.Diagnostics) {
	t.Helper()
	k, ok := Find(kind)
	require.True(t, ok)
	file, diags := hclsyntax.ParseConfig([]byte(body), "test.hcl", hcl.InitialPos)
	require.Empty(t, diags)
	spec, d := k.Decode(file.Body, &hcl.EvalContext{})
	return spec, d.Diagnostics
}

// bind makes a probe that nothing has to be said against.
func bind(t *testing.T, d Deps, kind, body string) drill.Probe {
	t.Helper()
	spec, diags := decode(t, kind, body)
	require.Empty(t, diags)
	k, _ := Find(kind)
	p, err := k.Bind(d, "checkout", spec)
	require.NoError(t, err)
	t.Cleanup(func() {
		switch p := p.(type) {
		case *httpProbe:
			for _, tr := range p.transports {
				tr.CloseIdleConnections()
			}
		case *promqlProbe:
			p.idle.CloseIdleConnections()
		}
	})
	return p
}

func TestWrongBlocks(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"http", `url = "ftp://checkout"`, "Invalid url"},
		{"http", `url = "checkout/healthz"`, "Invalid url"},
		{"http", `url = "http://:80/"`, "Invalid url"},
		{"http", `url = "http://me:pw@checkout/"`, "Password in url"},
		{"http", "url = \"http://checkout\"\nmethod = \"POST\"", "Unknown method"},
		{"http", "url = \"http://checkout\"\nrate = 0", "Rate out of range"},
		{"http", "url = \"http://checkout\"\nrate = 101", "Rate out of range"},
		{"http", "url = \"http://checkout\"\ntimeout = \"2s\"", "Duration out of range"},
		{"http", "url = \"http://checkout\"\ntimeout = \"soon\"", "Invalid duration"},
		{"http", "url = \"http://checkout\"\nclass = \"pinned\"", "Unknown class"},
		{"http", "url = \"http://checkout\"\nexpect_status = 99", "Invalid expect_status"},
		{"http", "url = \"http://checkout\"\nexpect_status = [200, \"x\"]", "Unsuitable value type"},
		{"http", "url = \"http://checkout\"\nexpect_status = []", "Invalid expect_status"},
		{"http", "url = \"http://checkout\"\nexpect_status = 200.5", "Unsuitable value type"},
		{"http", "url = \"http://checkout\"\nmethod = \"HEAD\"\nexpect_body = \"ok\"", "Body of a HEAD request"},
		{"http", "url = \"http://checkout\"\nmethod = \"HEAD\"\nexpect_body_regex = \"ok\"", "Body of a HEAD request"},
		{"http", "url = \"http://checkout\"\nmethod = \"HEAD\"\nexpect_json = { a = 1 }", "Body of a HEAD request"},
		{"http", "url = \"http://checkout\"\nexpect_body_regex = \"a(b\"", "Invalid expect_body_regex"},
		{"http", "url = \"http://checkout\"\nexpect_body_regex = \"(?=a)\"", "Invalid expect_body_regex"},
		{"http", "url = \"http://checkout\"\nexpect_json = \"ok\"", "Invalid expect_json"},
		{"http", "url = \"http://checkout\"\nexpect_json = {}", "Invalid expect_json"},
		{"http", "url = \"http://checkout\"\nexpect_json = { \"\" = 1 }", "Invalid expect_json"},
		{"http", "url = \"http://checkout\"\nexpect_json = { a = [1] }", "Invalid expect_json"},
		{"http", "url = \"http://checkout\"\nheaders = { \"a b\" = \"c\" }", "Invalid header"},
		{"http", "", "Missing required argument"},
		{"tcp", `address = "orders"`, "Invalid address"},
		{"tcp", `address = ":5432"`, "Invalid address"},
		{"tcp", `address = "orders:0"`, "Invalid address"},
		{"tcp", `address = "orders:https"`, "Invalid address"},
		{"promql", "url = \"prometheus:9090\"\nquery = \"up\"", "Invalid url"},
		{"promql", "url = \"http://prometheus:9090\"\nquery = \"\"", "Empty query"},
		{"promql", "url = \"http://prometheus:9090\"\nquery = \"up\"\ninterval = \"100ms\"", "Duration out of range"},
		{"promql", "url = \"http://prometheus:9090\"\nquery = \"up\"\ntimeout = \"11s\"", "Duration out of range"},
		{"kubernetes", "namespace = \"shop\"\nservice = \"checkout.shop\"", "Invalid service"},
		{"kubernetes", "namespace = \"\"\nservice = \"checkout\"", "Empty namespace"},
		{"kubernetes", "namespace = \"shop\"\nservice = \"checkout\"\nrate = 11", "Rate out of range"},
	} {
		_, diags := decode(t, c.kind, c.body)
		if assert.Len(t, diags, 1, c.body) {
			assert.Equal(t, c.want, diags[0].Summary, c.body)
			assert.NotEmpty(t, diags[0].Detail, c.body)
			assert.NotNil(t, diags[0].Subject, c.body)
		}
	}
}

// TestCaretsWithinAnArgument: a problem in a part of a value is at that part.
func TestCaretsWithinAnArgument(t *testing.T) {
	for body, column := range map[string]int{
		`expect_status = [200, 999]`:             23,
		`expect_status = [200, "x"]`:             23,
		`headers = { ok = "1", "a b" = "c" }`:    23,
		`expect_json = { ok = 1, checks = [1] }`: 25,
		`expect_json = { ok = 1, "" = 2 }`:       25,
	} {
		_, diags := decode(t, "http", body+"\nurl = \"http://checkout\"")
		if assert.Len(t, diags, 1, body) {
			assert.Equal(t, column, diags[0].Subject.Start.Column, body)
		}
	}
}

func TestDefaults(t *testing.T) {
	spec, diags := decode(t, "http", `url = "http://checkout"`)
	require.Empty(t, diags)
	assert.Equal(t, httpSpec{URL: "http://checkout", Method: "GET", Class: drill.ClassFresh, pace: pace{rate: 10, timeout: 500 * time.Millisecond}}, spec)
	spec, diags = decode(t, "promql", "url = \"http://prometheus:9090\"\nquery = \"up\"")
	require.Empty(t, diags)
	assert.Equal(t, promqlSpec{URL: "http://prometheus:9090", Query: "up", Interval: 5 * time.Second, Timeout: 2 * time.Second}, spec)
	spec, diags = decode(t, "kubernetes", "namespace = \"shop\"\nservice = \"checkout\"")
	require.Empty(t, diags)
	assert.Equal(t, kubernetesSpec{Namespace: "shop", Service: "checkout", Rate: 2}, spec)
	k, _ := Find("kubernetes")
	assert.Equal(t, []drill.Permission{{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: "shop"}}, k.Permissions(spec))
}

// TestInfo: the names of numeric values are the attributes that conditions may use, and slots may overlap as far as
// their deadlines do.
func TestInfo(t *testing.T) {
	for kind, body := range map[string]string{
		"http": `url = "http://checkout"`, "tcp": `address = "orders:5432"`,
		"promql":     "url = \"http://prometheus:9090\"\nquery = \"up\"\ninterval = \"1s\"\ntimeout = \"10s\"",
		"kubernetes": "namespace = \"shop\"\nservice = \"checkout\"",
	} {
		k, _ := Find(kind)
		info := bind(t, Deps{}, kind, body).Info()
		assert.Equal(t, kind, info.Kind)
		assert.Equal(t, "checkout", info.Name)
		assert.Empty(t, info.Target)
		assert.NotEqual(t, drill.ClassPinned, info.Class)
		assert.Greater(t, time.Duration(info.Sessions)*info.Interval, info.Deadline, kind)
		want := schema.Names(availability())
		if info.Numeric() {
			want = []string{info.Value}
		}
		assert.Equal(t, want, schema.Names(k.Attributes), kind)
	}
}

// TestUpWithin: what the block says is what slots are held to; without it that is learnt, which 0 stands for.
func TestUpWithin(t *testing.T) {
	for _, c := range []struct{ kind, body string }{
		{"http", `url = "http://checkout"`}, {"tcp", `address = "orders:5432"`},
	} {
		assert.Zero(t, bind(t, Deps{}, c.kind, c.body).Info().UpWithin, c.kind)
		for _, given := range []string{"200ms", "350ms", "500ms"} { // two slot intervals, more, and the whole timeout
			want, err := time.ParseDuration(given)
			require.NoError(t, err)
			assert.Equal(t, want, bind(t, Deps{}, c.kind, c.body+"\nup_within = \""+given+"\"").Info().UpWithin, c.kind)
		}
		for body, want := range map[string]string{
			`up_within = "199ms"`:                 "Write 200ms or more, or raise rate.",
			`up_within = "501ms"`:                 "Write 500ms or less.",
			"rate = 60\nup_within = \"33.333ms\"": "Write 33.334ms or more, or raise rate.",
			"rate = 1\nup_within = \"2s\"":        "every answer is in time. Remove it, or raise rate.",
			`up_within = "soon"`:                  `"soon" is not a duration.`,
			"rate = 0\nup_within = \"2s\"":        "rate is 0.", // which says nothing of up_within
		} {
			_, diags := decode(t, c.kind, c.body+"\n"+body)
			require.Len(t, diags, 1, body)
			assert.Contains(t, diags[0].Detail, want, body)
		}
	}
}
