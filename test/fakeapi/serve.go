package fakeapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// request is a request to the API server, taken apart.
type request struct {
	by, method               string
	group, resource, sub     string
	namespace, name, version string
	query                    url.Values
	contentType, accept      string
	body                     []byte
}

// Path is what a request is about, without the group: "pods/run-x/log".
func (q request) path() string {
	return strings.Trim(strings.Join([]string{q.resource, q.name, q.sub}, "/"), "/")
}

// parse reads /api/v1/… and /apis/GROUP/VERSION/….
func parse(by string, r *http.Request, body []byte) (q request) {
	q = request{by: by, method: r.Method, query: r.URL.Query(), contentType: r.Header.Get("Content-Type"), accept: r.Header.Get("Accept"), body: body}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		q.version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		q.group, q.version, parts = parts[1], parts[1]+"/"+parts[2], parts[3:]
	default:
		return q
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		q.namespace, parts = parts[1], parts[2:]
	}
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	q.resource, q.name, q.sub = at(0), at(1), at(2)
	return q
}

func (s *Server) serve(q request) (int, any) {
	out, err := s.carryOut(q)
	var f *failure
	switch {
	case errors.As(err, &f):
		return f.code, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
			Code: int32(f.code), Reason: f.reason, Message: f.text}
	case err != nil:
		return http.StatusBadRequest, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: err.Error()}
	case q.method == http.MethodPost:
		return http.StatusCreated, out
	}
	return http.StatusOK, out
}

