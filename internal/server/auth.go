package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

// Who may read a part of the port.
const (
	AuthToken     = "token"     // who shows a token of the cluster, and has the right
	AuthAnonymous = "anonymous" // whoever reaches the port
)

const (
	knownFor    = time.Minute      // a right that was taken away is gone after this
	deniedFor   = 10 * time.Second // a right that was given holds after this
	maxKnown    = 512
	reviews     = 4 // at once
	reviewsWait = 5 * time.Second
)

// doorkeeper asks the cluster who shows a token (TokenReview), and whether they have a right (SubjectAccessReview).
type doorkeeper struct {
	client *kube.Client
	log    *zap.Logger
	slots  chan struct{}

	mu    sync.Mutex
	known map[[sha256.Size]byte]admittance
}

// admittance is what the cluster said of a token.
type admittance struct {
	status int    // of HTTP: 200, 401 or 403
	text   string // what to say
	until  time.Time
}

func newDoorkeeper(client *kube.Client, log *zap.Logger) *doorkeeper {
	return &doorkeeper{client: client, log: log, slots: make(chan struct{}, reviews), known: map[[sha256.Size]byte]admittance{}}
}

// toSeeRuns is the right to see the pages: they show the records, so whoever may list those may see them.
func toSeeRuns(namespace string) authorizationv1.SubjectAccessReviewSpec {
	return authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
		Verb: "list", Group: kube.Resource.Group, Resource: kube.Resource.Resource, Namespace: namespace}}
}

// toSeeMetrics is the right to read metrics, as most servers ask for it.
func toSeeMetrics() authorizationv1.SubjectAccessReviewSpec {
	return authorizationv1.SubjectAccessReviewSpec{NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/metrics"}}
}

// admits lets through who shows a token of the cluster and has the right.
func (d *doorkeeper) admits(right authorizationv1.SubjectAccessReviewSpec, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := admittance{status: http.StatusUnauthorized, text: "This page shows the records of drills, so it asks who you are."}
		if token := tokenOf(r); token != "" {
			a = d.ask(r.Context(), token, right)
		}
		switch a.status {
		case http.StatusOK:
			next.ServeHTTP(w, r)
			return
		case http.StatusUnauthorized:
			w.Header().Add("WWW-Authenticate", `Basic realm="drill: any name, and a token of the cluster as the password", charset="UTF-8"`)
			w.Header().Add("WWW-Authenticate", "Bearer")
			a.text += fmt.Sprintf("\n\nMake a token:  kubectl -n %[1]s create token drill-viewer\nIn a browser:  any name, and the token as the password\nBy a program:  curl -H \"Authorization: Bearer $TOKEN\"\n\n"+
				"A token is good whose owner may list drillruns in namespace %[1]s. drill serve --page-auth=anonymous asks nobody.", kube.Namespace)
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, a.text, a.status)
	})
}

// tokenOf is the token that a request shows: as a bearer's, or as the password that a browser asks for.
func tokenOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return strings.TrimSpace(password)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func (d *doorkeeper) ask(ctx context.Context, token string, right authorizationv1.SubjectAccessReviewSpec) admittance {
	key := sha256.Sum256([]byte(right.String() + "\x00" + token))
	d.mu.Lock()
	a, ok := d.known[key]
	d.mu.Unlock()
	if ok && time.Now().Before(a.until) {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, reviewsWait)
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return admittance{status: http.StatusServiceUnavailable, text: "too many ask at once who they are"}
	}
	a, err := d.review(ctx, token, right)
	if err != nil {
		d.log.Warn("nobody can be let in: the cluster does not say who they are", zap.Error(err))
		return admittance{status: http.StatusServiceUnavailable, text: "the cluster does not say who you are; see the server's log"}
	}
	d.remember(key, a)
	return a
}

func (d *doorkeeper) review(ctx context.Context, token string, right authorizationv1.SubjectAccessReviewSpec) (admittance, error) {
	who, err := d.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return admittance{}, fmt.Errorf("review a token: %w", err)
	}
	if !who.Status.Authenticated {
		return admittance{status: http.StatusUnauthorized, text: "The cluster does not know this token, or it is too old.", until: time.Now().Add(deniedFor)}, nil
	}
	user := who.Status.User
	right.User, right.UID, right.Groups = user.Username, user.UID, user.Groups
	right.Extra = map[string]authorizationv1.ExtraValue{}
	for k, v := range user.Extra {
		right.Extra[k] = authorizationv1.ExtraValue(v)
	}
	may, err := d.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: right}, metav1.CreateOptions{})
	if err != nil {
		return admittance{}, fmt.Errorf("ask whether %s may see this: %w", user.Username, err)
	}
	if !may.Status.Allowed {
		return admittance{status: http.StatusForbidden, text: fmt.Sprintf("%s may not see this: it takes the right to %s.", user.Username, rightText(right)), until: time.Now().Add(deniedFor)}, nil
	}
	return admittance{status: http.StatusOK, until: time.Now().Add(knownFor)}, nil
}

func rightText(right authorizationv1.SubjectAccessReviewSpec) string {
	if n := right.NonResourceAttributes; n != nil {
		return n.Verb + " " + n.Path
	}
	a := right.ResourceAttributes
	return fmt.Sprintf("%s %s.%s in namespace %s", a.Verb, a.Resource, a.Group, a.Namespace)
}

// remember keeps few answers: whoever makes up tokens must not fill the memory.
func (d *doorkeeper) remember(key [sha256.Size]byte, a admittance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= maxKnown {
		now := time.Now()
		for k, old := range d.known {
			if now.After(old.until) {
				delete(d.known, k)
			}
		}
		if len(d.known) >= maxKnown {
			clear(d.known)
		}
	}
	d.known[key] = a
}
