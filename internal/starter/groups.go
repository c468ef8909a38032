package starter

import (
	"context"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// group are the pods of one system.
type group struct {
	sys  *System
	pods []corev1.Pod
}

// Labels by which operators mark their pods.
const (
	cnpgCluster    = "cnpg.io/cluster"
	cnpgRole       = "cnpg.io/instanceRole"
	cnpgPodRole    = "cnpg.io/podRole"
	crunchyCluster = "postgres-operator.crunchydata.com/cluster"
	crunchyData    = "postgres-operator.crunchydata.com/data"
	crunchyRole    = "postgres-operator.crunchydata.com/role"
	spiloRole      = "spilo-role"
	patroniRole    = "role"
	clusterName    = "cluster-name"
	application    = "application"
)

// leads reports whether a pod is labelled as the primary, by any of the operators.
func leads(p corev1.Pod) bool {
	for _, label := range []string{cnpgRole, crunchyRole, spiloRole, patroniRole} {
		if v, ok := p.Labels[label]; ok {
			return v == "master" || v == "primary"
		}
	}
	return false
}

// group sorts the pods into systems, in the order of their names.
func (l *looker) group(ctx context.Context) []*group {
	var groups []*group
	controllers := map[string]controller{}
	for _, pod := range l.pods {
		sys := operated(pod)
		if sys == nil {
			sys = l.controlled(ctx, pod, controllers)
		}
		if sys == nil {
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.sys.Title == sys.Title && g.sys.Selector == sys.Selector })
		if i < 0 {
			i, groups = len(groups), append(groups, &group{sys: sys})
		}
		groups[i].pods = append(groups[i].pods, pod)
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return strings.Compare(a.sys.Name, b.sys.Name) })
	return groups
}

// operated is the PostgreSQL cluster that a pod belongs to, by the labels of whoever keeps it. Poolers and jobs beside the
// members have other labels, and are none.
func operated(pod corev1.Pod) *System {
	at := pod.Labels
	switch {
	case at[cnpgRole] != "" || at[cnpgPodRole] == "instance":
		s := &System{Title: "PostgreSQL, kept by CloudNativePG", Kind: kindPostgreSQL, Preset: "cloudnativepg", Name: at[cnpgCluster], Selector: cnpgCluster + "=" + at[cnpgCluster]}
		if at[cnpgPodRole] != "" {
			s.Selector += "," + cnpgPodRole + "=" + at[cnpgPodRole]
		}
		return s
	case at[crunchyCluster] != "" && at[crunchyData] == "postgres":
		return &System{Title: "PostgreSQL, kept by Crunchy", Kind: kindPostgreSQL, Preset: "crunchy", Name: at[crunchyCluster],
			Selector: crunchyCluster + "=" + at[crunchyCluster] + "," + crunchyData + "=postgres"}
	case at[spiloRole] != "" && at[clusterName] != "":
		return &System{Title: "PostgreSQL, kept by Zalando's operator", Kind: kindPostgreSQL, Preset: "zalando", Name: at[clusterName], Selector: marks(at, application, clusterName)}
	case at[patroniRole] != "":
		return patroni(pod)
	}
	return nil
}

// patroni is the cluster of a pod in which Patroni runs: it marks its pods with the labels that its environment names.
func patroni(pod corev1.Pod) *System {
	scope, kept := clusterName, map[string]string{}
	runs := pod.Labels[application] == "patroni" || pod.Labels[application] == "spilo"
	for _, c := range pod.Spec.Containers {
		runs = runs || slices.Contains(words(c.Image), "patroni") || slices.Contains(words(c.Image), "spilo")
		for _, e := range c.Env {
			switch e.Name {
			case "PATRONI_KUBERNETES_SCOPE_LABEL", "KUBERNETES_SCOPE_LABEL":
				scope, runs = e.Value, true
			case "PATRONI_KUBERNETES_LABELS", "KUBERNETES_LABELS":
				_ = yaml.Unmarshal([]byte(e.Value), &kept) // what is no map says nothing
				runs = true
			}
		}
	}
	if !runs || pod.Labels[scope] == "" {
		return nil
	}
	by := []string{application, scope}
	for label := range kept {
		if !slices.Contains(by, label) {
			by = append(by, label)
		}
	}
	slices.Sort(by)
	return &System{Title: "PostgreSQL, kept by Patroni", Kind: kindPostgreSQL, Preset: "patroni", Name: pod.Labels[scope], Selector: marks(pod.Labels, by...)}
}

// marks is the selector of those of the labels that are there.
func marks(have map[string]string, by ...string) string {
	var all []string
	for _, label := range by {
		if v, ok := have[label]; ok {
			all = append(all, label+"="+v)
		}
	}
	return strings.Join(all, ",")
}

// controller is what makes pods anew, with the labels by which it knows them.
type controller struct{ kind, name, selector string }

