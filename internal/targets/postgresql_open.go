package targets

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// Open finds the members, logs into each of them, checks that a run would mean something, and makes the ledger.
func (t *postgreSQL) Open(ctx context.Context) ([]drill.Member, error) {
	if err := t.findPods(ctx); err != nil {
		return nil, err
	}
	if err := t.findService(ctx); err != nil {
		return nil, err
	}
	known, err := t.login(ctx)
	if err != nil {
		return nil, err
	}
	primary, err := t.checkRoles(known)
	if err != nil {
		return nil, err
	}
	if err := t.checkConnections(ctx, known); err != nil {
		return nil, err
	}
	if err := t.makeLedger(ctx, known, primary); err != nil {
		return nil, err
	}
	if err := t.fillPool(ctx); err != nil {
		return nil, err
	}
	if err := t.openChecks(ctx); err != nil {
		return nil, err
	}
	t.opened = members(known)
	return t.opened, nil
}

// findPods lists the members and learns how their roles are labelled.
func (t *postgreSQL) findPods(ctx context.Context) error {
	pods, _, err := t.podSource().load(ctx)
	if err != nil {
		return t.refuse("cannot_read_cluster", err, "the pods of namespace %q cannot be read", t.spec.Namespace)
	}
	t.cluster.setPods(pods)
	live := t.cluster.members()
	if len(live) == 0 {
		return noMembers(ctx, t.Deps, t.name, t.spec.Namespace, t.spec.Selector.String())
	}
	for _, pod := range live {
		if pod.Status.PodIP == "" || pod.DeletionTimestamp != nil {
			return t.refuse("member_not_ready", nil, "pod %s/%s is starting or going away. Wait until every member is up",
				pod.Namespace, pod.Name)
		}
	}
	roles := t.spec.Roles
	if roles.label == "" {
		var ok bool
		if roles, ok = detectPreset(live); !ok {
			return t.refuse("no_role_label", nil,
				"none of its pods carries a role label that drill knows. Set preset (%s), or role_label and primary_value", strings.Join(presetNames(), ", "))
		}
	}
	t.cluster.mu.Lock()
	t.cluster.roles = roles
	t.cluster.mu.Unlock()
	return nil
}

// noMembers says why no pod was found.
func noMembers(ctx context.Context, d Deps, target, namespace, selector string) error {
	_, err := d.Kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return refuse(target, "no_namespace", nil, "there is no namespace %q in this cluster. Check namespace, and the cluster that you are talking to", namespace)
	}
	return refuse(target, "no_members", nil, "the selector %q matches no pod in namespace %q. Check both with: kubectl get pods -n %s -l %s",
		selector, namespace, namespace, selector)
}

// findService resolves the DSN and finds the Service behind it.
func (t *postgreSQL) findService(ctx context.Context) error {
	secret := func(k drill.SecretKey) (string, error) { return t.Secret(ctx, t.spec.Namespace, k.Name, k.Key) }
	dsn, err := t.spec.DSN.Resolve(secret)
	if err != nil {
		return t.refuse("secret_missing", err, "its dsn cannot be resolved in namespace %q", t.spec.Namespace)
	}
	ca, err := t.spec.CA.Resolve(secret)
	if err != nil {
		return t.refuse("secret_missing", err, "its ca cannot be resolved in namespace %q", t.spec.Namespace)
	}
	if t.dial, err = newDialer(dsn, ca); err != nil {
		return t.refuse("invalid_dsn", err, "invalid dsn")
	}
	t.dial.bind(t.Reach, t.cluster.had)
	if err := t.dial.bound.CheckHost(t.dial.config.Host); err != nil {
		return t.refuse("denied", err, "its dsn cannot be used")
	}
	name := serviceIn(t.dial.config.Host, t.spec.Namespace)
	if t.spec.Service == "" {
		t.spec.Service = name
	}
	if t.spec.Service == "" {
		return t.refuse("no_service", nil,
			"the dsn's host %q is not a Service in namespace %q. Set service to the one that writing clients use", t.dial.config.Host, t.spec.Namespace)
	}
	slices, _, err := t.sliceSource().load(ctx)
	if err != nil {
		return t.refuse("cannot_read_cluster", err, "the endpoints of service %q cannot be read", t.spec.Service)
	}
	if len(slices) == 0 {
		return t.refuse("no_service", nil, "service %q in namespace %q has no endpoints. Set service to the one that writing clients use",
			t.spec.Service, t.spec.Namespace)
	}
	t.cluster.setSlices(slices)
	// A short name means something only in the application's own namespace.
	if host := t.dial.config.Host; name == host {
		t.dial.qualify(host + "." + t.spec.Namespace + ".svc")
	}
	return nil
}

