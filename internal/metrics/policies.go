package metrics

import "github.com/prometheus/client_golang/prometheus"

// policies exports whether each admission policy is in force.
type policies struct {
	desc *prometheus.Desc
	now  func() map[string]bool
}

// NewPolicies exports what now says of each admission policy, by its name; nothing while it is not known.
func NewPolicies(now func() map[string]bool) prometheus.Collector {
	return &policies{now: now, desc: prometheus.NewDesc("drill_policies_in_force",
		"1 while the admission policy does what it must, by trying; while one does not, nothing is admitted.", []string{"policy"}, nil)}
}

// Describe implements prometheus.Collector.
func (p *policies) Describe(out chan<- *prometheus.Desc) { out <- p.desc }

// Collect implements prometheus.Collector.
func (p *policies) Collect(out chan<- prometheus.Metric) {
	for name, holds := range p.now() {
		value := 0.0
		if holds {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(p.desc, prometheus.GaugeValue, value, name)
	}
}
