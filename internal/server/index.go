package server

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
)

// index is what a server knows of every run: its metadata, and its summary. It holds no record. Every replica has one:
// the leader works by it, and pages are made from it.
type index struct {
	informer cache.SharedIndexInformer
	runs     *kube.Runs // with a budget of requests of its own
	meta     metadata.Interface
	ns       string

	mu    sync.Mutex
	known map[types.UID]entry
}

// entry is one run.
type entry struct {
	*metav1.PartialObjectMetadata
	kube.Summary
	read bool // false when the run is not settled, and its record was not read yet
}

func newIndex(o Options) *index {
	apart := o.Client.Apart()
	return &index{informer: metaInformer(o, kube.Resource, nil), runs: kube.NewRuns(apart.Dynamic, o.Namespace), meta: apart.Metadata,
		ns: o.Namespace, known: map[types.UID]entry{}}
}

// metaInformer sees the metadata of some objects in drill's namespace.
func metaInformer(o Options, resource schema.GroupVersionResource, tweak metadatainformer.TweakListOptionsFunc) cache.SharedIndexInformer {
	informer := metadatainformer.NewFilteredMetadataInformer(o.Client.Metadata, resource, o.Namespace, resync, cache.Indexers{}, tweak).Informer()
	_ = informer.SetTransform(lean) // fails on a started informer only
	return informer
}

// lean drops what the server does not look at. Most of an object's metadata is managedFields, which name every variable,
// and labels and annotations may be anybody's.
func lean(object any) (any, error) {
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, UID: m.UID,
		ResourceVersion: m.ResourceVersion, CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
		Finalizers: m.Finalizers, Labels: ours(m.Labels), Annotations: ours(m.Annotations)}}, nil
}

// ours are drill's own labels or annotations.
func ours(all map[string]string) map[string]string {
	var kept map[string]string
	for key, value := range all {
		if strings.HasPrefix(key, "failoverdrill.io/") && len(value) <= maxMark {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = value
		}
	}
	return kept
}

// maxMark is the longest of drill's labels and annotations, a summary.
const maxMark = 1 << 10

// run keeps the index up to date until ctx ends.
func (x *index) run(ctx context.Context) { x.informer.RunWithContext(ctx) }

// synced waits until the index knows every run that was there when it began.
func (x *index) synced(ctx context.Context) bool {
	return x.informer.HasSynced() || cache.WaitForCacheSync(ctx.Done(), x.informer.HasSynced)
}

// find is the metadata of a run; nil when there is no such run.
func (x *index) find(name string) *metav1.PartialObjectMetadata {
	object, exists, err := x.informer.GetStore().GetByKey(x.ns + "/" + name)
	if err != nil || !exists {
		return nil
	}
	m, _ := object.(*metav1.PartialObjectMetadata)
	return m
}

// entries are all runs, the newest first. Of those that are not settled it reads the records, at most so many and the
// newest first; each only when it has changed.
func (x *index) entries(ctx context.Context, most int) ([]entry, error) {
	var all []*metav1.PartialObjectMetadata
	for _, object := range x.informer.GetStore().List() {
		if m, ok := object.(*metav1.PartialObjectMetadata); ok {
			all = append(all, m)
		}
	}
	return x.of(ctx, all, most)
}

// listed is the same by the cluster's own word, and not a cache's.
func (x *index) listed(ctx context.Context) ([]entry, error) {
	var all []*metav1.PartialObjectMetadata
	err := kube.EachMeta(ctx, x.meta, x.ns, "", func(m *metav1.PartialObjectMetadata) {
		if small, err := lean(m); err == nil {
			all = append(all, small.(*metav1.PartialObjectMetadata))
		}
	})
	if err != nil {
		return nil, err
	}
	return x.of(ctx, all, len(all))
}

func (x *index) of(ctx context.Context, all []*metav1.PartialObjectMetadata, most int) ([]entry, error) {
	slices.SortFunc(all, func(a, b *metav1.PartialObjectMetadata) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(b.Name, a.Name))
	})
	entries, unread := x.remembered(all)
	var gone []types.UID
	var failed error
	for _, i := range unread[:min(most, len(unread))] { // without the lock: a page must not wait for it
		run, err := x.runs.Get(ctx, entries[i].Name)
		if apierrors.IsNotFound(err) || err == nil && run.UID != entries[i].UID {
			gone = append(gone, entries[i].UID)
			continue
		}
		if failed = err; err != nil {
			break
		}
		read := *entries[i].PartialObjectMetadata
		read.ResourceVersion = run.ResourceVersion
		entries[i] = entry{PartialObjectMetadata: &read, Summary: history.Summarize(run), read: true}
		x.mu.Lock()
		x.known[read.UID] = entries[i]
		x.mu.Unlock()
	}
	return slices.DeleteFunc(entries, func(e entry) bool { return slices.Contains(gone, e.UID) }), failed
}

// remembered are entries as far as they are known without reading records, and those of them whose records are to be read.
func (x *index) remembered(all []*metav1.PartialObjectMetadata) (entries []entry, unread []int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entries = make([]entry, len(all))
	now := make(map[types.UID]entry, len(all))
	for i, m := range all {
		e, known := x.known[m.UID]
		if known && e.read && e.ResourceVersion == m.ResourceVersion {
			e.PartialObjectMetadata = m
		} else {
			e = entry{PartialObjectMetadata: m}
			if e.Summary, e.read = kube.SummaryOf(m); !e.read {
				e.Phase, e.Started = kube.PhasePending, m.CreationTimestamp.UTC()
				unread = append(unread, i)
			}
		}
		entries[i], now[m.UID] = e, e
	}
	x.known = now
	return entries, unread
}
