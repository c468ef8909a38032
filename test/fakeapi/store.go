// Package fakeapi is a Kubernetes API server in memory, and ways in which the writes to it go wrong. Its clients reach it
// without a socket, so that everything around it can be played in virtual time.
package fakeapi

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// kinds are the resources that are served, with their kinds. Those of the cluster have no namespace.
var kinds = map[string]string{
	"pods": "Pod", "nodes": "Node", "secrets": "Secret", "configmaps": "ConfigMap", "events": "Event", "services": "Service",
	"namespaces": "Namespace", "leases": "Lease", "endpointslices": "EndpointSlice", "drillruns": "DrillRun", "serviceaccounts": "ServiceAccount",
	"persistentvolumeclaims": "PersistentVolumeClaim", "persistentvolumes": "PersistentVolume", "statefulsets": "StatefulSet", "deployments": "Deployment",
	"replicasets": "ReplicaSet", "poddisruptionbudgets": "PodDisruptionBudget", "resourcequotas": "ResourceQuota",
}

// withStatus are the resources whose status is written by a subresource alone.
var withStatus = []string{"drillruns", "pods", "nodes"}

// Object is a stored object. Nobody changes one that has been stored.
type Object = unstructured.Unstructured

// Change is one write that was carried out. Before is nil when the object was created, and After when it went.
type Change struct {
	Resource      string
	By            string // the client's name; empty for what the cluster does itself
	Before, After *Object
	version       int64
}

// Object is the newest state that the change knows.
func (c Change) Object() *Object {
	if c.After != nil {
		return c.After
	}
	return c.Before
}

// Server is the state of a cluster.
type Server struct {
	// Watch is called with every change, in order, by whoever makes it and before it returns. It must not write.
	Watch func(Change)
	// Logs is a pod's log; nil has none.
	Logs func(pod string) string
	// Deny says why a pod may not be bound to a node, "" when it may. It may ask get, and must not call the server.
	Deny func(namespace, pod string, get func(resource, namespace, name string) *Object) string

	mu      sync.Mutex
	version int64
	uids    int
	objects map[string]map[string]*Object // by resource, and namespace/name
	changes []Change
	changed chan struct{} // closed and replaced at each change
}

// New makes an empty cluster.
func New() *Server {
	return &Server{objects: map[string]map[string]*Object{}, changed: make(chan struct{})}
}

// failure is an answer of the API server that is not a success.
type failure struct {
	code   int
	reason metav1.StatusReason
	text   string
}

func (f *failure) Error() string { return f.text }

func fail(code int, reason metav1.StatusReason, format string, args ...any) *failure {
	return &failure{code, reason, fmt.Sprintf(format, args...)}
}

func key(namespace, name string) string { return namespace + "/" + name }

func notFound(resource, name string) *failure {
	return fail(http.StatusNotFound, metav1.StatusReasonNotFound, "%s %q not found", resource, name)
}

func conflict(resource, name, why string) *failure {
	return fail(http.StatusConflict, metav1.StatusReasonConflict, "Operation cannot be fulfilled on %s %q: %s", resource, name, why)
}

// commit stores the object, or removes it when after is nil. The caller holds the lock.
func (s *Server) commit(by, resource string, before, after *Object) {
	s.version++
	if after != nil {
		after.SetResourceVersion(strconv.FormatInt(s.version, 10))
		if s.objects[resource] == nil {
			s.objects[resource] = map[string]*Object{}
		}
		s.objects[resource][key(after.GetNamespace(), after.GetName())] = after
	} else {
		delete(s.objects[resource], key(before.GetNamespace(), before.GetName()))
	}
	c := Change{Resource: resource, By: by, Before: before, After: after, version: s.version}
	s.changes = append(s.changes, c)
	close(s.changed)
	s.changed = make(chan struct{})
	if s.Watch != nil {
		s.Watch(c)
	}
	if after == nil {
		s.collect(before.GetUID())
	}
}

// collect removes what belongs to an owner that is gone.
func (s *Server) collect(owner types.UID) {
	for resource, all := range s.objects {
		for _, o := range all {
			if slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == owner }) {
				s.commit("", resource, o, nil)
			}
		}
	}
}

