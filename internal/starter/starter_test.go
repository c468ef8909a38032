package starter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
)

const ns = "shop"

func meta(name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: ns, Labels: labels, UID: types.UID("uid-" + name)}
}

func owned(m metav1.ObjectMeta, kind, name string) metav1.ObjectMeta {
	m.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, Controller: new(true)}}
	return m
}

// pods are n members; the first has the labels of a primary, and the others those of replicas.
func pods(n int, kind, owner, image string, common, primary, replica map[string]string) (all []runtime.Object) {
	for i := range n {
		labels := maps.Clone(common)
		maps.Copy(labels, replica)
		if i == 0 {
			maps.Copy(labels, primary)
		}
		labels[corev1.LabelTopologyZone] = "zone-" + string(rune('a'+i))
		all = append(all, &corev1.Pod{ObjectMeta: owned(meta(fmt.Sprintf("%s-%d", owner, i), labels), kind, owner),
			Spec:   corev1.PodSpec{NodeName: fmt.Sprintf("node-%d", i), Containers: []corev1.Container{{Name: "main", Image: image}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.0.0.%d", i+1)}})
	}
	return all
}

// service leads to the pods of the addresses, as its controller would say it, or Patroni: by the address alone.
func service(name string, ports []corev1.ServicePort, ips ...string) []runtime.Object {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta(name+"-x", map[string]string{discoveryv1.LabelServiceName: name})}
	for _, ip := range ips {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}})
	}
	return []runtime.Object{&corev1.Service{ObjectMeta: meta(name, nil), Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.9", Ports: ports}}, slice}
}

func secret(name string, keys ...string) runtime.Object {
	s := &corev1.Secret{ObjectMeta: meta(name, nil), Data: map[string][]byte{}}
	for _, k := range keys {
		s.Data[k] = []byte("postgres://u:hunter2@h/db")
	}
	return s
}

// endpoints are where Patroni keeps its state when it uses no ConfigMaps.
func endpoints(name string, said m) runtime.Object {
	return &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns, Annotations: said}} //nolint:staticcheck // deprecated, and in use
}

func statefulSet(name string, match map[string]string) runtime.Object {
	return &appsv1.StatefulSet{ObjectMeta: meta(name, nil), Spec: appsv1.StatefulSetSpec{Selector: &metav1.LabelSelector{MatchLabels: match}}}
}

type m = map[string]string

func patroniPods() []runtime.Object {
	all := pods(3, "StatefulSet", "orders", "registry.example/patroni:demo", m{"application": "patroni", "cluster-name": "orders"}, m{"role": "master"}, m{"role": "replica"})
	all = append(all, service("orders", nil, "10.0.0.1")...)
	all = append(all, service("orders-replicas", nil, "10.0.0.2", "10.0.0.3")...)
	return append(all, secret("orders-app", "uri", "password"), secret("orders-drill", "uri", "password"), secret("orders-patroni", "superuser-password"))
}

// refusing is a Choose for where nobody can be asked.
func refusing(c Choice) (string, error) {
	text := c.Flag + ":"
	for _, o := range c.Options {
		text += " " + o.Value + ";"
	}
	return "", &drill.Refusal{Code: "several", Text: text}
}

func look(t *testing.T, o Options, objects ...runtime.Object) (*System, error) {
	t.Helper()
	if o.Namespace == "" {
		o.Namespace = ns
	}
	if o.Choose == nil {
		o.Choose = refusing
	}
	api := fake.NewClientset(objects...)
	s, err := Look(t.Context(), api, o)
	for _, a := range api.Actions() {
		require.Contains(t, []string{"get", "list"}, a.GetVerb(), "it only reads")
	}
	return s, err
}

