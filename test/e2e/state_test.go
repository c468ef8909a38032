//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

// nothingLeft asserts what must hold after every run: all members are back with one primary, no node is cordoned, no member held down, no
// lock is held, no runner pod runs.
func nothingLeft(t *testing.T, c *kube.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	nodes, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	for _, n := range nodes.Items {
		require.False(t, n.Spec.Unschedulable, "node %s is cordoned", n.Name)
	}
	held, _, err := kube.ReadHeld(ctx, c)
	require.NoError(t, err)
	require.Empty(t, held, "a member is still held down")
	leases, err := c.CoordinationV1().Leases(kube.Namespace).List(ctx, metav1.ListOptions{LabelSelector: kube.LabelRun})
	require.NoError(t, err)
	require.Empty(t, leases.Items, "a lock is still held")
	eventually(t, 30*time.Second, "no runner pod runs", func() (bool, string) {
		pods, err := c.CoreV1().Pods(kube.Namespace).List(ctx, metav1.ListOptions{LabelSelector: kube.LabelRun})
		require.NoError(t, err)
		for _, p := range pods.Items {
			if p.Status.Phase == corev1.PodRunning || p.Status.Phase == corev1.PodPending {
				return false, p.Name + " is " + string(p.Status.Phase)
			}
		}
		return true, ""
	})
	whole(t, c)
}

// whole waits until the database has one primary and two ready replicas, and the primary says so itself: labels may be
// older. One that was cut off from its lease gives up only after it is connected again, so its lease must be fresh, too.
func whole(t *testing.T, c *kube.Client) {
	t.Helper()
	eventually(t, 3*time.Minute, "one primary and two replicas, all ready", func() (bool, string) {
		pods, err := c.CoreV1().Pods(shop).List(context.Background(), metav1.ListOptions{LabelSelector: members})
		require.NoError(t, err)
		roles := map[string]int{}
		primary := ""
		for _, p := range pods.Items {
			if p.Labels["role"] != "replica" {
				primary = p.Name
			}
			for _, cond := range p.Status.Conditions {
				if cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
					roles[p.Labels["role"]]++
				}
			}
		}
		primaries := roles["master"] + roles["primary"]
		state, _ := json.Marshal(roles)
		if primaries != 1 || roles["replica"] != 2 {
			return false, string(state)
		}
		if age, every := lease(t, c); age > every {
			return false, fmt.Sprintf("the primary, which renews its lease every %s, did so %s ago", every, age)
		}
		_, err = c.CoreV1().RESTClient().Get().Namespace(shop).Resource("pods").Name(primary + ":8008").SubResource("proxy").Suffix("primary").DoRaw(context.Background())
		return err == nil, fmt.Sprintf("%s says of itself: %v", primary, err)
	})
}

// lease is how long ago Patroni's leader renewed its lease, and how often it does.
func lease(t *testing.T, c *kube.Client) (age, every time.Duration) {
	t.Helper()
	maps := c.CoreV1().ConfigMaps(shop)
	leader, err := maps.Get(context.Background(), "orders-leader", metav1.GetOptions{})
	require.NoError(t, err)
	renewed, err := time.Parse(time.RFC3339Nano, leader.Annotations["renewTime"])
	require.NoError(t, err)
	settings, err := maps.Get(context.Background(), "orders-config", metav1.GetOptions{})
	require.NoError(t, err)
	var config struct {
		LoopWait int `json:"loop_wait"`
	}
	require.NoError(t, json.Unmarshal([]byte(settings.Annotations["config"]), &config))
	require.Positive(t, config.LoopWait)
	return time.Since(renewed), time.Duration(config.LoopWait) * time.Second
}

func record(t *testing.T, c *kube.Client, name string) *kube.DrillRun {
	t.Helper()
	r, err := kube.NewRuns(c.Dynamic, "").Get(context.Background(), name)
	require.NoError(t, err)
	return r
}

// newest waits for the record of a run that began after since.
func newest(t *testing.T, c *kube.Client, since time.Time) *kube.DrillRun {
	t.Helper()
	var found *kube.DrillRun
	eventually(t, 30*time.Second, "a new run", func() (bool, string) {
		runs, err := kube.NewRuns(c.Dynamic, "").List(context.Background())
		require.NoError(t, err)
		for _, r := range runs {
			if !r.CreationTimestamp.Time.Before(since.Truncate(time.Second)) && !r.Finished() {
				found = r
			}
		}
		return found != nil, "none"
	})
	return found
}

// injected waits until the run's fault is in.
func injected(t *testing.T, c *kube.Client, name string) {
	t.Helper()
	eventually(t, 2*time.Minute, "the fault is injected", func() (bool, string) {
		r := record(t, c, name)
		for _, f := range r.Status.Faults {
			if f.Phase != kube.FaultPreparing { // some are reverted at once: there is nothing to put back
				return true, ""
			}
		}
		return false, string(r.Status.Phase) + " " + r.Status.Message
	})
	time.Sleep(3 * time.Second) // into the outage
}

func finished(t *testing.T, c *kube.Client, name string, limit time.Duration) *kube.DrillRun {
	t.Helper()
	eventually(t, limit, "the record is finished", func() (bool, string) {
		r := record(t, c, name)
		return r.Finished(), string(r.Status.Phase)
	})
	return record(t, c, name)
}

// asPostgres asks the primary something as its superuser, from inside its pod.
func asPostgres(t *testing.T, c *kube.Client, sql string) string {
	t.Helper()
	primary, _, _ := cutPods(t, c)
	out, err := kubectl(t, "exec", primary, "-c", "patroni", "--", "psql", "-qXAt", "-d", "orders", "-c", sql).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

// forgetTheKilled removes what runs left in the database whose runner was killed by an earlier test: drill does so a day
// later.
func forgetTheKilled(t *testing.T, c *kube.Client) {
	t.Helper()
	asPostgres(t, c, `DROP SCHEMA IF EXISTS failoverdrill CASCADE`)
}

// ownRole asserts that drill leaves nothing in the database, and that the role that the shipped drills log in as could
// not have read a row of the application's.
func ownRole(t *testing.T, c *kube.Client) {
	t.Helper()
	require.Equal(t, "app", asPostgres(t, c, `SELECT tableowner FROM pg_tables WHERE tablename = 'orders'`))
	require.Equal(t, "f|f|t", asPostgres(t, c, `SELECT has_table_privilege('drill', 'orders', 'SELECT, INSERT, UPDATE, DELETE'),
		(SELECT rolsuper FROM pg_roles WHERE rolname = 'drill'), has_database_privilege('drill', 'orders', 'CREATE')`))
	require.Equal(t, "0", asPostgres(t, c, `SELECT count(*) FROM pg_namespace WHERE nspname = 'failoverdrill'`))
	require.Equal(t, "0", asPostgres(t, c, `SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON d.refobjid = r.oid WHERE r.rolname = 'drill' AND d.deptype = 'o'`), "what it owns")
}
