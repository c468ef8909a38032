package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
)

// LimitsMap is the ConfigMap in drill's namespace with the limits of the cluster's owner.
const LimitsMap = "drill-limits"

// Keys of the ConfigMap with the limits. The flags of drill install have the same names.
const (
	LimitTimeout   = "max-timeout"
	LimitHold      = "max-hold"
	LimitMembers   = "max-members"
	LimitShare     = "max-share"
	LimitNodeShare = "max-node-share"
	LimitKinds     = "kinds"
	LimitProbes    = "probe-allow"
)

// AnyNamespace is the key in Limits.Kinds of all namespaces that have none of their own.
const AnyNamespace = "*"

// Limits are what the cluster's owner allows every drill, whatever its file says. drill install writes them, and only
// administrators may change them.
type Limits struct {
	Timeout    time.Duration       // highest timeout of a drill
	Hold       time.Duration       // longest time for which one fault may be held
	Members    int                 // how many members one run may hurt
	Share      float64             // how many of a target's members one run may hurt, 0 to 1; one is always allowed
	NodeShare  float64             // how many of the cluster's nodes the faults of one run may change, 0 to 1; one is always allowed
	Kinds      map[string][]string // the kinds of fault allowed in a namespace; all kinds where neither it nor AnyNamespace is a key
	ProbeAllow []string            // addresses, CIDRs and host names that probes may reach although they are denied by default
}

// DefaultLimits hold where nothing is set.
func DefaultLimits() Limits {
	return Limits{Timeout: 2 * time.Hour, Hold: 30 * time.Minute, Members: 20, Share: 0.67, NodeShare: 0.34}
}

// LimitError says that the ConfigMap with the limits is there and cannot be used. Until somebody mends it, nothing is admitted.
type LimitError struct{ Problems []string }

func (e *LimitError) Error() string {
	return fmt.Sprintf("ConfigMap %s/%s, which holds the limits of the cluster's owner, cannot be used: %s. An administrator must correct it; until then no drill is admitted",
		Namespace, LimitsMap, strings.Join(e.Problems, "; "))
}

// ParseLimits reads the data of the ConfigMap. A key that is not known is an error: a limit that is misspelt would not limit anything.
func ParseLimits(data map[string]string) (Limits, error) {
	l := DefaultLimits()
	var problems []string
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if err := l.set(key, strings.TrimSpace(data[key])); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", key, err))
		}
	}
	if problems != nil {
		return Limits{}, &LimitError{problems}
	}
	return l, nil
}

func (l *Limits) set(key, text string) (err error) {
	switch key {
	case LimitTimeout:
		l.Timeout, err = limitDuration(text)
	case LimitHold:
		l.Hold, err = limitDuration(text)
	case LimitMembers:
		if l.Members, err = strconv.Atoi(text); err != nil || l.Members < 1 {
			err = fmt.Errorf("%q is not a whole number from 1", text)
		}
	case LimitShare:
		l.Share, err = limitShare(text)
	case LimitNodeShare:
		l.NodeShare, err = limitShare(text)
	case LimitKinds:
		l.Kinds, err = limitKinds(text)
	case LimitProbes:
		l.ProbeAllow = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ' ' })
		for _, one := range l.ProbeAllow {
			if err = checkReachable(one); err != nil {
				return err
			}
		}
	default:
		err = fmt.Errorf("this limit is not known; known are %s", strings.Join([]string{LimitTimeout, LimitHold, LimitMembers, LimitShare, LimitNodeShare, LimitKinds, LimitProbes}, ", "))
	}
	return err
}

func limitDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a duration above 0, such as 90m", text)
	}
	return d, nil
}

func limitShare(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f > 0 && f <= 1) {
		return 0, fmt.Errorf("%q is not a share above 0 and up to 1, such as 0.5", text)
	}
	return f, nil
}

