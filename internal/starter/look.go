package starter

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// zones are those that the members' nodes are in. Pods of a new cluster say it themselves.
func (l *looker) zones(ctx context.Context) error {
	of := map[string]string{}
	for _, p := range l.pods {
		if zone := p.Labels[corev1.LabelTopologyZone]; zone != "" {
			of[p.Spec.NodeName] = zone
		}
	}
	if len(of) == 0 {
		nodes, err := l.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return l.unread("nodes", err)
		}
		for _, n := range nodes.Items {
			of[n.Name] = n.Labels[corev1.LabelTopologyZone]
		}
	}
	for _, p := range l.pods {
		if zone := of[p.Spec.NodeName]; zone != "" && !slices.Contains(l.sys.Zones, zone) {
			l.sys.Zones = append(l.sys.Zones, zone)
		}
	}
	slices.Sort(l.sys.Zones)
	return nil
}

// budgets are the PodDisruptionBudgets that cover members.
func (l *looker) budgets(ctx context.Context) error {
	list, err := l.kube.PolicyV1().PodDisruptionBudgets(l.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return l.unread("PodDisruptionBudgets", err)
	}
	for _, b := range list.Items {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || b.Spec.Selector == nil || !slices.ContainsFunc(l.pods, func(p corev1.Pod) bool { return selector.Matches(labels.Set(p.Labels)) }) {
			continue
		}
		rule := "without a rule"
		switch {
		case b.Spec.MinAvailable != nil:
			rule = "minAvailable " + b.Spec.MinAvailable.String()
		case b.Spec.MaxUnavailable != nil:
			rule = "maxUnavailable " + b.Spec.MaxUnavailable.String()
		}
		l.sys.Budgets = append(l.sys.Budgets, fmt.Sprintf("%s (%s, allows %d now)", b.Name, rule, b.Status.DisruptionsAllowed))
	}
	return nil
}

// led is who a Service leads to, of the members; others says that it leads to somebody else as well.
type led struct {
	service corev1.Service
	members []string
	others  bool
}

// services finds the Service that clients use, and for a database the one that reading clients use.
func (l *looker) services(ctx context.Context) error {
	services, err := l.kube.CoreV1().Services(l.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return l.unread("Services", err)
	}
	endpoints, err := l.kube.DiscoveryV1().EndpointSlices(l.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return l.unread("endpoints of Services", err)
	}
	var all []led
	for _, s := range services.Items {
		// Clients of a headless Service find the members themselves: it never follows a primary.
		if s.Spec.Type == corev1.ServiceTypeExternalName || s.Spec.ClusterIP == corev1.ClusterIPNone && l.sys.Kind == kindPostgreSQL {
			continue
		}
		if to := l.leadsTo(s, endpoints.Items); len(to.members) > 0 {
			all = append(all, to)
		}
	}
	if l.sys.Kind == kindPostgreSQL {
		l.readService(all)
	}
	fits := func(to led) bool { return !to.others && len(to.members) == len(l.pods) }
	if l.sys.Kind == kindPostgreSQL {
		fits = func(to led) bool { return !to.others && slices.Equal(to.members, []string{l.sys.Primary}) }
	}
	c := Choice{What: "Services that lead there", Flag: "--service"}
	for _, headless := range []bool{false, true} { // the latter only where there is no other
		for _, to := range all {
			if (to.service.Spec.ClusterIP == corev1.ClusterIPNone) == headless && (l.Service == to.service.Name || l.Service == "" && fits(to)) {
				c.Options = append(c.Options, Candidate{to.service.Name, "leads to " + strings.Join(to.members, ", ")})
			}
		}
		if len(c.Options) > 0 {
			break
		}
	}
	switch {
	case len(c.Options) == 0 && l.Service != "":
		return refuse("no_service", "Service %q in namespace %s leads to none of %s. Correct --service", l.Service, l.Namespace, strings.Join(l.sys.Members, ", "))
	case len(c.Options) == 0:
		return nil
	case len(c.Options) == 1:
		l.sys.Service = c.Options[0].Value
	default:
		if l.sys.Service, err = l.Choose(c); err != nil {
			return err
		}
	}
	i := slices.IndexFunc(all, func(to led) bool { return to.service.Name == l.sys.Service })
	l.sys.Address = l.address(all[i].service)
	return nil
}