// TestSystems: what each system is taken for, and what a drill of it names.
func TestSystems(t *testing.T) {
	http := []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}
	for name, tc := range map[string]struct {
		objects []runtime.Object
		o       Options
		want    System // what is not "" or 0 in it must be found
		says    []string
		never   []string
	}{
		"Patroni with ConfigMaps": {
			objects: append(patroniPods(),
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "orders-config", Namespace: ns, Annotations: m{"config": `{"ttl":20,"synchronous_mode":true}`}}},
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "other-config", Namespace: ns, Annotations: m{"config": `{"ttl":99}`}}},
				&policyv1.PodDisruptionBudget{ObjectMeta: meta("orders", nil), Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: m{"cluster-name": "orders"}}}}),
			want: System{Kind: "postgresql", Preset: "patroni", Name: "orders", Selector: "application=patroni,cluster-name=orders", Primary: "orders-0", Service: "orders", Read: "orders-replicas", TTL: 20e9, Sync: true},
			says: []string{`dsn = secret("orders-drill", "uri")`, `hold_down = "30s"`, `recovery_time = "40s"`, `read_service = "orders-replicas"`, "ttl = 20s", "Replication is synchronous", "failed_over = true"},
		},
		"Patroni whose environment names its labels": {
			objects: func() []runtime.Object {
				all := pods(2, "StatefulSet", "db", "registry.example/own:1", m{"team": "pay", "scope": "ledger", "version": "7"}, m{"role": "primary"}, m{"role": "replica"})
				for _, o := range all {
					o.(*corev1.Pod).Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PATRONI_KUBERNETES_SCOPE_LABEL", Value: "scope"}, {Name: "PATRONI_KUBERNETES_LABELS", Value: "{team: pay}"}}
				}
				return all
			}(),
			want: System{Kind: "postgresql", Preset: "patroni", Name: "ledger", Selector: "scope=ledger,team=pay", Primary: "db-0"},
			says: []string{`dsn = secret("ledger-drill", "uri")`, "TODO: name a Secret", `TODO: service = "…"`, "Patroni's ttl, which could not be read"},
		},
		"CloudNativePG": {
			objects: slices.Concat(
				pods(3, "Cluster", "pg", "ghcr.io/cloudnative-pg/postgresql:17", m{"cnpg.io/cluster": "pg", "cnpg.io/podRole": "instance", "role": "x"}, m{"cnpg.io/instanceRole": "primary", "role": "primary"}, m{"cnpg.io/instanceRole": "replica", "role": "replica"}),
				pods(1, "Job", "pg-join", "ghcr.io/cloudnative-pg/postgresql:17", m{"cnpg.io/cluster": "pg", "cnpg.io/jobRole": "join"}, nil, nil),
				service("pg-rw", nil, "10.0.0.1"), service("pg-ro", nil, "10.0.0.2", "10.0.0.3"), service("pg-r", nil, "10.0.0.1", "10.0.0.2", "10.0.0.3"),
				[]runtime.Object{secret("pg-app", "uri", "password", "username"), secret("pg-superuser", "uri"), secret("pg-ca", "ca.crt")}),
			want:  System{Kind: "postgresql", Preset: "cloudnativepg", Name: "pg", Selector: "cnpg.io/cluster=pg,cnpg.io/podRole=instance", Service: "pg-rw", Read: "pg-ro"},
			says:  []string{`dsn = secret("pg-app", "uri")`, "better a role of drill's own", "The operator promotes one"},
			never: []string{"Patroni"},
		},
		"Zalando's operator": {
			objects: slices.Concat(
				pods(2, "StatefulSet", "acid-orders", "ghcr.io/zalando/spilo-17:4.0", m{"application": "spilo", "cluster-name": "acid-orders"}, m{"spilo-role": "master"}, m{"spilo-role": "replica"}),
				service("acid-orders", nil, "10.0.0.1"), service("acid-orders-repl", nil, "10.0.0.2"),
				[]runtime.Object{secret("app.acid-orders.credentials.postgresql.acid.zalan.do", "username", "password"),
					endpoints("acid-orders", m{"ttl": "25", "leader": "acid-orders-0"})}),
			want: System{Kind: "postgresql", Preset: "zalando", Name: "acid-orders", Selector: "application=spilo,cluster-name=acid-orders", Service: "acid-orders", Read: "acid-orders-repl", TTL: 25e9},
			says: []string{`user=${secret("app.acid-orders.credentials.postgresql.acid.zalan.do", "username")}`, "host=acid-orders.shop.svc", "TODO: the name of the database"},
		},
		"Crunchy": {
			objects: slices.Concat(
				pods(2, "StatefulSet", "hippo-00", "crunchy-postgres:17", m{"postgres-operator.crunchydata.com/cluster": "hippo", "postgres-operator.crunchydata.com/data": "postgres"}, m{"postgres-operator.crunchydata.com/role": "master"}, m{"postgres-operator.crunchydata.com/role": "replica"}),
				service("hippo-primary", nil, "10.0.0.1"), []runtime.Object{secret("hippo-pguser-hippo", "uri", "user", "password"),
					endpoints("hippo-ha-config", m{"config": `{"ttl":40}`})}),
			want: System{Kind: "postgresql", Preset: "crunchy", Name: "hippo", Selector: "postgres-operator.crunchydata.com/cluster=hippo,postgres-operator.crunchydata.com/data=postgres", Service: "hippo-primary", TTL: 40e9},
			says: []string{`hold_down = "1m"`, `secret("hippo-pguser-hippo", "uri")`},
		},
		"a Deployment": {
			objects: slices.Concat(func() []runtime.Object {
				all := pods(3, "ReplicaSet", "checkout-7f", "checkout:1", m{"app": "checkout", "pod-template-hash": "7f"}, nil, nil)
				for _, o := range all {
					c := &o.(*corev1.Pod).Spec.Containers[0]
					c.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}
					c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("http")}}}
				}
				return all
			}(), service("checkout", http, "10.0.0.1", "10.0.0.2", "10.0.0.3"), []runtime.Object{
				&appsv1.ReplicaSet{ObjectMeta: owned(meta("checkout-7f", nil), "Deployment", "checkout"), Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: m{"app": "checkout", "pod-template-hash": "7f"}}}},
				&appsv1.Deployment{ObjectMeta: meta("checkout", nil), Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: m{"app": "checkout"}}}}}),
			want:  System{Kind: "deployment", Name: "checkout", Selector: "app=checkout", Controller: "Deployment checkout", Service: "checkout"},
			says:  []string{`fault "pod_kill" "checkout"`, `url = "http://checkout.shop.svc/healthz"`, "TODO: the path"},
			never: []string{"secret(", "lost_writes"},
		},
		"a StatefulSet behind a headless Service": {
			objects: slices.Concat(pods(2, "StatefulSet", "queue", "queue:1", m{"app": "queue"}, nil, nil), []runtime.Object{statefulSet("queue", m{"app": "queue"})},
				func() []runtime.Object {
					all := service("queue", []corev1.ServicePort{{Port: 7000}}, "10.0.0.1", "10.0.0.2")
					all[0].(*corev1.Service).Spec.ClusterIP = corev1.ClusterIPNone
					return all
				}()),
			want: System{Kind: "deployment", Name: "queue", Selector: "app=queue", Controller: "StatefulSet queue", Service: "queue"},
			says: []string{`address = "queue.shop.svc:7000"`},
		},
		"MySQL, for which there is no kind": {
			objects: slices.Concat(pods(3, "StatefulSet", "db", "docker.io/library/mysql:8.4@sha256:0", m{"app": "db"}, nil, nil), []runtime.Object{statefulSet("db", m{"app": "db"})}, service("db", []corev1.ServicePort{{Port: 3306}}, "10.0.0.1", "10.0.0.2", "10.0.0.3")),
			want:    System{Kind: "deployment", NotYet: "MySQL", Name: "db", Service: "db"},
			says:    []string{"drill has no target of a kind for MySQL yet", `target "deployment" "db"`, `probe "tcp" "clients"`, "db.shop.svc:3306"},
		},
		"Redis by its label": {
			objects: slices.Concat(pods(1, "StatefulSet", "cache", "own/image:1", m{"app.kubernetes.io/name": "redis"}, nil, nil), []runtime.Object{statefulSet("cache", m{"app.kubernetes.io/name": "redis"})}),
			want:    System{NotYet: "Redis"},
			says:    []string{"There is one pod only", `TODO: service = "…"`},
		},
		"PostgreSQL without role labels": {
			objects: slices.Concat(pods(2, "StatefulSet", "pg", "postgres:17", m{"app": "pg"}, nil, nil), []runtime.Object{statefulSet("pg", m{"app": "pg"})}),
			want:    System{NotYet: postgresAlone},
			says:    []string{"role_label and primary_value"},
		},
		"what stands beside a system": {
			objects: slices.Concat(pods(2, "StatefulSet", "metrics", "own/redis-exporter:1", m{"app": "metrics"}, nil, nil), []runtime.Object{statefulSet("metrics", m{"app": "metrics"})}),
			want:    System{Title: "StatefulSet"},
			never:   []string{"Redis"},
		},
		"a Secret that is named": {
			objects: append(patroniPods(), secret("extra", "dsn-of-drill")), o: Options{Secret: "extra/dsn-of-drill"},
			says: []string{`dsn = secret("extra", "dsn-of-drill")`},
		},
		"a selector of the user's": {
			objects: patroniPods(), o: Options{Selector: "cluster-name=orders"},
			want: System{Selector: "cluster-name=orders", Service: "orders"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := look(t, tc.o, tc.objects...)
			require.NoError(t, err)
			for what, pair := range map[string][2]string{"kind": {tc.want.Kind, s.Kind}, "preset": {tc.want.Preset, s.Preset}, "name": {tc.want.Name, s.Name}, "selector": {tc.want.Selector, s.Selector},
				"primary": {tc.want.Primary, s.Primary}, "service": {tc.want.Service, s.Service}, "read": {tc.want.Read, s.Read}, "not yet": {tc.want.NotYet, s.NotYet},
				"controller": {tc.want.Controller, s.Controller}, "title": {tc.want.Title, s.Title}} {
				if pair[0] != "" {
					require.Equal(t, pair[0], pair[1], what)
				}
			}
			require.Equal(t, tc.want.Sync, s.Sync)
			if tc.want.TTL > 0 {
				require.Equal(t, tc.want.TTL, s.TTL)
			}
			src := s.Write("first")
			text := strings.Join(strings.Fields(strings.ReplaceAll(string(src), "#", " ")), " ")
			for _, want := range tc.says {
				require.Contains(t, text, want)
			}
			for _, not := range append(tc.never, "hunter2") {
				require.NotContains(t, string(src), not)
			}
			_, diags := hclsyntax.ParseConfig(src, "first.hcl", hcl.InitialPos)
			require.False(t, diags.HasErrors(), diags)
			require.Equal(t, string(hclwrite.Format(src)), string(src), "it is formatted")
		})
	}
}

