package kube_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

func noise(n int) []byte {
	raw := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{})
	_, _ = rng.Read(raw)
	return raw
}

func finishedRun(name string) *kube.DrillRun {
	return &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-1"}, Status: kube.Status{Phase: kube.PhaseFinished}}
}

func TestADetailGoesIntoPiecesAndComesBackWhole(t *testing.T) {
	api := fake.NewClientset()
	d := kube.NewDetails(&kube.Client{Interface: api}, "")
	run := finishedRun(kube.RunID(time.Now(), strings.Repeat("long", 20)))
	raw := noise(3<<20 + 17)
	record, err := d.Save(t.Context(), run, raw)
	require.NoError(t, err)
	require.Equal(t, 4, record.Parts)
	require.Equal(t, int64(len(raw)), record.Bytes)
	require.Len(t, record.SHA256, 64)
	parts, err := api.CoreV1().ConfigMaps(kube.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: kube.LabelRun + "=" + run.Name})
	require.NoError(t, err)
	require.Len(t, parts.Items, 4, "they carry the run's name")
	for _, p := range parts.Items {
		require.Empty(t, validation.IsDNS1123Subdomain(p.Name))
		require.Empty(t, validation.IsValidLabelValue(p.Labels[kube.LabelRun]))
		require.LessOrEqual(t, len(p.BinaryData["detail"]), 900<<10)
		require.Equal(t, kube.OwnerOf(run), p.OwnerReferences[0], "they go with the record")
		require.True(t, *p.Immutable)
	}

	_, err = d.Load(t.Context(), run)
	require.ErrorContains(t, err, "no detail of run", "the record says nothing of one")
	run.Status.Detail = &record
	got, err := d.Load(t.Context(), run)
	require.NoError(t, err)
	require.Equal(t, raw, got)

	other := record
	other.SHA256 = strings.Repeat("0", 64)
	run.Status.Detail = &other
	_, err = d.Load(t.Context(), run)
	require.ErrorContains(t, err, "hash")
	run.Status.Detail = &record
	require.NoError(t, api.CoreV1().ConfigMaps(kube.Namespace).Delete(t.Context(), parts.Items[2].Name, metav1.DeleteOptions{}))
	_, err = d.Load(t.Context(), run)
	require.ErrorContains(t, err, "not in the cluster any more")
	run.Status.Detail = &kube.DetailRecord{Problem: "the disk was full"}
	_, err = d.Load(t.Context(), run)
	require.ErrorContains(t, err, "the disk was full")
}

func TestADetailThatCannotBeStoredIsAProblemAndNoMore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		api := fake.NewClientset()
		d := kube.NewDetails(&kube.Client{Interface: api}, "")
		var tried int
		var answer error
		api.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			tried++
			return answer != nil, nil, answer
		})
		answer = apierrors.NewForbidden(corev1.Resource("configmaps"), "x", errors.New("not you"))
		record, err := d.Save(t.Context(), finishedRun("r"), noise(10))
		require.Error(t, err)
		require.Contains(t, record.Problem, "not you")
		require.Zero(t, record.Parts)
		require.Equal(t, 1, tried, "nobody gets a right by asking again")

		answer = errors.New("no answer")
		began := time.Now()
		record, err = d.Save(t.Context(), finishedRun("r"), noise(10))
		require.Error(t, err)
		require.Contains(t, record.Problem, "did not take it within 30s")
		require.InDelta(t, 30, time.Since(began).Seconds(), 3, "the verdict waits for it")

		answer = apierrors.NewAlreadyExists(corev1.Resource("configmaps"), "x")
		record, err = d.Save(t.Context(), finishedRun("r"), noise(10))
		require.Error(t, err, "T12: somebody took the place")
		require.Contains(t, record.Problem, "not this run's")
		lost := apierrors.NewTimeoutError("no answer", 1)
		answers := []error{lost, answer}
		api.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			if len(answers) == 0 {
				return false, nil, nil
			}
			next := answers[0]
			answers = answers[1:]
			return true, nil, next
		})
		_, err = d.Save(t.Context(), finishedRun("r"), noise(10))
		require.NoError(t, err, "an earlier attempt got through")

		record, err = d.Save(t.Context(), finishedRun("r"), make([]byte, kube.MaxDetail+1))
		require.Error(t, err)
		require.Contains(t, record.Problem, "at most 16384")
	})
}

