package kube

import (
	"context"
	"fmt"
	"strings"
	"sync"

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
	return ask(ctx, rights, func(ctx context.Context, r Right) (bool, error) {
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
	return ask(ctx, rights, func(ctx context.Context, r Right) (bool, error) {
		review, err := c.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: who.User, Groups: who.Groups, ResourceAttributes: r.attributes()},
		}, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("ask the cluster whether %s may %s: %w", who.User, r, err)
		}
		return review.Status.Allowed, nil
	})
}

// ask asks about every right at once, and returns the denied ones in their order.
func ask(ctx context.Context, rights []Right, allowed func(context.Context, Right) (bool, error)) ([]Right, error) {
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