func (s *Server) carryOut(q request) (any, error) {
	if strings.HasSuffix(q.resource, "reviews") {
		return review(q)
	}
	if kinds[q.resource] == "" {
		return nil, notFound("path", q.path())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch q.method {
	case http.MethodGet:
		if q.name == "" {
			return s.listed(q)
		}
		o := s.get(q.resource, q.namespace, q.name)
		if o == nil {
			return nil, notFound(q.resource, q.name)
		}
		return q.shown(o), nil
	case http.MethodPost:
		switch q.sub {
		case "eviction":
			return s.remove(q.by, q.resource, q.namespace, q.name, metav1.DeleteOptions{})
		case "binding":
			return s.bind(q)
		}
		o, err := decode(q.body)
		if err != nil {
			return nil, err
		}
		o.SetNamespace(q.namespace)
		if q.query.Get("dryRun") != "" {
			return o, nil
		}
		return s.create(q.by, q.resource, o)
	case http.MethodPut:
		return s.update(q.by, q.resource, q.sub, q.namespace, q.name, func(*Object) (*Object, error) { return decode(q.body) })
	case http.MethodPatch:
		if strings.HasPrefix(q.contentType, "application/apply-patch") && s.get(q.resource, q.namespace, q.name) == nil {
			o, err := decode(q.body)
			if err != nil {
				return nil, err
			}
			o.SetNamespace(q.namespace)
			return s.create(q.by, q.resource, o)
		}
		return s.update(q.by, q.resource, q.sub, q.namespace, q.name, func(o *Object) (*Object, error) {
			patch := map[string]any{}
			if err := yaml.Unmarshal(q.body, &patch); err != nil {
				return nil, err
			}
			o.Object = merge(o.Object, patch)
			return o, nil
		})
	case http.MethodDelete:
		var o metav1.DeleteOptions
		if len(q.body) > 0 {
			if err := json.Unmarshal(q.body, &o); err != nil {
				return nil, err
			}
		}
		return s.remove(q.by, q.resource, q.namespace, q.name, o)
	}
	return nil, fail(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "%s is not served", q.method)
}

// bind is a scheduler's word. Nobody here needs more of it than whether it is denied.
func (s *Server) bind(q request) (any, error) {
	if s.Deny != nil {
		if why := s.Deny(q.namespace, q.name, s.get); why != "" {
			return nil, fail(http.StatusForbidden, metav1.StatusReasonForbidden, "%s", why)
		}
	}
	return nil, notFound(q.resource, q.name)
}

// review allows everything, and says that everybody is the admin.
func review(q request) (any, error) {
	o, err := decode(q.body)
	if err != nil {
		return nil, err
	}
	o.Object["status"] = map[string]any{"allowed": true, "authenticated": true,
		"userInfo": map[string]any{"username": "admin", "groups": []any{"system:masters"}}}
	return o, nil
}

func decode(raw []byte) (*Object, error) {
	o := &Object{Object: map[string]any{}}
	return o, yaml.Unmarshal(raw, &o.Object)
}

// merge is RFC 7386.
func merge(into, patch map[string]any) map[string]any {
	for k, v := range patch {
		switch under, isMap := v.(map[string]any); {
		case v == nil:
			delete(into, k)
		case isMap:
			old, _ := into[k].(map[string]any)
			if old == nil {
				old = map[string]any{}
			}
			into[k] = merge(old, under)
		default:
			into[k] = v
		}
	}
	return into
}

// metadataOnly reports whether the caller wants no more than an object's metadata.
func (q request) metadataOnly() bool { return strings.Contains(q.accept, "as=PartialObjectMetadata") }

func (q request) shown(o *Object) *Object {
	if !q.metadataOnly() {
		return o
	}
	return &Object{Object: map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": o.Object["metadata"]}}
}

func (q request) matcher() (func(*Object) bool, error) {
	byLabel, err := labels.Parse(q.query.Get("labelSelector"))
	if err != nil {
		return nil, err
	}
	byField, err := fields.ParseSelector(q.query.Get("fieldSelector"))
	if err != nil {
		return nil, err
	}
	return func(o *Object) bool {
		if q.namespace != "" && o.GetNamespace() != q.namespace || !byLabel.Matches(labels.Set(o.GetLabels())) {
			return false
		}
		set := fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
		for _, r := range byField.Requirements() {
			if _, known := set[r.Field]; !known {
				set[r.Field] = nested(o.Object, strings.Split(r.Field, "."))
			}
		}
		return byField.Matches(set)
	}, nil
}

func nested(in map[string]any, path []string) string {
	for _, p := range path[:len(path)-1] {
		in, _ = in[p].(map[string]any)
	}
	s, _ := in[path[len(path)-1]].(string)
	return s
}

// listed is a page of a list. The token of the next page is the place where it begins.
func (s *Server) listed(q request) (any, error) {
	matches, err := q.matcher()
	if err != nil {
		return nil, err
	}
	all := s.list(q.resource, q.namespace, matches)
	from, _ := strconv.Atoi(q.query.Get("continue"))
	limit, _ := strconv.Atoi(q.query.Get("limit"))
	meta := map[string]any{"resourceVersion": strconv.FormatInt(s.version, 10)}
	all = all[min(from, len(all)):]
	if limit > 0 && len(all) > limit {
		meta["continue"], all = strconv.Itoa(from+limit), all[:limit]
	}
	items := make([]any, 0, len(all))
	for _, o := range all {
		items = append(items, q.shown(o).Object)
	}
	version, kind := q.version, kinds[q.resource]+"List"
	if q.metadataOnly() {
		version, kind = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	return map[string]any{"apiVersion": version, "kind": kind, "metadata": meta, "items": items}, nil
}

// watch writes the changes of what the request selects until ctx ends.
func (s *Server) watch(ctx context.Context, q request, w io.Writer) error {
	matches, err := q.matcher()
	if err != nil {
		return err
	}
	say := func(kind string, o *Object) error {
		return json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": o.Object})
	}
	at, unknown := strconv.ParseInt(q.query.Get("resourceVersion"), 10, 64)
	if unknown != nil || q.query.Get("sendInitialEvents") == "true" {
		s.mu.Lock()
		at = s.version
		all := s.list(q.resource, q.namespace, matches)
		s.mu.Unlock()
		for _, o := range all {
			if err := say("ADDED", q.shown(o)); err != nil {
				return err
			}
		}
		if q.query.Get("sendInitialEvents") == "true" {
			version, kind := q.version, kinds[q.resource]
			if q.metadataOnly() {
				version, kind = "meta.k8s.io/v1", "PartialObjectMetadata"
			}
			err := say("BOOKMARK", &Object{Object: map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{
				"resourceVersion": strconv.FormatInt(at, 10), "annotations": map[string]any{metav1.InitialEventsAnnotationKey: "true"}}}})
			if err != nil {
				return err
			}
		}
	}
	for {
		changes, more := s.since(at)
		for _, c := range changes {
			at = c.version
			if c.Resource != q.resource {
				continue
			}
			before, after := c.Before != nil && matches(c.Before), c.After != nil && matches(c.After)
			switch {
			case before && after:
				err = say("MODIFIED", q.shown(c.After))
			case after:
				err = say("ADDED", q.shown(c.After))
			case before:
				gone := c.Before.DeepCopy()
				gone.SetResourceVersion(strconv.FormatInt(c.version, 10))
				err = say("DELETED", q.shown(gone))
			}
			if err != nil {
				return err
			}
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