func (s *Server) create(by, resource string, o *Object) (*Object, error) {
	if o.GetName() == "" {
		s.uids++
		o.SetName(fmt.Sprintf("%s%05d", o.GetGenerateName(), s.uids))
	}
	if s.objects[resource][key(o.GetNamespace(), o.GetName())] != nil {
		return nil, fail(http.StatusConflict, metav1.StatusReasonAlreadyExists, "%s %q already exists", resource, o.GetName())
	}
	if resource == "drillruns" {
		delete(o.Object, "status")
	}
	s.uids++
	o.SetUID(types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", s.uids)))
	o.SetCreationTimestamp(metav1.Now())
	s.commit(by, resource, nil, o)
	return o, nil
}

// update replaces the object by what edit makes of a copy; on the status subresource only its status, and else all but that.
func (s *Server) update(by, resource, sub, namespace, name string, edit func(*Object) (*Object, error)) (*Object, error) {
	before := s.get(resource, namespace, name)
	if before == nil {
		return nil, notFound(resource, name)
	}
	after, err := edit(before.DeepCopy())
	if err != nil {
		return nil, err
	}
	switch v := after.GetResourceVersion(); {
	case v != "" && v != before.GetResourceVersion():
		return nil, conflict(resource, name, "the object has been modified; please apply your changes to the latest version and try again")
	case after.GetUID() != "" && after.GetUID() != before.GetUID():
		return nil, conflict(resource, name, "the UID in the precondition does not match the UID in record")
	}
	from := before.DeepCopy()
	switch {
	case sub == "status":
		status := after.Object["status"]
		after = from
		after.Object["status"] = status
	case slices.Contains(withStatus, resource):
		delete(after.Object, "status")
		if status, ok := from.Object["status"]; ok {
			after.Object["status"] = status
		}
	}
	after.SetUID(before.GetUID())
	after.SetCreationTimestamp(before.GetCreationTimestamp())
	after.SetDeletionTimestamp(before.GetDeletionTimestamp())
	if after.GetDeletionTimestamp() != nil && len(after.GetFinalizers()) == 0 && resource != "pods" {
		s.commit(by, resource, before, nil)
		return after, nil
	}
	s.commit(by, resource, before, after)
	return after, nil
}

// remove deletes, or marks what has finalizers, and pods with a grace period, as being deleted.
func (s *Server) remove(by, resource, namespace, name string, o metav1.DeleteOptions) (*Object, error) {
	before := s.get(resource, namespace, name)
	if before == nil {
		return nil, notFound(resource, name)
	}
	if p := o.Preconditions; p != nil {
		if p.UID != nil && *p.UID != before.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != before.GetResourceVersion() {
			return nil, conflict(resource, name, "the precondition does not match the record")
		}
	}
	graceful := resource == "pods" && (o.GracePeriodSeconds == nil || *o.GracePeriodSeconds > 0)
	if !graceful && len(before.GetFinalizers()) == 0 {
		s.commit(by, resource, before, nil)
		return before, nil
	}
	if before.GetDeletionTimestamp() != nil {
		return before, nil
	}
	after := before.DeepCopy()
	now := metav1.Now()
	after.SetDeletionTimestamp(&now)
	s.commit(by, resource, before, after)
	return after, nil
}

// The cluster's own hands: of the set-up, of kubelets and controllers, and of those who look at the end.

// Put creates an object, in the cluster's own name.
func (s *Server) Put(resource string, o *Object) *Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := s.create("", resource, o)
	if err != nil {
		return nil
	}
	return made
}

// Edit changes an object, if it is still there and the same.
func (s *Server) Edit(resource string, was *Object, change func(*Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.get(resource, was.GetNamespace(), was.GetName())
	if before == nil || before.GetUID() != was.GetUID() {
		return
	}
	after := before.DeepCopy()
	change(after)
	s.commit("", resource, before, after)
}

// Gone removes this very object, finalizers or not.
func (s *Server) Gone(resource, namespace, name string, uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.get(resource, namespace, name); o != nil && o.GetUID() == uid {
		s.commit("", resource, o, nil)
	}
}

// Get returns an object, nil when there is none.
func (s *Server) Get(resource, namespace, name string) *Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(resource, namespace, name)
}

func (s *Server) get(resource, namespace, name string) *Object {
	return s.objects[resource][key(namespace, name)]
}

// List returns the objects of a resource in one namespace, by name; of all with an empty one.
func (s *Server) List(resource, namespace string) []*Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(resource, namespace, nil)
}

func (s *Server) list(resource, namespace string, matches func(*Object) bool) []*Object {
	var all []*Object
	for _, o := range s.objects[resource] {
		if (namespace == "" || o.GetNamespace() == namespace) && (matches == nil || matches(o)) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *Object) int {
		return strings.Compare(key(a.GetNamespace(), a.GetName()), key(b.GetNamespace(), b.GetName()))
	})
	return all
}

// since returns the changes after a version, and what is closed at the next one.
func (s *Server) since(version int64) ([]Change, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.changes, version+1, func(c Change, v int64) int { return int(c.version - v) })
	return s.changes[i:], s.changed
}

// Follow calls each with every change from the first one on, until stop is closed. Unlike Watch it may write.
func (s *Server) Follow(stop <-chan struct{}, each func(Change)) {
	for at := int64(0); ; {
		changes, more := s.since(at)
		for _, c := range changes {
			at = c.version
			each(c)
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-more:
		case <-stop:
			return
		}
	}
}