func TestTheOldestDetailsMakeRoom(t *testing.T) {
	scheme := metadatafake.NewTestScheme()
	require.NoError(t, metav1.AddMetaToScheme(scheme))
	meta := metadatafake.NewSimpleMetadataClient(scheme)
	maps := meta.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(kube.Namespace).(metadatafake.MetadataClient)
	add := func(name, run string, minute, bytes int, labels map[string]string) {
		if labels == nil {
			labels = map[string]string{kube.LabelManagedBy: kube.ManagedBy, kube.LabelComponent: "detail", kube.LabelRun: run}
		}
		_, err := maps.CreateFake(&metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: kube.Namespace, Labels: labels,
				CreationTimestamp: metav1.NewTime(time.Date(2026, 11, 21, 12, minute, 0, 0, time.UTC)),
				Annotations:       map[string]string{"failoverdrill.io/bytes": strconv.Itoa(bytes)}}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	left := func() (names []string) {
		list, err := maps.List(context.Background(), metav1.ListOptions{})
		require.NoError(t, err)
		for _, m := range list.Items {
			names = append(names, m.Name)
		}
		return names
	}
	add("detail-old-0", "old", 1, 100, nil)
	add("detail-mid-0", "mid", 2, 100, nil)
	add("detail-mid-1", "mid", 2, 50, nil)
	add("detail-new-0", "new", 3, 100, nil)
	add("drill-totals", "", 0, 0, map[string]string{kube.LabelManagedBy: kube.ManagedBy})
	add("drills", "", 0, 0, map[string]string{kube.LabelDrills: kube.Scheduled, kube.LabelManagedBy: kube.ManagedBy})
	d := kube.NewDetails(&kube.Client{Metadata: meta}, "")
	removed, err := d.Prune(t.Context(), 350)
	require.NoError(t, err)
	require.Empty(t, removed, "it all fits")
	removed, err = d.Prune(t.Context(), 349)
	require.NoError(t, err)
	require.Equal(t, []string{"old"}, removed)
	require.ElementsMatch(t, []string{"detail-mid-0", "detail-mid-1", "detail-new-0", "drill-totals", "drills"}, left())
	removed, err = d.Prune(t.Context(), 249)
	require.NoError(t, err)
	require.Equal(t, []string{"mid"}, removed, "all of it, or none")
	removed, err = d.Prune(t.Context(), 99)
	require.NoError(t, err)
	require.Equal(t, []string{"new"}, removed)
	require.ElementsMatch(t, []string{"drill-totals", "drills"}, left(), "nothing else is ever removed")

	// T12: a few long ones push out themselves.
	for i := range 10 {
		add(fmt.Sprintf("detail-short%d-0", i), fmt.Sprint("short", i), 1, 10, nil)
	}
	for i := range 10 {
		add(fmt.Sprintf("detail-long%d-0", i), fmt.Sprint("long", i), 5+i, 160, nil)
	}
	removed, err = d.Prune(t.Context(), 800)
	require.NoError(t, err)
	require.Equal(t, []string{"long0", "long1", "long2", "long3", "long4", "long5"}, removed)
	_, err = d.Prune(t.Context(), 0)
	require.NoError(t, err)

	add("detail-odd-0", "odd", 4, -5, nil)
	removed, err = d.Prune(t.Context(), 800<<10)
	require.NoError(t, err)
	require.Equal(t, []string{"odd"}, removed, "one that does not say how long it is counts as long as it may be")
}
