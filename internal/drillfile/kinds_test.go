package drillfile_test

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/schema"
)

type postgresqlSpec struct {
	Namespace, Selector string
	DSN                 drill.Sensitive
	Service, Preset     string
	WriteRate           int
	ReadService         string
	UpWithin            time.Duration
}

func postgresqlBody() schema.Body[postgresqlSpec] {
	return schema.Body[postgresqlSpec]{
		Arguments: func(s *postgresqlSpec) []schema.Argument {
			return []schema.Argument{
				schema.String("namespace", &s.Namespace, "Where it is.", schema.Required()),
				schema.String("selector", &s.Selector, "Which pods.", schema.Required()),
				schema.Secret("dsn", &s.DSN, "How to log in.", schema.Required()),
				schema.String("service", &s.Service, ""),
				schema.String("preset", &s.Preset, "", schema.OneOf("patroni", "cloudnative-pg")),
				schema.Number("write_rate", &s.WriteRate, ""),
				schema.String("read_service", &s.ReadService, ""),
				schema.UpWithin(&s.UpWithin),
			}
		},
	}
}

type httpSpec struct {
	URL      string
	Rate     int
	Timeout  time.Duration
	UpWithin time.Duration
}

func httpBody() schema.Body[httpSpec] {
	return schema.Body[httpSpec]{Arguments: func(s *httpSpec) []schema.Argument {
		return []schema.Argument{
			schema.String("url", &s.URL, "What to ask.", schema.Required()),
			schema.Number("rate", &s.Rate, ""),
			schema.Duration("timeout", &s.Timeout, ""),
			schema.UpWithin(&s.UpWithin),
		}
	}}
}

type plainSpec struct {
	Namespace, Selector, Service, Address string
	Rate                                  int
}

// plainBody is one of texts alone, the first of which is required.
func plainBody(first string, others ...string) schema.Body[plainSpec] {
	return schema.Body[plainSpec]{Arguments: func(s *plainSpec) []schema.Argument {
		to := map[string]*string{"namespace": &s.Namespace, "selector": &s.Selector, "service": &s.Service, "address": &s.Address}
		all := []schema.Argument{schema.String(first, to[first], "Needed.", schema.Required())}
		for _, name := range others {
			all = append(all, schema.String(name, to[name], ""))
		}
		return append(all, schema.Number("rate", &s.Rate, ""))
	}}
}

type faultSpec struct {
	Target   string
	Method   string
	HoldDown time.Duration
	Duration time.Duration
	Side     string
	Count    int
	All      bool
	Role     string
}

func killPrimaryBody() schema.Body[faultSpec] {
	return schema.Body[faultSpec]{Arguments: func(s *faultSpec) []schema.Argument {
		return []schema.Argument{
			schema.String("target", &s.Target, ""),
			schema.String("method", &s.Method, "", schema.OneOf("graceful", "force_delete"), schema.Later("sigkill")),
			schema.Duration("hold_down", &s.HoldDown, ""),
			schema.Number("count", &s.Count, ""),
			schema.Bool("all", &s.All, ""),
			schema.String("role", &s.Role, ""),
		}
	}}
}

func partitionBody() schema.Body[faultSpec] {
	return schema.Body[faultSpec]{Arguments: func(s *faultSpec) []schema.Argument {
		side := func(v cty.Value, _ *schema.Decoded) {
			if v.CanIterateElements() && v.AsValueMap()["namespace"] != cty.NilVal {
				s.Side = v.AsValueMap()["namespace"].AsString()
			}
		}
		return []schema.Argument{
			schema.String("target", &s.Target, ""),
			schema.Duration("duration", &s.Duration, "How long it lasts.", schema.Required()),
			schema.Value("from", "object", "One side.", side, schema.Required()),
			schema.Value("to", "object", "The other side.", side, schema.Required()),
			schema.String("direction", &s.Role, ""),
		}
	}}
}

// kind makes a kind of a body.
func kind[Spec any](k drillfile.Kind, b schema.Body[Spec]) drillfile.Kind {
	k.Table = b.Table()
	k.Decode = func(body hcl.Body, ctx *hcl.EvalContext) (any, *schema.Decoded) { return b.Decode(body, ctx) }
	return k
}

// kinds are the test's own, so that nothing here depends on a fault or a target.
func kinds() drillfile.Kinds {
	plain := func(spec any) []string { return []string{spec.(plainSpec).Namespace} }
	hold := func(spec any) time.Duration { return spec.(faultSpec).HoldDown + spec.(faultSpec).Duration }
	return drillfile.Kinds{
		Targets: []drillfile.Kind{kind(drillfile.Kind{
			Name: "postgresql", Doc: "A PostgreSQL cluster.", Probed: true,
			Attributes: []schema.Attribute{
				schema.Seconds("outage_seconds", ""), schema.Seconds("lag_seconds", ""), schema.Ratio("success_ratio", ""), schema.Count("primaries", ""),
				schema.Seconds("read_outage_seconds", ""), schema.Seconds("staleness_seconds", ""), schema.Count("sum_violations", ""), schema.Count("register_violations", ""),
			},
			Namespaces: func(spec any) []string { return []string{spec.(postgresqlSpec).Namespace} },
			Checks:     []drill.Check{drill.CheckReads, drill.CheckOwn, drill.CheckSum, drill.CheckRegister},
		}, postgresqlBody()), kind(drillfile.Kind{
			Name: "deployment", Doc: "A stateless service.", NoLedger: true, Namespaces: plain,
			Attributes: []schema.Attribute{
				schema.Seconds("outage_seconds", ""), schema.Ratio("success_ratio", ""), schema.Count("ready", ""), schema.Count("desired", ""),
			},
		}, plainBody("namespace", "selector", "service"))},
		Probes: []drillfile.Kind{kind(drillfile.Kind{
			Name: "http", Doc: "An HTTP server.",
			Attributes: []schema.Attribute{
				schema.Seconds("outage_seconds", ""), schema.Ratio("success_ratio", ""), schema.Seconds("latency_seconds", ""),
			},
		}, httpBody()), kind(drillfile.Kind{
			Name: "tcp", Doc: "A TCP port.", Attributes: []schema.Attribute{schema.Seconds("outage_seconds", "")},
		}, plainBody("address")), kind(drillfile.Kind{
			Name: "kubernetes", Doc: "A Service's endpoints.",
			Attributes: []schema.Attribute{schema.Count("ready_endpoints", "")},
		}, plainBody("namespace", "service")), kind(drillfile.Kind{
			Name: "promql", Doc: "A query.", Attributes: []schema.Attribute{schema.Any("value", "")},
		}, plainBody("address"))},
		Faults: []drillfile.Kind{kind(drillfile.Kind{
			Name: "kill_primary", Doc: "The primary dies.", Hold: hold,
			Check: func(spec any, name string, targets []drill.TargetSpec) string {
				for _, t := range targets {
					if t.Name == name || t.Name == spec.(faultSpec).Target {
						return ""
					}
				}
				return fmt.Sprintf("The name of a kill_primary fault is the target whose primary dies, and there is no target named %q.", name)
			},
		}, killPrimaryBody()), kind(drillfile.Kind{
			Name: "pod_kill", Doc: "Pods are removed.",
		}, killPrimaryBody()), kind(drillfile.Kind{
			Name: "network_partition", Doc: "A network is cut.", Hold: hold,
			Namespaces: func(spec any) []string { return []string{spec.(faultSpec).Side} },
		}, partitionBody())},
	}
}