// limitKinds reads lines such as "shop=pod_kill,kill_primary". A line without kinds allows none.
func limitKinds(text string) (map[string][]string, error) {
	all := map[string][]string{}
	for line := range strings.FieldsSeq(text) {
		namespace, kinds, found := strings.Cut(line, "=")
		if !found || namespace != AnyNamespace && len(validation.IsDNS1123Label(namespace)) > 0 {
			return nil, fmt.Errorf("%q is not NAMESPACE=KIND,KIND, such as shop=pod_kill; NAMESPACE may be * for all others", line)
		}
		if _, twice := all[namespace]; twice {
			return nil, fmt.Errorf("namespace %s is there twice", namespace)
		}
		all[namespace] = strings.FieldsFunc(kinds, func(r rune) bool { return r == ',' })
	}
	return all, nil
}

// checkReachable holds an entry of probe-allow to an address, a CIDR or a host's name.
func checkReachable(text string) error {
	if _, err := netip.ParsePrefix(text); err == nil {
		return nil
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return nil
	}
	if strings.Contains(text, "/") || len(validation.IsDNS1123Subdomain(strings.ToLower(text))) > 0 {
		return fmt.Errorf("%q is neither an address, a CIDR nor the name of a host", text)
	}
	return nil
}

// Data are the limits as the ConfigMap holds them.
func (l Limits) Data() map[string]string {
	data := map[string]string{
		LimitTimeout: l.Timeout.String(), LimitHold: l.Hold.String(), LimitMembers: strconv.Itoa(l.Members),
		LimitShare: strconv.FormatFloat(l.Share, 'g', -1, 64), LimitNodeShare: strconv.FormatFloat(l.NodeShare, 'g', -1, 64),
	}
	if l.Kinds != nil {
		var lines []string
		for _, ns := range slices.Sorted(maps.Keys(l.Kinds)) {
			lines = append(lines, ns+"="+strings.Join(l.Kinds[ns], ","))
		}
		data[LimitKinds] = strings.Join(lines, "\n")
	}
	if len(l.ProbeAllow) > 0 {
		data[LimitProbes] = strings.Join(l.ProbeAllow, "\n")
	}
	return data
}

// ReadLimits reads the limits of the cluster that client leads to; without the ConfigMap these are the defaults. A
// *LimitError says that they cannot be used.
func ReadLimits(ctx context.Context, client kubernetes.Interface, namespace string) (Limits, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, LimitsMap, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return DefaultLimits(), nil
	case err != nil:
		return Limits{}, fmt.Errorf("read the limits of the cluster's owner, ConfigMap %s/%s: %w", namespace, LimitsMap, err)
	}
	return limitsOf(m)
}

func limitsOf(m *corev1.ConfigMap) (Limits, error) {
	if len(m.BinaryData) > 0 {
		return Limits{}, &LimitError{[]string{"it has binaryData"}}
	}
	return ParseLimits(m.Data)
}

// SetLimits writes the limits of which data has the keys, and leaves all others as they are. An empty text removes what
// was set. It returns what holds from now on.
func SetLimits(ctx context.Context, client kubernetes.Interface, namespace string, data map[string]string) (Limits, error) {
	configs := client.CoreV1().ConfigMaps(namespace)
	for try := 0; ; try++ {
		m, err := configs.Get(ctx, LimitsMap, metav1.GetOptions{})
		fresh := apierrors.IsNotFound(err)
		if err != nil && !fresh {
			return Limits{}, fmt.Errorf("read ConfigMap %s/%s: %w", namespace, LimitsMap, err)
		}
		if fresh {
			m = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: LimitsMap, Namespace: namespace}, Data: DefaultLimits().Data()}
		}
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels["app.kubernetes.io/name"], m.Labels[LabelManagedBy] = ManagedBy, ManagedBy
		if m.Data == nil {
			m.Data = map[string]string{}
		}
		for key, text := range data {
			if m.Data[key] = text; text == "" {
				delete(m.Data, key)
			}
		}
		limits, err := limitsOf(m)
		if err != nil {
			return Limits{}, err
		}
		if fresh {
			_, err = configs.Create(ctx, m, metav1.CreateOptions{FieldManager: ManagedBy})
		} else {
			_, err = configs.Update(ctx, m, metav1.UpdateOptions{FieldManager: ManagedBy})
		}
		switch {
		case err == nil:
			return limits, nil
		case (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) && try < maxConflicts:
			continue
		}
		return Limits{}, fmt.Errorf("write ConfigMap %s/%s: %w", namespace, LimitsMap, err)
	}
}

