package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/faults"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/internal/schema"
	"github.com/failoverdrill/drill/internal/targets"
)

func content(t *testing.T, pattern string) (text string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		text += string(raw)
	}
	return text
}

// mustHold is require.Contains without a print of the text, which is a page or more.
func mustHold(t *testing.T, text, part, format string, args ...any) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Fatalf(format, args...)
	}
}

// TestEveryKindIsWhole is what makes "one file, one line, one page, one drill, one fixture" true.
func TestEveryKindIsWhole(t *testing.T) {
	shipped := content(t, "../../drills/*.hcl")
	for _, k := range kindRows() {
		t.Run(k.Block+" "+k.Name, func(t *testing.T) {
			page := content(t, "../../"+k.page())
			mustHold(t, page, "# `"+k.Name+"`", "write its page, %s", k.page())
			mustHold(t, page, "<!-- generated: "+k.Block+" "+k.Name+" -->", "%s must list the arguments, which make reference does", k.page())
			require.NotEmpty(t, k.Table.Arguments)
			require.NotEmpty(t, k.Example)
			for _, p := range k.Permissions() {
				resource, _, _ := strings.Cut(p.Resource, "/")
				mustHold(t, page, "`"+p.Verb+"`", "%s must name the right to %s", k.page(), p)
				mustHold(t, strings.ToLower(page), resource, "%s must name the right to %s", k.page(), p)
			}
			fixtures := content(t, fixtures+"/errors/"+k.Block+"-"+k.Name+"*.hcl")
			mustHold(t, fixtures, k.Block+` "`+k.Name+`"`, "write testdata/errors/%s-%s.hcl with a mistake, marked # ERROR: summary", k.Block, k.Name)
			if k.Block != "probe" {
				mustHold(t, shipped, k.Block+` "`+k.Name+`"`, "ship a drill that uses it")
			}
		})
	}
	for _, k := range faults.Kinds() {
		require.NotEmpty(t, k.Permissions("ns"), "%s declares the rights that it needs", k.Name)
		mustHold(t, content(t, "../../docs/faults/README.md"), "`"+k.Name+"`", "say who heals %s in the table", k.Name)
	}
	values := content(t, "../../docs/probes/README.md")
	for _, k := range probes.Kinds() {
		for _, attribute := range schema.Names(k.Attributes) {
			require.Contains(t, values, "`"+attribute+"`", "what conditions may use of %s", k.Name)
		}
	}
	for _, k := range targets.Kinds() {
		for _, attribute := range schema.Names(k.Attributes) {
			require.Contains(t, content(t, "../../docs/targets/"+k.Name+".md"), "."+attribute, "what conditions may use of %s", k.Name)
		}
	}
}

// TestKindOfTargetAndLedger: what a kind declares is what its targets can do.
func TestKindOfTargetAndLedger(t *testing.T) {
	for _, file := range []string{"kill-primary", "pod-kill-one"} {
		d := shippedDrill(t, file+".hcl")
		kind, _ := targets.Find(d.Targets[0].Kind)
		target := kind.Bind(targets.Deps{Run: "test"}, d.Targets[0].Name, d.Targets[0].Spec)
		_, ledger := target.(runner.Ledger)
		_, led := target.(runner.Leadership)
		_, alike := target.(runner.Membership)
		require.Equal(t, !kind.NoLedger, ledger, kind.Name)
		require.Equal(t, !kind.NoLedger, led, kind.Name)
		require.Equal(t, kind.NoLedger, alike, kind.Name)
		require.Equal(t, kind.NoLedger, settings(d).NoLedger, kind.Name)
	}
}

// TestSettings: what the file says of measuring is what the run is measured by.
func TestSettings(t *testing.T) {
	d := shippedDrill(t, "kill-primary.hcl")
	require.Equal(t, drill.Settings{Window: 10 * time.Second, ImpactTimeout: 60 * time.Second, Blip: drill.DefaultBlip, RedundancyLag: 1}, settings(d))
	d.Blip = 100 * time.Millisecond
	require.Equal(t, d.Blip, settings(d).Blip)
}

func shippedDrill(t *testing.T, file string) *drill.Drill {
	t.Helper()
	src, err := os.ReadFile("../../drills/" + file)
	require.NoError(t, err)
	f, diags := drillfile.Load(file, src, fileKinds(), drillfile.Inputs{})
	require.False(t, diags.HasErrors(), diags)
	return f.Drills[0]
}

// TestRunnerMayDoWhatDrillsNeed: the roles that are installed grant what the shipped drills' kinds declare.
func TestRunnerMayDoWhatDrillsNeed(t *testing.T) {
	inTarget, inCluster := role(t, "drill-runner-target"), role(t, "drill-runner")
	files, err := filepath.Glob("../../drills/*.hcl")
	require.NoError(t, err)
	for _, f := range files {
		for _, p := range needsOf(shippedDrill(t, filepath.Base(f))).permissions {
			rules := inCluster
			if p.Namespace != "" && p.Namespace != kube.Namespace && p.Namespace != kube.AgentNamespace {
				rules = inTarget
			}
			require.True(t, grants(rules, p), "%s needs to %s, and deploy/manifests/30-rbac.yaml does not grant it", f, p)
		}
	}
	require.False(t, grants(inTarget, drill.Permission{Verb: "delete", Resource: "namespaces"}))
}

// role is the rules of a ClusterRole, and of the Role of its name in drill's own namespace.
func role(t *testing.T, name string) (rules []rbacv1.PolicyRule) {
	t.Helper()
	for text := range strings.SplitSeq(content(t, "../../deploy/manifests/30-rbac.yaml"), "\n---\n") {
		var r rbacv1.ClusterRole
		require.NoError(t, yaml.Unmarshal([]byte(text), &r))
		if r.Name == name && (r.Kind == "ClusterRole" || r.Kind == "Role") {
			rules = append(rules, r.Rules...)
		}
	}
	require.NotEmpty(t, rules, "there is no role %s", name)
	return rules
}

func grants(rules []rbacv1.PolicyRule, p drill.Permission) bool {
	return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
		return slices.Contains(r.Verbs, p.Verb) && slices.Contains(r.APIGroups, p.Group) && slices.Contains(r.Resources, p.Resource)
	})
}

// TestKindsLeaveMetaArguments: what every block of a type may say is no kind's to declare.
func TestKindsLeaveMetaArguments(t *testing.T) {
	for _, root := range drillfile.Language() {
		for _, block := range root.Body.Blocks {
			for _, k := range map[string][]drillfile.Kind{"target": fileKinds().Targets, "probe": fileKinds().Probes, "fault": fileKinds().Faults}[block.Type] {
				require.NotEmpty(t, k.Table.Arguments, k.Name)
				own, _ := k.Table.Names()
				meta, _ := block.Body.Names()
				for _, name := range own {
					require.NotContains(t, meta, name, "%s %q", block.Type, k.Name)
				}
			}
		}
	}
}
