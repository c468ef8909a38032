package server

import (
	"context"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
)

// metaOf gives the metadata of what a fake cluster holds, as an API server does.
type metaOf struct{ dynamic dynamic.Interface }

func (m metaOf) Resource(r schema.GroupVersionResource) metadata.Getter {
	all := m.dynamic.Resource(r)
	return metaGetter{metaResource{all}, all}
}

type metaGetter struct {
	metaResource
	all dynamic.NamespaceableResourceInterface
}

func (g metaGetter) Namespace(ns string) metadata.ResourceInterface {
	return metaResource{g.all.Namespace(ns)}
}

type metaResource struct{ of dynamic.ResourceInterface }

func (metaResource) IsWatchListSemanticsUnSupported() bool { return true }
func (metaOf) IsWatchListSemanticsUnSupported() bool       { return true }

func partial(u *unstructured.Unstructured) *metav1.PartialObjectMetadata {
	raw, _ := u.MarshalJSON()
	p := new(metav1.PartialObjectMetadata)
	_ = json.Unmarshal(raw, p)
	return p
}

func (r metaResource) Delete(ctx context.Context, name string, o metav1.DeleteOptions, sub ...string) error {
	return r.of.Delete(ctx, name, o, sub...)
}

func (r metaResource) DeleteCollection(ctx context.Context, o metav1.DeleteOptions, l metav1.ListOptions) error {
	return r.of.DeleteCollection(ctx, o, l)
}

func (r metaResource) Get(ctx context.Context, name string, o metav1.GetOptions, sub ...string) (*metav1.PartialObjectMetadata, error) {
	u, err := r.of.Get(ctx, name, o, sub...)
	if err != nil {
		return nil, err
	}
	return partial(u), nil
}

func (r metaResource) List(ctx context.Context, o metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	list, err := r.of.List(ctx, o)
	if err != nil {
		return nil, err
	}
	all := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: list.GetResourceVersion(), Continue: list.GetContinue()}}
	for i := range list.Items {
		all.Items = append(all.Items, *partial(&list.Items[i]))
	}
	return all, nil
}

func (r metaResource) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	w, err := r.of.Watch(ctx, o)
	if err != nil {
		return nil, err
	}
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		if u, ok := e.Object.(*unstructured.Unstructured); ok {
			e.Object = partial(u)
		}
		return e, true
	}), nil
}

func (r metaResource) Patch(ctx context.Context, name string, t types.PatchType, raw []byte, o metav1.PatchOptions, sub ...string) (*metav1.PartialObjectMetadata, error) {
	u, err := r.of.Patch(ctx, name, t, raw, o, sub...)
	if err != nil {
		return nil, err
	}
	return partial(u), nil
}
