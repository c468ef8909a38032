// Package kube is how drill talks to a Kubernetes cluster: the connection, the record of each run, the lock, rights and logs.
package kube

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Namespace is where drill lives: the server, the runner pods, the records and the locks.
const Namespace = "failoverdrill"

// AgentNamespace is where agents are, with a Secret each, and nothing else: they need what Pod Security keeps all others from.
const AgentNamespace = "failoverdrill-agents"

// Labels of what drill makes in a cluster.
const (
	LabelRun       = "failoverdrill.io/run"
	LabelRunUID    = "failoverdrill.io/run-uid"  // of agents, whose run is in another namespace and cannot own them
	LabelSchedule  = "failoverdrill.io/schedule" // of a run that a schedule made: the drill's name
	LabelSeries    = "failoverdrill.io/series"   // of every trial but the first: the first one's name
	LabelTrial     = "failoverdrill.io/trial"    // of every trial but the first: its number
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelComponent = "app.kubernetes.io/component"
	ManagedBy      = "drill"
)

// AnnotationScheduledFor is the due time, RFC 3339, for which a schedule made a run.
const AnnotationScheduledFor = "failoverdrill.io/scheduled-for"

// AnnotationSeriesEnded says why no trial follows a run, where the run's own verdict does not.
const AnnotationSeriesEnded = "failoverdrill.io/series-ended"

// AnnotationCancelled says on a run why the server cancelled it. Nobody else may set it.
const AnnotationCancelled = "failoverdrill.io/cancelled-because"

// connectTimeout bounds the first answer of the cluster: a person waits for it.
const connectTimeout = 5 * time.Second

// Client is a connection to one cluster that has answered once.
type Client struct {
	kubernetes.Interface
	Dynamic  dynamic.Interface
	Metadata metadata.Interface // to list what is large without reading it
	Config   *rest.Config
	Context  string // of the kubeconfig; "in-cluster" in a pod
	Host     string // the API server's address
	Version  string // the API server's version
	Clock    *Clock // the API server's time; nil is this machine's
}

// Connect reaches the cluster of a kubeconfig and one of its contexts. Both may be empty: then $KUBECONFIG,
// ~/.kube/config and, in a pod, the pod's own service account are tried in this order.
func Connect(kubeconfig, contextName string) (*Client, error) {
	config, contextName, err := load(kubeconfig, contextName)
	if err != nil {
		return nil, err
	}
	c, err := newClient(config, contextName)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	version, err := discovery.ToServerVersionInterfaceWithContext(c.Discovery()).ServerVersionWithContext(ctx)
	if err != nil {
		return nil, unreachable(c, err)
	}
	c.Version = version.GitVersion
	return c, nil
}

// As is the same cluster, with requests made in another's name.
func (c *Client) As(user string, groups ...string) (*Client, error) {
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	as, err := newClient(config, c.Context)
	if err != nil {
		return nil, err
	}
	as.Version = c.Version
	return as, nil
}

func newClient(config *rest.Config, contextName string) (*Client, error) {
	clock := new(Clock)
	config = rest.CopyConfig(config)
	config.Wrap(clock.wrap)
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the settings of context %q cannot be used: %w", contextName, err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the settings of context %q cannot be used: %w", contextName, err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the settings of context %q cannot be used: %w", contextName, err)
	}
	return &Client{Interface: typed, Dynamic: dyn, Metadata: meta, Config: config, Context: contextName, Host: config.Host, Clock: clock}, nil
}

func load(kubeconfig, contextName string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	rules.WarnIfAllMissing = false
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules,
		&clientcmd.ConfigOverrides{CurrentContext: contextName})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	var config *rest.Config
	switch {
	case len(raw.Contexts) > 0:
		if contextName == "" {
			contextName = raw.CurrentContext
		}
		if known := slices.Sorted(maps.Keys(raw.Contexts)); contextName == "" {
			return nil, "", fmt.Errorf("the kubeconfig has no current context. Choose one with --context: %s", strings.Join(known, ", "))
		} else if !slices.Contains(known, contextName) {
			return nil, "", fmt.Errorf("the kubeconfig has no context %q. Choose one with --context: %s", contextName, strings.Join(known, ", "))
		}
		if config, err = loader.ClientConfig(); err != nil {
			return nil, "", fmt.Errorf("use context %q of the kubeconfig: %w", contextName, err)
		}
	case kubeconfig != "" || contextName != "":
		return nil, "", errors.New("the kubeconfig has no contexts. Name another with --kubeconfig or KUBECONFIG")
	default:
		config, err = rest.InClusterConfig()
		if set := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); set != "" && errors.Is(err, rest.ErrNotInCluster) {
			return nil, "", fmt.Errorf("the kubeconfig %s, which KUBECONFIG names, is not there or has no contexts. Name another with --kubeconfig or KUBECONFIG", set)
		}
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, "", errors.New("there is no kubeconfig: neither --kubeconfig nor KUBECONFIG is set, and ~/.kube/config has no contexts. Name one")
		}
		if err != nil {
			return nil, "", fmt.Errorf("use the pod's service account: %w", err)
		}
		contextName = "in-cluster"
	}
	config.UserAgent = "drill"
	config.WarningHandler = rest.NoWarnings{} // of deprecations: they are for drill's authors
	// The default of 5 requests a second would make a run wait for itself.
	config.QPS, config.Burst = 50, 100
	return config, contextName, nil
}

// unreachable says what failed, where, and what to do about it.
func unreachable(c *Client, err error) error {
	what := fmt.Sprintf("the cluster of context %q at %s", c.Context, c.Host)
	var unknownCA x509.UnknownAuthorityError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknownCA):
		return fmt.Errorf("%s shows a certificate that the kubeconfig does not trust. The cluster may have been made anew: fetch its kubeconfig again: %w", what, err)
	case errors.As(err, &dns):
		return fmt.Errorf("%s cannot be reached, because its name is not known here. Check the address in the kubeconfig: %w", what, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer within %v. Check the network, the VPN and that the cluster runs: %w", what, connectTimeout, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s does not accept the login. Log in again, or choose another context with --context: %w", what, err)
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Code != http.StatusServiceUnavailable {
		return fmt.Errorf("%s refuses to say its version: %w", what, err)
	}
	return fmt.Errorf("%s cannot be reached. Check that it runs, and that the context is the right one: %w", what, err)
}

// Apart is the same cluster with a budget of requests of its own, so that what may wait does not hold up what may not.
func (c *Client) Apart() *Client {
	if c.Config == nil { // a fake one
		return c
	}
	apart, err := newClient(rest.CopyConfig(c.Config), c.Context)
	if err != nil {
		return c // it worked once
	}
	apart.Version = c.Version
	return apart
}
