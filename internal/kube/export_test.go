package kube

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// SetTimes makes a lock short-lived, so that a test need not wait for a real one to expire.
func (l *Lock) SetTimes(duration, interval time.Duration) {
	l.duration, l.interval = duration, interval
}

// LeaseName is the name of a scope's Lease.
var LeaseName = leaseName

// ForConfig connects as a configuration says.
func ForConfig(config *rest.Config) (*Client, error) { return newClient(config, "test") }

// Pod is an agent's pod.
func (a Agents) Pod(name, node string) *corev1.Pod { return a.pod(name, node) }
