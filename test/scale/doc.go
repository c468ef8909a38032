// Package scale measures what a server costs beside many records: `make scale` runs it against an API server of its own.
// docs/performance.md holds the results.
package scale