// Asked is what a drill's file says of itself, as far as limits bound it.
type Asked struct {
	Timeout    time.Duration
	Hold       time.Duration // the longest of its faults
	Namespaces []string
	Kinds      []string // of its faults
	Hosts      []string // that its probes and its guard reach, as the file names them
}

// Exceeded are the limits that what the file asks for exceeds, each with who sets it and how.
func (l Limits) Exceeded(a Asked) []string {
	var all []string
	if a.Timeout > l.Timeout {
		all = append(all, exceeds(LimitTimeout, l.Timeout.String(), "its timeout is %s", a.Timeout))
	}
	if a.Hold > l.Hold {
		all = append(all, exceeds(LimitHold, l.Hold.String(), "one of its faults is held for %s", a.Hold))
	}
	for _, ns := range sortedUnique(a.Namespaces) {
		allowed, set := l.Kinds[ns]
		if !set {
			if allowed, set = l.Kinds[AnyNamespace]; !set {
				continue
			}
		}
		for _, kind := range sortedUnique(a.Kinds) {
			if !slices.Contains(allowed, kind) {
				value := "no kind"
				if len(allowed) > 0 {
					value = strings.Join(allowed, ", ")
				}
				all = append(all, exceeds(LimitKinds, value, "it would inject %s in namespace %s", kind, ns))
			}
		}
	}
	reach := &Reach{limits: l}
	for _, host := range sortedUnique(a.Hosts) {
		if err := reach.CheckHost(host); err != nil {
			all = append(all, err.Error())
		}
	}
	return all
}

// Hurt is what a run would do, which only its plan knows.
type Hurt struct {
	Victims int // members that the faults hurt, each once
	Members int // that are there
	Nodes   int // that the faults change
	AllOf   int // nodes of the cluster
}

// Overdone are the limits that a run's plan exceeds, each with who sets it and how.
func (l Limits) Overdone(h Hurt) []string {
	var all []string
	if h.Victims > l.Members {
		all = append(all, exceeds(LimitMembers, strconv.Itoa(l.Members), "its faults would hurt %d members", h.Victims))
	}
	if most := share(l.Share, h.Members); h.Victims > most {
		all = append(all, exceeds(LimitShare, fmt.Sprintf("%g, which is %d of %d", l.Share, most, h.Members), "its faults would hurt %d of the target's members", h.Victims))
	}
	if most := share(l.NodeShare, h.AllOf); h.Nodes > most {
		all = append(all, exceeds(LimitNodeShare, fmt.Sprintf("%g, which is %d of %d", l.NodeShare, most, h.AllOf), "its faults would change %d nodes", h.Nodes))
	}
	return all
}

// share is how many of n a share allows: at least one, because a limit of this kind forbids many, and never all drills.
func share(of float64, n int) int { return max(1, int(math.Floor(of*float64(n)+1e-9))) }

func exceeds(limit, value, format string, args ...any) string {
	return fmt.Sprintf("%s, and the cluster's owner allows %s (limit %s of ConfigMap %s/%s, which an administrator sets with drill install --%s)",
		fmt.Sprintf(format, args...), value, limit, Namespace, LimitsMap, limit)
}

func sortedUnique(all []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

// AsLimitError reports whether the limits are there and cannot be used.
func AsLimitError(err error) (*LimitError, bool) { return errors.AsType[*LimitError](err) }