// leadsTo is whom a Service's ready endpoints are.
func (l *looker) leadsTo(s corev1.Service, endpoints []discoveryv1.EndpointSlice) led {
	to := led{service: s}
	for _, slice := range endpoints {
		if slice.Labels[discoveryv1.LabelServiceName] != s.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			i := slices.IndexFunc(l.pods, func(p corev1.Pod) bool {
				return e.TargetRef != nil && e.TargetRef.Name == p.Name || slices.Contains(e.Addresses, p.Status.PodIP)
			})
			switch {
			case i < 0:
				to.others = true
			case !slices.Contains(to.members, l.pods[i].Name):
				to.members = append(to.members, l.pods[i].Name)
			}
		}
	}
	slices.Sort(to.members)
	return to
}

// readService is the Service that leads to the replicas and not to the primary. It is a convenience of reads, so that of
// several the one with most members is taken, and nobody is asked.
func (l *looker) readService(all []led) {
	best := 0
	for _, to := range all {
		if n := len(to.members); !to.others && !slices.Contains(to.members, l.sys.Primary) && n > best {
			best, l.sys.Read = n, to.service.Name
		}
	}
}

// address is what a Service's first port offers: HTTP, by its own word or by the readiness that is asked behind it.
func (l *looker) address(s corev1.Service) Address {
	if len(s.Spec.Ports) == 0 {
		return Address{}
	}
	p := s.Spec.Ports[0]
	a := Address{Port: p.Port}
	a.HTTP = strings.HasPrefix(p.Name, "http") && p.Name != "https" || p.Port == 80 || p.AppProtocol != nil && strings.EqualFold(*p.AppProtocol, "http")
	for _, c := range l.pods[0].Spec.Containers {
		for _, port := range c.Ports {
			here := p.TargetPort.IntValue() == int(port.ContainerPort) || p.TargetPort.StrVal != "" && p.TargetPort.StrVal == port.Name
			probe := c.ReadinessProbe
			if !here || probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Scheme == corev1.URISchemeHTTPS {
				continue
			}
			if probe.HTTPGet.Port.IntValue() == int(port.ContainerPort) || probe.HTTPGet.Port.StrVal != "" && probe.HTTPGet.Port.StrVal == port.Name {
				a.HTTP, a.Path = true, probe.HTTPGet.Path
			}
		}
	}
	return a
}

// timing reads Patroni's lease from where it keeps it: annotations of ConfigMaps, or of Endpoints.
func (l *looker) timing(ctx context.Context) error {
	if l.sys.Kind != kindPostgreSQL || l.sys.Preset == "cloudnativepg" {
		return nil
	}
	maps, err := l.kube.CoreV1().ConfigMaps(l.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		return fmt.Errorf("list the ConfigMaps of namespace %s: %w", l.Namespace, err)
	}
	if err == nil {
		for _, m := range maps.Items {
			l.lease(m.Name, m.Annotations)
		}
	}
	if l.sys.TTL > 0 {
		return nil
	}
	for _, suffix := range []string{"", "-leader", "-config", "-ha-config"} {
		name := l.sys.Name + suffix
		e, err := l.kube.CoreV1().Endpoints(l.Namespace).Get(ctx, name, metav1.GetOptions{}) // where Patroni keeps its state
		if err == nil {
			l.lease(name, e.Annotations)
		}
	}
	if l.sys.TTL == 0 && err != nil {
		return l.unread("ConfigMaps", err)
	}
	return nil
}

// lease takes what Patroni says in the annotations of an object of the cluster's.
func (l *looker) lease(object string, said map[string]string) {
	scope, known := strings.CutSuffix(object, "-config")
	if !known {
		scope, _ = strings.CutSuffix(object, "-leader")
	}
	if scope != l.sys.Name && scope != l.sys.Name+"-ha" {
		return
	}
	var config struct {
		TTL  int  `json:"ttl"`
		Sync bool `json:"synchronous_mode"`
	}
	if err := json.Unmarshal([]byte(said["config"]), &config); err == nil {
		l.sys.Sync = l.sys.Sync || config.Sync
	}
	ttl, _ := strconv.Atoi(said["ttl"])
	for _, n := range []int{config.TTL, ttl} {
		if n > 0 && n < 3600 && l.sys.TTL == 0 {
			l.sys.TTL = time.Duration(n) * time.Second
		}
	}
}

