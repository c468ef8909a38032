package kube

import "k8s.io/client-go/rest"

// Separate is the same cluster by requests that have a rate of their own: what strangers cause must not make the leader's
// requests wait, and the leader's work must not cost it its lease.
func (c *Client) Separate(qps float32, burst int) (*Client, error) {
	if c.Config == nil { // a fake
		return c, nil
	}
	config := rest.CopyConfig(c.Config)
	config.QPS, config.Burst, config.RateLimiter = qps, burst, nil
	separate, err := newClient(config, c.Context)
	if err != nil {
		return nil, err
	}
	separate.Version = c.Version
	return separate, nil
}
