// Package bench measures what drill costs, each time beside something that is measured in the same run: another tool at
// the same rate, or the same machine without the load. `make bench` runs it; docs/performance.md holds the results.
package bench
