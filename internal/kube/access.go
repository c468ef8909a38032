package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// Right is a permission, on the object of one name or on all.
type Right struct {
	drill.Permission
	Name string
}

// String reads like kubectl auth can-i.
func (r Right) String() string {
	if r.Name == "" {
		return r.Permission.String()
	}
	p := r.Permission
	resource := p.Resource
	if p.Group != "" {
		resource += "." + p.Group
	}
	s := p.Verb + " " + resource + " " + r.Name
	if p.Namespace != "" {
		s += " in namespace " + p.Namespace
	}
	return s
}

// MayInject is the right to inject faults of a kind in a namespace. The resource is virtual: it exists in Roles only.
func MayInject(faultKind, namespace string) Right {
	return Right{Name: faultKind, Permission: drill.Permission{
		Verb: "inject", Group: Resource.Group, Resource: "faults", Namespace: namespace}}
}

// MayReadSecret is the right to read one Secret.
func MayReadSecret(namespace, name string) Right {
	return Right{Name: name, Permission: drill.Permission{Verb: "get", Resource: "secrets", Namespace: namespace}}
}

// SecretName names a Secret.
type SecretName struct{ Namespace, Name string }

// RunRights are what the requester of a run must be allowed for the run to do it, each once: to inject each kind of fault in
// every namespace that is touched, to read the Secrets, and to look at what the runner looks at.
func RunRights(namespaces, faultKinds []string, secrets []SecretName, reads []drill.Permission) []Right {
	var all []Right
	seen := map[Right]bool{}
	add := func(r Right) {
		if !seen[r] {
			seen[r] = true
			all = append(all, r)
		}
	}
	kinds := slices.Compact(slices.Sorted(slices.Values(faultKinds)))
	for _, ns := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		for _, kind := range kinds {
			if len(all) <= maxRights { // one more is enough to be too many
				add(MayInject(kind, ns))
			}
		}
	}
	for _, s := range secrets {
		add(MayReadSecret(s.Namespace, s.Name))
	}
	for _, p := range reads {
		add(Right{Permission: p})
	}
	return all
}

// How rights are asked for: so many at the same time, all within so long, and no more than so many. A drill within its
// bounds needs about a hundred. Admission of other runs shares the connection with these questions.
const (
	askAtOnce = 8
	askWithin = 20 * time.Second
	maxRights = 512
)

// RunnerAccount is whose rights a runner pod has.
func RunnerAccount() Requester {
	return Requester{User: "system:serviceaccount:" + Namespace + ":drill-runner",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + Namespace, "system:authenticated"}}
}

func (r Right) attributes() *authorizationv1.ResourceAttributes {
	resource, sub, _ := strings.Cut(r.Resource, "/")
	return &authorizationv1.ResourceAttributes{Verb: r.Verb, Group: r.Group, Resource: resource, Subresource: sub,
		Namespace: r.Namespace, Name: r.Name}
}

// WhoAmI asks the cluster who the caller is.
func (c *Client) WhoAmI(ctx context.Context) (Requester, error) {
	review, err := c.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return Requester{}, fmt.Errorf("ask the cluster who you are: %w", err)
	}
	return Requester{User: review.Status.UserInfo.Username, Groups: review.Status.UserInfo.Groups}, nil
}

// Missing returns those of the permissions that the caller does not have.
func (c *Client) Missing(ctx context.Context, needed []drill.Permission) ([]drill.Permission, error) {
	rights := make([]Right, len(needed))
	for i, p := range needed {
		rights[i] = Right{Permission: p, Name: p.Name}
	}
	denied, err := c.Denied(ctx, rights)
	var missing []drill.Permission
	for _, r := range denied {
		missing = append(missing, r.Permission)
	}
	return missing, err
}

// Denied returns those of the rights that the caller does not have.
func (c *Client) Denied(ctx context.Context, rights []Right) ([]Right, error) {
	return ask(ctx, rights, false, func(ctx context.Context, r Right) (bool, error) {
		review, err := c.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: r.attributes()}}, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("ask the cluster whether you may %s: %w", r, err)
		}
		return review.Status.Allowed, nil
	})
}

// RequesterMay returns those of the rights that the requester of a run does not have.
func (c *Client) RequesterMay(ctx context.Context, who Requester, rights []Right) (missing []Right, err error) {
	return ask(ctx, rights, false, c.of(who))
}

// RequesterLacks is RequesterMay for whom one missing right is enough: it asks no more once there is one.
func (c *Client) RequesterLacks(ctx context.Context, who Requester, rights []Right) (missing []Right, err error) {
	return ask(ctx, rights, true, c.of(who))
}

// of asks about the rights of a requester.
func (c *Client) of(who Requester) func(context.Context, Right) (bool, error) {
	return func(ctx context.Context, r Right) (bool, error) {
		review, err := c.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: who.User, Groups: who.Groups, ResourceAttributes: r.attributes()},
		}, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("ask the cluster whether %s may %s: %w", who.User, r, err)
		}
		return review.Status.Allowed, nil
	}
}

// ask asks about the rights, a few at the same time, and returns the denied ones in their order. With enough it asks no
// further once some of them are denied. Too many rights are a refusal: asking would take longer than anybody waits.
func ask(ctx context.Context, rights []Right, enough bool, allowed func(context.Context, Right) (bool, error)) ([]Right, error) {
	if len(rights) > maxRights {
		return nil, &drill.Refusal{Code: "too_many_rights", Text: fmt.Sprintf(
			"The drill needs %d rights or more, and %d at most are asked for. Write several drills, with fewer faults or namespaces in each", maxRights+1, maxRights)}
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var denied []Right
	for some := range slices.Chunk(rights, askAtOnce) {
		more, err := askTogether(ctx, some, allowed)
		if err != nil {
			return nil, err
		}
		if denied = append(denied, more...); enough && len(denied) > 0 {
			break
		}
	}
	return denied, nil
}

func askTogether(ctx context.Context, rights []Right, allowed func(context.Context, Right) (bool, error)) ([]Right, error) {
	answers := make([]struct {
		ok  bool
		err error
	}, len(rights))
	var wg sync.WaitGroup
	for i, r := range rights {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, requestTimeout)
			defer cancel()
			answers[i].ok, answers[i].err = allowed(ctx, r)
		})
	}
	wg.Wait()
	var denied []Right
	for i, a := range answers {
		if a.err != nil {
			return nil, a.err
		}
		if !a.ok {
			denied = append(denied, rights[i])
		}
	}
	return denied, nil
}
