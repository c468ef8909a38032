package drillfile_test

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/schema"
)

type postgresqlSpec struct {
	Namespace string          `hcl:"namespace"`
	Selector  string          `hcl:"selector"`
	DSN       drill.Sensitive `hcl:"dsn"`
	Service   string          `hcl:"service,optional"`
	Preset    string          `hcl:"preset,optional"`
	WriteRate int             `hcl:"write_rate,optional"`

	ReadService string `hcl:"read_service,optional"`
}

type httpSpec struct {
	URL     string `hcl:"url"`
	Rate    int    `hcl:"rate,optional"`
	Timeout string `hcl:"timeout,optional"`
}

type tcpSpec struct {
	Address string `hcl:"address"`
}

type kubernetesSpec struct {
	Namespace string `hcl:"namespace"`
	Service   string `hcl:"service"`
	Rate      int    `hcl:"rate,optional"`
}

type deploymentSpec struct {
	Namespace string `hcl:"namespace"`
	Selector  string `hcl:"selector"`
	Service   string `hcl:"service,optional"`
}

type podKillSpec struct {
	Target  string `hcl:"target,optional"`
	Count   *int   `hcl:"count,optional"`
	Percent *int   `hcl:"percent,optional"`
	All     *bool  `hcl:"all,optional"`
	Method  string `hcl:"method,optional"`
	Role    string `hcl:"role,optional"`
}

type killPrimarySpec struct {
	Method   string `hcl:"method,optional"`
	HoldDown string `hcl:"hold_down,optional"`
}

type networkPartitionSpec struct {
	Target    string         `hcl:"target,optional"`
	Duration  string         `hcl:"duration"`
	From      hcl.Expression `hcl:"from"`
	To        hcl.Expression `hcl:"to"`
	Direction string         `hcl:"direction,optional"`
	Action    string         `hcl:"action,optional"`
}

func decode[Spec any](body hcl.Body, ctx *hcl.EvalContext) (any, *schema.Decoded) {
	var spec Spec
	diags := gohcl.DecodeBody(body, ctx, &spec)
	return spec, &schema.Decoded{Diagnostics: diags}
}

// decodePostgreSQL also complains, as a kind may, of a dsn that gohcl would have refused.
func decodePostgreSQL(body hcl.Body, ctx *hcl.EvalContext) (any, *schema.Decoded) {
	attributes, _ := body.JustAttributes()
	if dsn, ok := attributes["dsn"]; ok {
		if v, diags := dsn.Expr.Value(ctx); !diags.HasErrors() && !v.IsKnown() {
			at := dsn.Expr.Range()
			return postgresqlSpec{}, &schema.Decoded{Diagnostics: hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Invalid dsn", Detail: "dsn must be a string.", Subject: &at}}}
		}
	}
	return decode[postgresqlSpec](body, ctx)
}

// kinds are the test's own, so that nothing here depends on a fault or a target.
func kinds() drillfile.Kinds {
	return drillfile.Kinds{
		Targets: []drillfile.Kind{{
			Name: "postgresql", Doc: "A PostgreSQL cluster.", Decode: decodePostgreSQL, Probed: true,
			Attributes: []schema.Attribute{
				schema.Seconds("outage_seconds", ""), schema.Seconds("lag_seconds", ""), schema.Ratio("success_ratio", ""), schema.Seconds("primaries", ""),
				schema.Seconds("read_outage_seconds", ""), schema.Seconds("staleness_seconds", ""), schema.Seconds("sum_violations", ""), schema.Seconds("register_violations", ""),
			},
			Checks: []drill.Check{drill.CheckReads, drill.CheckOwn, drill.CheckSum, drill.CheckRegister},
		}, {
			Name: "deployment", Doc: "A stateless service.", Decode: decode[deploymentSpec], NoLedger: true,
			Attributes: []schema.Attribute{
				schema.Seconds("outage_seconds", ""), schema.Ratio("success_ratio", ""), schema.Seconds("ready", ""), schema.Seconds("desired", ""),
			},
		}},
		Probes: []drillfile.Kind{{
			Name: "http", Doc: "An HTTP server.", Decode: decode[httpSpec],
			Attributes: []schema.Attribute{
				schema.Seconds("outage_seconds", ""), schema.Ratio("success_ratio", ""), schema.Seconds("latency_seconds", ""),
			},
		}, {
			Name: "tcp", Doc: "A TCP port.", Decode: decode[tcpSpec], Attributes: []schema.Attribute{schema.Seconds("outage_seconds", "")},
		}, {
			Name: "kubernetes", Doc: "A Service's endpoints.", Decode: decode[kubernetesSpec],
			Attributes: []schema.Attribute{schema.Seconds("ready_endpoints", "")},
		}},
		Faults: []drillfile.Kind{{
			Name: "kill_primary", Doc: "The primary dies.", Decode: decode[killPrimarySpec],
			Check: func(_ any, name string, targets []drill.TargetSpec) string {
				for _, t := range targets {
					if t.Name == name {
						return ""
					}
				}
				return fmt.Sprintf("The name of a kill_primary fault is the target whose primary dies, and there is no target named %q.", name)
			},
		}, {
			Name: "pod_kill", Doc: "Pods are removed.", Decode: decode[podKillSpec],
		}, {
			Name: "network_partition", Doc: "A network is cut.", Decode: decode[networkPartitionSpec],
		}},
	}
}
