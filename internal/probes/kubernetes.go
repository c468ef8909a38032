package probes

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// kubernetesSpec is a probe "kubernetes" block.
type kubernetesSpec struct {
	Namespace string
	Service   string
	Rate      int // Hz
}

// kubernetesBlock is the block as it is written.
type kubernetesBlock struct {
	Namespace      string    `hcl:"namespace"`
	NamespaceRange hcl.Range `hcl:"namespace,attr_value_range"`
	Service        string    `hcl:"service"`
	ServiceRange   hcl.Range `hcl:"service,attr_value_range"`
	Rate           *int      `hcl:"rate,optional"`
	RateRange      hcl.Range `hcl:"rate,attr_value_range"`
}

// Each slot is a request to the API server, which is asked and not watched: a watch that is cut off would go on showing
// the last it heard.
const (
	defaultListRate = 2 // Hz
	maxListRate     = 10
	listTimeout     = time.Second
)

func kubernetesKind() Kind {
	return define(Kind{
		Name: "kubernetes", Doc: "How many ready endpoints a Service has.", Attributes: []schema.Attribute{schema.Count("ready_endpoints", "How many endpoints of the Service are ready.")},
	}, impl[kubernetesSpec]{
		decode: decodeKubernetes,
		permissions: func(s kubernetesSpec) []drill.Permission {
			return []drill.Permission{{Verb: "list", Group: discoveryv1.GroupName, Resource: "endpointslices", Namespace: s.Namespace}}
		},
		bind: func(d Deps, name string, spec kubernetesSpec) (drill.Probe, error) {
			return &kubernetesProbe{name: name, spec: spec, kube: d.Kube}, nil
		},
	})
}

func decodeKubernetes(body hcl.Body, ctx *hcl.EvalContext) (kubernetesSpec, hcl.Diagnostics) {
	var b kubernetesBlock
	diags := gohcl.DecodeBody(body, ctx, &b)
	if diags.HasErrors() {
		return kubernetesSpec{}, diags
	}
	p := &problems{diags}
	spec := kubernetesSpec{Namespace: b.Namespace, Service: b.Service, Rate: defaultListRate}
	if len(validation.IsDNS1123Label(b.Namespace)) > 0 {
		p.wrong(b.NamespaceRange, "Invalid namespace", "%q is not the name of a namespace. Name the one that the Service is in.", b.Namespace)
	}
	if len(validation.IsDNS1123Label(b.Service)) > 0 {
		p.wrong(b.ServiceRange, "Invalid service", "%q is not the name of a Service. Write its name alone, without the namespace.", b.Service)
	}
	if b.Rate != nil {
		if spec.Rate = *b.Rate; spec.Rate < 1 || spec.Rate > maxListRate {
			p.wrong(b.RateRange, "Rate out of range", "rate is %d. Write a whole number of slots a second from 1 to %d.", spec.Rate, maxListRate)
		}
	}
	return spec, p.Diagnostics
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