// controlled is the system that a pod's controller makes. Pods without one come back by nobody, and those of a DaemonSet
// belong to their nodes.
func (l *looker) controlled(ctx context.Context, pod corev1.Pod, seen map[string]controller) *System {
	owner := metav1.GetControllerOf(&pod)
	if owner == nil || owner.Kind != "ReplicaSet" && owner.Kind != "StatefulSet" {
		return nil
	}
	c, ok := seen[owner.Kind+"/"+owner.Name]
	if !ok {
		c = l.controller(ctx, pod, owner)
		seen[owner.Kind+"/"+owner.Name] = c
	}
	s := &System{Title: c.kind, Kind: kindDeployment, Name: c.name, Selector: c.selector, Controller: c.kind + " " + c.name}
	if what := stateful(pod); what != "" {
		s.Title, s.NotYet = what+" ("+c.kind+")", what
	}
	return s
}

// controller finds the owner's owner, and by which labels it knows its pods. Where it may not be read, the pod's own
// labels serve, without those that change.
func (l *looker) controller(ctx context.Context, pod corev1.Pod, owner *metav1.OwnerReference) controller {
	c := controller{kind: owner.Kind, name: owner.Name}
	var selector *metav1.LabelSelector
	apps := l.kube.AppsV1()
	if owner.Kind == "StatefulSet" {
		if s, err := apps.StatefulSets(l.Namespace).Get(ctx, owner.Name, metav1.GetOptions{}); err == nil {
			selector = s.Spec.Selector
		}
	} else if rs, err := apps.ReplicaSets(l.Namespace).Get(ctx, owner.Name, metav1.GetOptions{}); err == nil {
		selector = rs.Spec.Selector
		if up := metav1.GetControllerOf(rs); up != nil && up.Kind == "Deployment" {
			c.kind, c.name = up.Kind, up.Name
			if d, err := apps.Deployments(l.Namespace).Get(ctx, up.Name, metav1.GetOptions{}); err == nil {
				selector = d.Spec.Selector
			}
		}
	} else if hash := pod.Labels["pod-template-hash"]; hash != "" {
		c.kind, c.name = "Deployment", strings.TrimSuffix(owner.Name, "-"+hash)
	}
	if s, err := metav1.LabelSelectorAsSelector(selector); err == nil && selector != nil {
		c.selector = s.String()
	} else {
		c.selector = lasting(pod.Labels)
	}
	return c
}

// lasting is the selector of a pod's labels without those that differ from pod to pod or from version to version.
func lasting(all map[string]string) string {
	kept := labels.Set{}
	for k, v := range all {
		switch {
		case strings.HasPrefix(k, "statefulset.kubernetes.io/"), strings.HasPrefix(k, "apps.kubernetes.io/"), strings.HasPrefix(k, "topology.kubernetes.io/"),
			k == "pod-template-hash", k == "controller-revision-hash", k == patroniRole, strings.HasSuffix(k, "/version"), k == "helm.sh/chart":
		default:
			kept[k] = v
		}
	}
	return kept.AsSelector().String()
}

// stateful names a sort of system that drill has no kind for yet, by the pod's labels and images; "" for any other.
func stateful(pod corev1.Pod) string {
	sorts := map[string]string{
		"mysql": "MySQL", "mariadb": "MariaDB", "percona": "MySQL", "redis": "Redis", "valkey": "Valkey", "etcd": "etcd", "mongo": "MongoDB", "mongodb": "MongoDB",
		"kafka": "Kafka", "rabbitmq": "RabbitMQ", "elasticsearch": "Elasticsearch", "opensearch": "OpenSearch", "cassandra": "Cassandra", "nats": "NATS",
		"zookeeper": "ZooKeeper", "cockroach": "CockroachDB", "postgres": postgresAlone, "postgresql": postgresAlone,
	}
	all := [][]string{words(pod.Labels["app.kubernetes.io/name"]), words(pod.Labels["app"])}
	for _, c := range pod.Spec.Containers {
		all = append(all, words(c.Image))
	}
	for _, w := range all {
		if len(w) > 0 && !slices.ContainsFunc(w, func(s string) bool { return slices.Contains(aside, s) }) && sorts[w[0]] != "" {
			return sorts[w[0]]
		}
	}
	return ""
}

// postgresAlone is a PostgreSQL whose pods carry no role label that drill knows.
const postgresAlone = "PostgreSQL without role labels"

// aside are words in the names of what stands beside a system.
var aside = []string{"exporter", "operator", "proxy", "commander", "ui", "admin", "backup"}

// words are those of an image's or an application's name, without registry and tag.
func words(image string) []string {
	base, _, _ := strings.Cut(path.Base(image), "@")
	base, _, _ = strings.Cut(base, ":")
	return strings.FieldsFunc(strings.ToLower(base), func(r rune) bool { return r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' })
}