// serviceIn is the Service that a host name means in the namespace, or nothing.
func serviceIn(host, namespace string) string {
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return ""
	}
	parts := strings.Split(host, ".")
	switch {
	case len(parts) == 1,
		len(parts) == 2 && parts[1] == namespace,
		len(parts) > 2 && parts[1] == namespace && parts[2] == "svc":
		return parts[0]
	}
	return ""
}

// known is what a member has said of itself.
type known struct {
	pod        *corev1.Pod
	sess       *session
	recovering bool
	timeline   int64
	user       string
	database   string
	started    string
}

func (k known) member() drill.Member {
	m := drill.Member{
		Namespace: k.pod.Namespace, Name: k.pod.Name, UID: string(k.pod.UID), Node: k.pod.Spec.NodeName,
		Zone: k.pod.Labels[corev1.LabelTopologyZone], IP: k.pod.Status.PodIP, Role: drill.RoleReplica, Epoch: k.timeline,
	}
	if !k.recovering {
		m.Role = drill.RolePrimary
	}
	return m
}

func members(all []known) []drill.Member {
	var ms []drill.Member
	for _, k := range all {
		ms = append(ms, k.member())
	}
	return ms
}

const knowSQL = `SELECT pg_is_in_recovery(), coalesce(` + timelineSQL + `, 0),
  current_user, current_database(), extract(epoch FROM pg_postmaster_start_time())`

// ask opens a session to the pod and asks who it is. The caller closes the session.
func (t *postgreSQL) ask(ctx context.Context, pod *corev1.Pod) (known, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	k := known{pod: pod}
	sess, err := t.dial.open(ctx, pod.Status.PodIP, t.cluster.port(t.dial.config.Port))
	if err != nil {
		return k, t.dial.scrub(err)
	}
	row, err := sess.row(ctx, knowSQL)
	if err != nil {
		sess.close()
		return k, t.dial.scrub(err)
	}
	k.recovering, k.user, k.database, k.started = truth(row[0]), string(row[2]), string(row[3]), string(row[4])
	if k.timeline, err = strconv.ParseInt(string(row[1]), 10, 64); err != nil {
		sess.close()
		return k, err
	}
	k.sess = sess
	return k, nil
}

// remember notes which server a member was when it was named, for Answers. Later words must not replace it: a server that
// was started again is another one.
func (t *postgreSQL) remember(k known) { t.started.Store(string(k.pod.UID), k.started) }

// askAll asks every pod at the same time.
func (t *postgreSQL) askAll(ctx context.Context, pods []*corev1.Pod) ([]known, []error) {
	all, errs := make([]known, len(pods)), make([]error, len(pods))
	var wg sync.WaitGroup
	for i, pod := range pods {
		wg.Go(func() { all[i], errs[i] = t.ask(ctx, pod) })
	}
	wg.Wait()
	return all, errs
}

// login opens the pinned sessions, before anything is broken.
func (t *postgreSQL) login(ctx context.Context) ([]known, error) {
	pods := t.cluster.members()
	all, errs := t.askAll(ctx, pods)
	for i, k := range all {
		p := newPinned(t, pods[i].Name)
		if errs[i] == nil {
			t.remember(k)
			p.said = k.member().Role
			p.adopt(k.sess, instance{pods[i].Name, string(k.pod.UID)})
		}
		t.pinned = append(t.pinned, p)
	}
	for i, err := range errs {
		if err != nil {
			return nil, t.refuse("login_failed", err, "user %q cannot log into member %s/%s at %s. Check the dsn, and that the selector matches the database's pods only",
				t.dial.config.User, pods[i].Namespace, pods[i].Name, pods[i].Status.PodIP)
		}
	}
	return all, nil
}

// checkRoles finds the one primary and lets the three views agree on it.
func (t *postgreSQL) checkRoles(all []known) (int, error) {
	primary := -1
	for i, k := range all {
		switch {
		case k.recovering:
		case primary >= 0:
			return 0, t.refuse("two_primaries", nil, "%s and %s both say that they are the primary. Mend this first; no drill should run on it",
				all[primary].pod.Name, k.pod.Name)
		default:
			primary = i
		}
	}
	if primary < 0 {
		var names []string
		for _, k := range all {
			names = append(names, k.pod.Name)
		}
		return 0, t.refuse("no_primary", nil, "none of its members is a primary: %s are in recovery", list(names))
	}
	if v := t.cluster.views(t.own(time.Now())); !v.Agree() {
		return 0, t.refuse("views_disagree", nil,
			"the three views of who is primary disagree: the pods' label %q says %s, service %q leads to %s, the members themselves say %s. Wait until they agree, or correct role_label, primary_value or service",
			t.cluster.roles.label, nobody(v.Label), t.spec.Service, nobody(v.Service), nobody(v.Member))
	}
	return primary, nil
}

