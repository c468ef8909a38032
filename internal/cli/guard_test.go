package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func victims(namespace string, names ...string) (p drill.FaultPlan) {
	for _, n := range names {
		p.Victims = append(p.Victims, drill.Member{Namespace: namespace, Name: n, UID: "uid-" + n})
	}
	return p
}

func TestNamespaceGuard(t *testing.T) {
	d := shippedDrill(t, "kill-primary-watched.hcl")
	require.Empty(t, checkBounds(d, nil), "a drill without a guard is bounded by nothing")

	d.Guard.Namespaces = []string{"shop", "other"}
	checks := checkBounds(d, []drill.FaultPlan{victims("shop", "orders-0")})
	require.Equal(t, []guardCheck{{What: guardNamespaces, Holds: true, Why: `The drill stays in "shop".`}}, checks)

	checks = checkBounds(d, []drill.FaultPlan{victims("shop", "orders-0"), victims("kube-system", "dns")})
	require.False(t, checks[0].Holds, "a victim is elsewhere")
	require.Contains(t, checks[0].Why, `namespace "kube-system", and the guard allows "shop", "other"`)

	d.Guard.Namespaces = []string{"other"}
	require.False(t, checkBounds(d, nil)[0].Holds, "the target is elsewhere")
}

func TestTheGuardAlsoBoundsWhereProbesLook(t *testing.T) {
	d := shippedDrill(t, "kill-primary-watched.hcl")
	d.Guard.Namespaces = []string{"payments"}
	d.Targets = nil
	require.Contains(t, checkBounds(d, nil)[0].Why, `"shop"`, "the kubernetes probes look there")
}

// TestT21MaxTargetsCountsBothSidesOfACut: swapping them does not pass the guard.
func TestT21MaxTargetsCountsBothSidesOfACut(t *testing.T) {
	one, two := drill.Member{Namespace: "shop", Name: "a", UID: "a"}, drill.Member{Namespace: "elsewhere", Name: "b", UID: "b"}
	d := &drill.Drill{Guard: drill.Guard{MaxTargets: 1, Namespaces: []string{"shop"}}}
	for _, c := range checkBounds(d, []drill.FaultPlan{{Name: "cut", Victims: []drill.Member{one}, Others: []drill.Member{two}}}) {
		require.False(t, c.Holds, c.What)
	}
}

func TestMaxTargetsCountsEveryFaultsVictims(t *testing.T) {
	d := &drill.Drill{Guard: drill.Guard{MaxTargets: 2}}
	plans := []drill.FaultPlan{victims("shop", "a"), victims("shop", "b")}
	require.Equal(t, []guardCheck{{What: guardMaxTargets, Holds: true, Why: "The faults touch 2 of the 2 members that the guard allows."}}, checkBounds(d, plans))
	// The second fault may meet somebody else by then, so the same member counts twice.
	plans = append(plans, victims("shop", "a"))
	for i, name := range []string{"one", "two", "three"} {
		plans[i].Name = name
	}
	err := guard{drill: d}.Allows(plans)
	refusal, ok := errors.AsType[*drill.Refusal](err)
	require.True(t, ok)
	require.Equal(t, "guard", refusal.Code)
	require.Equal(t, "The faults would touch 3 members (one: pod shop/a; two: pod shop/b; three: pod shop/a, or who is in its place by then), and the guard allows 2. Let them touch fewer, or raise the guard's max_targets", refusal.Text)
}

// alertServer answers instant queries as Prometheus does.
func alertServer(t *testing.T, answer func(w http.ResponseWriter, query string)) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || r.URL.Path != "/api/v1/query" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		answer(w, r.Form.Get("query"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestAlertGuard(t *testing.T) {
	firing := `ALERTS{alertname="DatabaseDown",alertstate="firing"}`
	g := drill.Guard{NoAlert: []string{"DatabaseDown", "Quiet"}}
	g.Prometheus = alertServer(t, func(w http.ResponseWriter, query string) {
		result := ""
		if query == firing {
			result = `{"metric":{"__name__":"ALERTS","alertname":"DatabaseDown","alertstate":"firing","db":"orders"},"value":[1,"1"]}`
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, result)
	})
	require.Equal(t, []guardCheck{
		{What: guardNoAlert, Why: `The alert DatabaseDown fires: {db="orders"}. See to it first`},
		{What: guardNoAlert, Holds: true, Why: "The alert Quiet does not fire."},
	}, checkAlerts(t.Context(), g, nil))
	require.NoError(t, guard{drill: &drill.Drill{Guard: drill.Guard{NoAlert: []string{"Quiet"}, Prometheus: g.Prometheus}}}.Quiet(t.Context()))
	require.Error(t, guard{drill: &drill.Drill{Guard: g}}.Quiet(t.Context()))
}

// TestAnAlertThatNobodyCanAskAboutRefuses: silence is no consent.
func TestAnAlertThatNobodyCanAskAboutRefuses(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, server := range map[string]string{
		"nobody listens": gone.URL,
		"no address":     "",
		"no API":         alertServer(t, func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusNotFound) }),
		"an error": alertServer(t, func(w http.ResponseWriter, _ string) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, `{"status":"error","errorType":"timeout","error":"too busy"}`)
		}),
		"another page": alertServer(t, func(w http.ResponseWriter, _ string) { _, _ = fmt.Fprint(w, "<html>Sign in</html>") }),
		"a partial answer": alertServer(t, func(w http.ResponseWriter, _ string) {
			_, _ = fmt.Fprint(w, `{"status":"success","warnings":["one store is away"],"data":{"resultType":"vector","result":[]}}`)
		}),
		"a number": alertServer(t, func(w http.ResponseWriter, _ string) {
			_, _ = fmt.Fprint(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"0"]}}`)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			g := drill.Guard{NoAlert: []string{"DatabaseDown"}, Prometheus: server}
			checks := checkAlerts(t.Context(), g, nil)
			require.Len(t, checks, 1)
			require.False(t, checks[0].Holds)
			require.True(t, checks[0].Unasked)
			require.Contains(t, checks[0].Why, "Whether the alert DatabaseDown fires is not known")
			require.Error(t, guard{drill: &drill.Drill{Guard: g}}.Quiet(t.Context()))
		})
	}
}

func TestAPasswordInPrometheusAddressIsNotShown(t *testing.T) {
	g := drill.Guard{NoAlert: []string{"DatabaseDown"}, Prometheus: "http://me:s3cret@127.0.0.1:1"}
	require.NotContains(t, checkAlerts(t.Context(), g, nil)[0].Why, "s3cret")
}

func TestWhatIsNotAvailableIsRefusedWithEveryPlace(t *testing.T) {
	require.NoError(t, refuseUnavailable(&drill.Drill{}))
	err := refuseUnavailable(&drill.Drill{Name: "later", Unavailable: []drill.Unavailable{
		{Text: "The alert objective is not available yet.", File: "a.hcl", Line: 3},
		{Text: "The method freeze is not available yet.", File: "a.hcl", Line: 9},
	}})
	require.Equal(t, exitRefused, exitCode(err))
	require.EqualError(t, err, `Drill "later" asks for what this version of drill cannot do yet:
  a.hcl:3: The alert objective is not available yet.
  a.hcl:9: The method freeze is not available yet.`)
}
