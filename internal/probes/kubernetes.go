package probes

import (
	"context"
	"errors"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schema"
)

// kubernetesSpec is a probe "kubernetes" block.
type kubernetesSpec struct {
	Namespace string
	Service   string
	Rate      int // Hz
}

// PerSecond is how often the probe asks in a second.
func (s kubernetesSpec) PerSecond() int { return s.Rate }

// Each slot is a request to the API server, which is asked and not watched: a watch that is cut off would go on showing
// the last it heard.
const (
	defaultListRate = 2 // Hz
	maxListRate     = 10
	listTimeout     = time.Second
)

func kubernetesKind() Kind {
	return define(Kind{
		Name: "kubernetes", Doc: "How many ready endpoints a Service has.",
		Attributes: []schema.Attribute{schema.Count("ready_endpoints", "How many endpoints of the Service are ready.")},
		Example: `probe "kubernetes" "checkout-endpoints" {
  namespace = "shop"
  service   = "checkout"
}
`,
	}, impl[kubernetesSpec]{
		body: schema.Body[kubernetesSpec]{
			Defaults: kubernetesSpec{Rate: defaultListRate},
			Arguments: func(s *kubernetesSpec) []schema.Argument {
				return []schema.Argument{
					schema.String("namespace", &s.Namespace, "Where the Service is.", schema.Required(), schema.Check(kube.CheckNamespace)),
					schema.String("service", &s.Service, "The Service, by its name alone.", schema.Required(), schema.Check(kube.CheckService)),
					schema.Number("rate", &s.Rate, "Requests a second; a dip that is shorter than 1/rate may go unseen.", schema.Between(1, maxListRate)),
				}
			},
		},
		permissions: func(s kubernetesSpec) []drill.Permission {
			return []drill.Permission{{Verb: "list", Group: discoveryv1.GroupName, Resource: "endpointslices", Namespace: s.Namespace}}
		},
		bind: func(d Deps, name string, spec kubernetesSpec) (drill.Probe, error) {
			return &kubernetesProbe{name: name, spec: spec, kube: d.Kube}, nil
		},
	})
}

// kubernetesProbe asks the API server for a Service's endpoints.
type kubernetesProbe struct {
	name string
	spec kubernetesSpec
	kube kubernetes.Interface
}

// Info describes the probe.
func (k *kubernetesProbe) Info() drill.ProbeInfo {
	return drill.ProbeInfo{
		Name: k.name, Kind: "kubernetes", Class: drill.ClassPooled, Value: "ready_endpoints", Least: true,
		Interval: time.Second / time.Duration(k.spec.Rate), Deadline: listTimeout, Sessions: k.spec.Rate + 1,
	}
}

// Sample counts the ready endpoints. A Service without a single EndpointSlice, as one that does not exist, has no
// value: it is not known to have none.
func (k *kubernetesProbe) Sample(ctx context.Context, s *drill.Sample) {
	list, err := k.kube.DiscoveryV1().EndpointSlices(k.spec.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + k.spec.Service})
	if err != nil {
		fail(s, apiSignal(err))
		return
	}
	s.Outcome = drill.OutcomeOK
	s.Value, s.Valued = float64(readyEndpoints(list.Items)), len(list.Items) > 0
}

// readyEndpoints counts those that a Service sends its clients to. One endpoint may be in two slices: while it moves
// from one to the other, and with an address of each family.
func readyEndpoints(slices []discoveryv1.EndpointSlice) int {
	ready := map[string]bool{}
	for _, slice := range slices {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready || len(e.Addresses) == 0 {
				continue
			}
			id := e.Addresses[0]
			if e.TargetRef != nil && e.TargetRef.UID != "" {
				id = string(e.TargetRef.UID)
			}
			ready[id] = true
		}
	}
	return len(ready)
}

// apiSignal names the way in which a request to the API server failed.
func apiSignal(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Code > 0 {
		return drill.SignalHTTP(int(status.Status().Code))
	}
	return drill.NetworkSignal(err)
}
