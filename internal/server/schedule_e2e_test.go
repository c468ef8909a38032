//go:build e2e

package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
	"github.com/failoverdrill/drill/internal/server"
)

const serverAccount = "system:serviceaccount:failoverdrill:drill-server"

// scheduling is a lab whose servers have the name and the rights of the one that drill install makes, and no others.
type scheduling struct {
	*lab
	account   *kube.Client
	schedules *kube.Schedules
	directory string
}

func newScheduling(t *testing.T) *scheduling {
	l := newLab(t)
	ctx := t.Context()
	ns := l.runs.Namespace()
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: serverAccount}}
	objects, err := deploy.Manifests("none")
	require.NoError(t, err)
	for _, o := range objects {
		if o.GetKind() == "Role" && o.GetName() == "drill-server" && o.GetNamespace() == kube.Namespace {
			role := new(rbacv1.Role)
			require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, role))
			role.Namespace = ns
			_, err := l.client.RbacV1().Roles(ns).Create(ctx, role, metav1.CreateOptions{})
			require.NoError(t, err)
		}
	}
	_, err = l.client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "drill-server"}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "drill-server"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = l.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: ns}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "drill-server"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = l.client.RbacV1().ClusterRoleBindings().Delete(context.WithoutCancel(ctx), ns, metav1.DeleteOptions{})
	})
	account, err := l.client.As(serverAccount, "system:serviceaccounts", "system:serviceaccounts:failoverdrill", "system:authenticated")
	require.NoError(t, err)
	return &scheduling{lab: l, account: account, schedules: kube.NewSchedules(l.client, ns)}
}

// start starts a server. A drill file's text is the drill's name and its cron expression here.
func (s *scheduling) start(identity string, change ...func(*server.Options)) (stop func()) {
	return s.serveWith(identity, func(o *server.Options) {
		for _, c := range change {
			c(o)
		}
		o.Client, o.Directory = s.account, s.directory
		o.Drills = func(from server.Source) ([]server.ScheduledDrill, kube.Inputs, error) {
			name, cron, _ := strings.Cut(from.Text, " ")
			switch {
			case name == "invalid":
				return nil, kube.Inputs{}, errors.New("line 1: no such block")
			case name == "panic":
				panic("oh")
			case cron == "":
				return []server.ScheduledDrill{{Name: name}}, kube.Inputs{}, nil
			}
			return []server.ScheduledDrill{{Name: name, Schedule: &drill.Schedule{Cron: cron, Timezone: "UTC", Missed: drill.MissedSkip}}}, kube.Inputs{}, nil
		}
	})
}

func (s *scheduling) install(name, text string) {
	s.Helper()
	_, err := s.schedules.Install(s.Context(), name, map[string]string{"a.hcl": text}, s.me)
	require.NoError(s, err)
}

func (s *scheduling) book() *schedule.Book {
	s.Helper()
	raw, _, err := s.schedules.Book(context.WithoutCancel(s.Context()))
	require.NoError(s, err)
	book := new(schedule.Book)
	if len(raw) > 0 {
		require.NoError(s, json.Unmarshal(raw, book))
	}
	return book
}

// scheduled waits for the n-th run of a schedule, and returns all, the newest first.
func (s *scheduling) scheduled(n int, within time.Duration) []*kube.DrillRun {
	s.Helper()
	var all []*kube.DrillRun
	require.Eventually(s, func() bool {
		var err error
		all, err = s.runs.ListScheduled(context.WithoutCancel(s.Context()))
		return err == nil && len(all) >= n
	}, within, 200*time.Millisecond)
	return all
}