// secrets finds what drill could connect with, by the names of keys alone. The values come with the list; they are dropped
// before anything else happens.
func (l *looker) secrets(ctx context.Context) error {
	if l.sys.Kind != kindPostgreSQL {
		return nil
	}
	name, key, _ := strings.Cut(l.Secret, "/")
	list, err := l.kube.CoreV1().Secrets(l.Namespace).List(ctx, metav1.ListOptions{})
	if name != "" && apierrors.IsForbidden(err) {
		l.sys.Secret = &Secret{Name: name, URI: cmp.Or(key, "uri")}
		return nil
	}
	if err != nil {
		return l.unread("Secrets", err)
	}
	var found []Secret
	for _, s := range list.Items {
		if c, ok := candidate(s.Name, slices.Sorted(maps.Keys(s.Data))); ok && s.Type != corev1.SecretTypeServiceAccountToken {
			found = append(found, c)
		}
	}
	if name != "" {
		return l.named(name, key, found, list.Items)
	}
	found = l.likely(found)
	if len(found) == 0 {
		return nil
	}
	chosen := found[0].Name
	if len(found) > 1 {
		c := Choice{What: "Secrets that drill could connect with", Flag: "--secret"}
		for _, s := range found {
			c.Options = append(c.Options, Candidate{s.Name, "has " + strings.Join(s.keys(), " and ")})
		}
		if chosen, err = l.Choose(c); err != nil {
			return err
		}
	}
	i := slices.IndexFunc(found, func(s Secret) bool { return s.Name == chosen })
	l.sys.Secret = &found[i]
	return nil
}

// named takes the Secret that was asked for, with the key that was, if any.
func (l *looker) named(name, key string, found []Secret, all []corev1.Secret) error {
	i := slices.IndexFunc(all, func(s corev1.Secret) bool { return s.Name == name })
	if i < 0 {
		return refuse("no_secret", "There is no Secret %q in namespace %s. Correct --secret", name, l.Namespace)
	}
	keys := slices.Sorted(maps.Keys(all[i].Data))
	if key != "" && !slices.Contains(keys, key) {
		return refuse("no_secret_key", "Secret %s/%s has no key %q; it has: %s", l.Namespace, name, key, strings.Join(keys, ", "))
	}
	j := slices.IndexFunc(found, func(s Secret) bool { return s.Name == name })
	switch {
	case j >= 0 && (key == "" || slices.Contains(found[j].keys(), key)):
		l.sys.Secret = &found[j]
	case key != "":
		l.sys.Secret = &Secret{Name: name, URI: key}
	default:
		return refuse("no_secret_key", "None of the keys of Secret %s/%s is known to hold a connection string. Say which does with --secret %s/KEY; it has: %s",
			l.Namespace, name, name, strings.Join(keys, ", "))
	}
	return nil
}

// keys are those that drill would read.
func (s Secret) keys() []string {
	if s.URI != "" {
		return []string{s.URI}
	}
	return []string{s.User, s.Password}
}

// candidate is a Secret as something to connect with, if the names of its keys say so.
func candidate(name string, keys []string) (Secret, bool) {
	s := Secret{Name: name}
	first := func(names ...string) string {
		for _, n := range names {
			if i := slices.IndexFunc(keys, func(k string) bool { return strings.EqualFold(k, n) }); i >= 0 {
				return keys[i]
			}
		}
		return ""
	}
	s.URI = first("uri", "dsn", "url", "database_uri", "database_url", "connection-string", "connectionstring")
	s.User, s.Password = first("username", "user"), first("password")
	return s, s.URI != "" || s.User != "" && s.Password != ""
}

// likely leaves those of the Secrets that are nearest to what drill wants: a role of its own, then one whose name speaks of
// the cluster and that holds a whole connection string.
func (l *looker) likely(all []Secret) []Secret {
	for _, fits := range []func(Secret) bool{
		func(s Secret) bool {
			return s.URI != "" && strings.Contains(s.Name, "drill") && strings.Contains(s.Name, l.sys.Name)
		},
		func(s Secret) bool { return strings.Contains(s.Name, "drill") },
		func(s Secret) bool { return s.URI != "" && s.Name == l.sys.Name+"-app" },
		func(s Secret) bool { return s.URI != "" && strings.Contains(s.Name, l.sys.Name) },
		func(s Secret) bool { return strings.Contains(s.Name, l.sys.Name) },
	} {
		var some []Secret
		for _, s := range all {
			if fits(s) {
				some = append(some, s)
			}
		}
		if len(some) > 0 {
			return some
		}
	}
	return all
}