func nobody(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return list(names)
}

// makeLedger creates the ledger on the primary and waits until every replica shows it.
func (t *postgreSQL) makeLedger(ctx context.Context, all []known, primary int) error {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	p := all[primary]
	t.made = true // from here on it must be removed, even when the answer is lost
	err := t.tables.create(ctx, p.sess)
	theirs, laid := errors.AsType[*strangersError](err)
	switch {
	case laid:
		t.made = false
		return t.refuse("ledger_of_another", nil,
			"there is a %s already, and %q is not a member of that role: it would run somebody else's code with its own rights. Look at it, and drop it as its owner or a superuser: DROP SCHEMA failoverdrill CASCADE",
			strings.Join(theirs.what, ", a "), p.user)
	case denied(err):
		t.made = false
		return t.refuse("no_create_right", err,
			"user %q may not make drill's ledger, a schema of its own that is removed at the end. Run as a superuser: GRANT CREATE ON DATABASE %s TO %s;",
			p.user, quote(p.database), quote(p.user))
	case err != nil:
		return fmt.Errorf("make the ledger of target %q on %s: %w", t.name, p.pod.Name, t.dial.scrub(err))
	}
	for i, k := range all {
		if i == primary {
			continue
		}
		if err := t.waitShown(ctx, k, p); err != nil {
			return err
		}
	}
	return nil
}

func (t *postgreSQL) waitShown(ctx context.Context, replica, primary known) error {
	for {
		shown, err := t.tables.shown(ctx, replica.sess)
		switch {
		case shown:
			return nil
		case ctx.Err() != nil:
			return t.refuse("replica_behind", nil, "replica %s does not show a write that %s made %v ago: %s. Wait until it has caught up",
				replica.pod.Name, primary.pod.Name, showTimeout, t.figures(replica, primary))
		case err != nil:
			return fmt.Errorf("read the ledger of target %q on %s: %w", t.name, replica.pod.Name, t.dial.scrub(err))
		}
		pause(ctx, pinnedInterval)
	}
}

// figures says how far a replica is behind, by the servers' own account.
func (t *postgreSQL) figures(replica, primary known) string {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	now, err := t.ask(ctx, primary.pod) // fresh sessions: the others may have ended with their statement
	if err != nil {
		return "the primary no longer answers"
	}
	defer now.sess.close()
	head, err := now.sess.row(ctx, `SELECT pg_current_wal_lsn(), clock_timestamp()`)
	if err != nil {
		return "the primary no longer answers"
	}
	then, err := t.ask(ctx, replica.pod)
	if err != nil {
		return "it no longer answers"
	}
	defer then.sess.close()
	// Both times are by the primary's clock: a transaction carries the time of its commit.
	row, err := then.sess.row(ctx, `SELECT coalesce(pg_last_wal_receive_lsn()::text, 'nothing'), coalesce(pg_last_wal_replay_lsn()::text, 'nothing'),
		coalesce(pg_wal_lsn_diff($1, pg_last_wal_replay_lsn())::text, 'unknown'), pg_is_wal_replay_paused(), EXISTS (SELECT FROM pg_stat_wal_receiver),
		round(extract(epoch FROM $2::timestamptz - pg_last_xact_replay_timestamp())::numeric, 1), round((`+exporterLagSQL+`)::numeric, 1)`,
		string(head[0]), string(head[1]))
	if err != nil {
		return "it no longer answers"
	}
	text := ""
	if row[5] != nil {
		text = fmt.Sprintf("it is %s s behind, by the newest transaction that it shows", row[5])
		if row[6] != nil {
			text += fmt.Sprintf("; your dashboard's query says %s s", row[6])
		}
		text += "; "
	}
	text += fmt.Sprintf("it has received up to %s and replayed up to %s, %s bytes behind the primary", row[0], row[1], row[2])
	if truth(row[3]) {
		text += "; its replay is paused"
	}
	if !truth(row[4]) {
		text += "; it is not streaming"
	}
	return text
}

// fillPool opens the first sessions through the Service.
func (t *postgreSQL) fillPool(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	t.pool = &pool{dial: t.dial.service}
	for range min(warm, t.sessions()) {
		s, err := t.dial.service(ctx)
		if err != nil {
			return t.refuse("service_unreachable", t.dial.scrub(err), "user %q cannot connect through the dsn's host %s, though it can log into every member. Check the host and its Service",
				t.dial.config.User, t.dial.config.Host)
		}
		t.pool.put(s, true)
	}
	return nil
}

// quote writes an SQL identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