// TestAScheduleRunsOnceWhoeverLeads: the leader goes away between two due times, a third server starts after a break.
func TestAScheduleRunsOnceWhoeverLeads(t *testing.T) {
	t.Parallel()
	s := newScheduling(t)
	ctx := t.Context()
	ns := s.runs.Namespace()
	for _, role := range []string{"drill-scheduler"} {
		_, err := s.client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "alice@example.com"}}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	s.inForce("alice@example.com", "create", "", "configmaps")
	alice, err := s.client.As("alice@example.com", "oncall", "system:authenticated")
	require.NoError(t, err)
	who, err := alice.WhoAmI(ctx)
	require.NoError(t, err)
	stopOne := s.start("one")
	require.Eventually(t, func() bool {
		lease, err := s.client.CoordinationV1().Leases(ns).Get(ctx, "drill-server", metav1.GetOptions{})
		return err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == "one"
	}, 20*time.Second, 100*time.Millisecond)
	stopTwo := s.start("two")
	_, err = kube.NewSchedules(alice, ns).Install(ctx, "hers", map[string]string{"a.hcl": "d * * * * *"}, who)
	require.NoError(t, err)

	first := s.scheduled(1, 90*time.Second)[0]
	stopOne()
	due, ok := first.ScheduledFor()
	require.True(t, ok)
	require.Equal(t, kube.ScheduledRunID(due, "d"), first.Name)
	require.Equal(t, "d", first.Labels[kube.LabelSchedule])
	require.Equal(t, kube.Spec{Drill: "d", File: "a.hcl", Source: "d * * * * *", Requester: who}, first.Spec)
	require.Less(t, first.CreationTimestamp.Sub(due), 10*time.Second)
	got := s.await(first.Name, 30*time.Second, finished) // the second server leads now
	require.Equal(t, drill.VerdictRefused, got.Status.Verdict)
	require.Contains(t, got.Status.Message, "alice@example.com may not inject", "her rights bound it")

	second := s.scheduled(2, 70*time.Second)
	stopTwo()
	require.Len(t, second, 2)
	next, _ := second[0].ScheduledFor()
	require.Equal(t, due.Add(time.Minute), next.UTC())
	require.Zero(t, s.book().Entries[0].Missed)
	require.Nil(t, s.book().Entries[0].Intent, "a server that is being stopped finishes what it began")
	require.Equal(t, second[0].Name, s.book().Entries[0].LastRun)
	require.Equal(t, "alice@example.com", s.book().Entries[0].Requester)

	// Whoever makes the same run again gets the one that is there.
	again, err := kube.NewRuns(s.account.Dynamic, ns).CreateScheduled(ctx, second[0].Spec, next)
	require.NoError(t, err)
	require.Equal(t, second[0].UID, again.UID)

	// The record of a run is deleted: the book knows that its time is dealt with.
	require.NoError(t, s.client.Dynamic.Resource(kube.Resource).Namespace(ns).Delete(ctx, second[0].Name, metav1.DeleteOptions{}))
	s.install("marker", "marker 0 0 1 1 *")
	stopThree := s.start("three")
	require.Eventually(t, func() bool { return len(s.book().Entries) == 2 }, 20*time.Second, 100*time.Millisecond, "it has decided")
	stopThree()
	require.Len(t, s.scheduled(1, time.Second), 1, "and not run again")

	// As after a downtime: nobody has dealt with the last five minutes, but there is a record of one of them.
	raw, version, err := s.schedules.Book(ctx)
	require.NoError(t, err)
	book := new(schedule.Book)
	require.NoError(t, json.Unmarshal(raw, book))
	made := s.scheduled(1, time.Second)
	book.Entries[0].Handled = due.Add(-3*time.Minute - time.Second)
	raw, err = json.Marshal(book)
	require.NoError(t, err)
	_, err = kube.NewSchedules(s.account, ns).SaveBook(ctx, raw, version)
	require.NoError(t, err)
	_, err = kube.NewSchedules(s.account, ns).SaveBook(ctx, raw, version)
	require.ErrorContains(t, err, "modified", "a server that read the old one writes nothing")
	s.start("four")
	require.Eventually(t, func() bool { return s.book().Entries[0].Missed == 3 }, 20*time.Second, 100*time.Millisecond)
	require.Contains(t, s.book().Entries[0].Newest.Reason, "did not run")
	seen := map[string]int{}
	for _, r := range append(made, s.scheduled(1, time.Second)...) {
		seen[r.Name]++
	}
	require.Equal(t, 2, seen[first.Name], "it is there, and was not made again")
}

func TestOneRunOfAScheduleAtATime(t *testing.T) {
	t.Parallel()
	s := newScheduling(t)
	s.start("one", func(o *server.Options) { // the run waits to be admitted, and so it goes on
		o.Check = func(kube.Spec, drill.Inputs) (server.Request, error) {
			return server.Request{}, &server.LaterError{Err: errors.New("the reader is busy")}
		}
	})
	s.install("mine", "d * * * * *")
	first := s.scheduled(1, 90*time.Second)[0]
	require.Eventually(t, func() bool { return len(s.book().Entries) == 1 && s.book().Entries[0].Missed == 1 }, 70*time.Second, 200*time.Millisecond)
	require.Equal(t, "run "+first.Name+" had not ended", s.book().Entries[0].Newest.Reason)
	require.Len(t, s.scheduled(1, time.Second), 1)
}

func TestWhatCannotBeScheduledIsSaidAndHarmsNothing(t *testing.T) {
	t.Parallel()
	s := newScheduling(t)
	ctx := t.Context()
	s.install("invalid", "invalid")
	s.install("panic", "panic")
	s.install("unscheduled", "d")
	s.install("paused", "p * * * * *")
	require.NoError(t, s.schedules.SetPaused(ctx, "paused", true))
	s.install("good", "g * * * * *")
	s.directory = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(s.directory, "own.hcl"), []byte("own * * * * *"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(s.directory, "README"), []byte("invalid"), 0o600))
	stop := s.start("one")
	problem := func(name string) string {
		cm, err := s.client.CoreV1().ConfigMaps(s.runs.Namespace()).Get(ctx, name, metav1.GetOptions{})
		require.NoError(t, err)
		return cm.Annotations[kube.AnnotationProblem]
	}
	require.Eventually(t, func() bool { // they are written one after the other, in any order
		return problem("unscheduled") != "" && problem("invalid") != "" && problem("panic") != ""
	}, 20*time.Second, 100*time.Millisecond)
	require.Equal(t, "a.hcl: line 1: no such block", problem("invalid"))
	require.Equal(t, "a.hcl: it cannot be read: oh", problem("panic"))
	require.Contains(t, problem("unscheduled"), "schedule {")
	require.Empty(t, problem("good"))
	require.Len(t, s.book().Problems, 3)

	runs := s.scheduled(2, 90*time.Second)
	require.Len(t, runs, 2, "and not the paused one's")
	for _, run := range runs {
		require.Contains(t, []string{"g", "own"}, run.Spec.Drill)
		if run.Spec.Drill == "own" {
			require.Equal(t, serverAccount, run.Spec.Requester.User)
			got := s.await(run.Name, 20*time.Second, finished)
			require.Equal(t, drill.VerdictRefused, got.Status.Verdict, "nobody has granted it anything")
			require.Contains(t, got.Status.Message, serverAccount+" may not inject")
		}
	}
	s.install("invalid", "d 0 0 1 1 *")
	require.Eventually(t, func() bool { return problem("invalid") == "" }, 10*time.Second, 100*time.Millisecond)
	require.NoError(t, s.schedules.Remove(ctx, "good"))
	require.Eventually(t, func() bool {
		b := s.book()
		return len(b.Entries) == 3 && b.Entries[0].Drill == "d" && b.Entries[1].Drill == "own" && b.Entries[2].Drill == "p"
	}, 10*time.Second, 100*time.Millisecond)
	stop()
}