// TestSeveralAnswers: nothing is guessed where several answers are right.
func TestSeveralAnswers(t *testing.T) {
	other := append(pods(2, "StatefulSet", "queue", "queue:1", m{"app": "queue"}, nil, nil), statefulSet("queue", m{"app": "queue"}))
	for name, tc := range map[string]struct {
		objects []runtime.Object
		o       Options
		says    string
	}{
		"two systems":          {append(patroniPods(), other...), Options{}, "--selector: application=patroni,cluster-name=orders; app=queue;"},
		"two Services":         {append(patroniPods(), service("orders-lb", nil, "10.0.0.1")...), Options{}, "--service: orders; orders-lb;"},
		"two Secrets of drill": {append(patroniPods(), secret("orders-drill-ro", "uri")), Options{}, "--secret: orders-drill; orders-drill-ro;"},
		"a pooler is another system": {append(patroniPods(), pods(1, "ReplicaSet", "pool-1", "pgbouncer:1", m{"cnpg.io/cluster": "pg", "cnpg.io/podRole": "pooler", "pod-template-hash": "1"}, nil, nil)...), Options{},
			"--selector: application=patroni,cluster-name=orders; cnpg.io/cluster=pg,cnpg.io/podRole=pooler;"},
		"a role alone is no Patroni": {append(patroniPods(), pods(1, "ReplicaSet", "web-1", "web:1", m{"cluster-name": "web", "role": "primary", "pod-template-hash": "1"}, nil, nil)...), Options{},
			"--selector: application=patroni,cluster-name=orders; cluster-name=web;"},
		"no such Service":      {patroniPods(), Options{Service: "checkout"}, `Service "checkout" in namespace shop leads to none of`},
		"no such Secret":       {patroniPods(), Options{Secret: "none"}, `no Secret "none"`},
		"no such key":          {patroniPods(), Options{Secret: "orders-app/none"}, `no key "none"; it has: password, uri`},
		"no key that is known": {patroniPods(), Options{Secret: "orders-patroni"}, "--secret orders-patroni/KEY; it has: superuser-password"},
		"no pods":              {append(patroniPods(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}), Options{Selector: "app=none"}, `"app=none" matches no running pod`},
		"no namespace":         {nil, Options{Namespace: "none"}, `no namespace "none"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := look(t, tc.o, tc.objects...)
			_, ok := errors.AsType[*drill.Refusal](err)
			require.True(t, ok, err)
			require.ErrorContains(t, err, tc.says)
		})
	}
	s, err := look(t, Options{Choose: func(c Choice) (string, error) { return c.Options[1].Value, nil }}, append(patroniPods(), other...)...)
	require.NoError(t, err)
	require.Equal(t, "queue", s.Name, "whoever can be asked chooses")
}

// TestWithoutRights: what may not be listed becomes a TODO, and never an error.
func TestWithoutRights(t *testing.T) {
	for _, resource := range []string{"secrets", "services", "endpointslices", "poddisruptionbudgets", "configmaps", "statefulsets"} {
		t.Run(resource, func(t *testing.T) {
			api := fake.NewClientset(patroniPods()...)
			api.PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", nil)
			})
			s, err := Look(t.Context(), api, Options{Namespace: ns, Choose: refusing})
			require.NoError(t, err)
			src := string(s.Write("first"))
			if resource == "secrets" {
				require.Contains(t, src, "TODO: name a Secret")
			}
			if resource != "statefulsets" {
				require.Contains(t, src, "You may not list", "it says what it did not see")
			}
		})
	}
	api := fake.NewClientset(patroniPods()...)
	api.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)
	})
	_, err := Look(t.Context(), api, Options{Namespace: ns, Choose: refusing})
	require.ErrorContains(t, err, "You may not list pods")
}

// TestSecretsAreForgotten: nothing of a value is in what was found.
func TestSecretsAreForgotten(t *testing.T) {
	s, err := look(t, Options{}, patroniPods()...)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%+v %+v", s, s.Secret), "hunter2")
}

// TestWhoIsOnTheWayOut: pods that go, or have gone, are no members.
func TestWhoIsOnTheWayOut(t *testing.T) {
	objects := patroniPods()
	leaving := pods(1, "StatefulSet", "left", "x:1", m{"application": "patroni", "cluster-name": "orders", "role": "replica"}, nil, nil)[0].(*corev1.Pod)
	leaving.DeletionTimestamp, leaving.Finalizers = new(metav1.Now()), []string{"a/b"}
	failed := pods(1, "StatefulSet", "failed", "x:1", m{"application": "patroni", "cluster-name": "orders", "role": "replica"}, nil, nil)[0].(*corev1.Pod)
	failed.Status.Phase = corev1.PodFailed
	s, err := look(t, Options{}, append(objects, leaving, failed)...)
	require.NoError(t, err)
	require.Equal(t, []string{"orders-0", "orders-1", "orders-2"}, s.Members)
}

func TestNames(t *testing.T) {
	require.Equal(t, "x7-zwerge", name("7-zwerge"))
	require.Equal(t, "a-b", name("a.b"))
	require.Equal(t, "x", name(""))
	require.LessOrEqual(t, len((&System{Kind: kindPostgreSQL, Name: strings.Repeat("n", 63)}).DrillName()), 63)
}
