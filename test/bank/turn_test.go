//go:build bank || e2e

package bank

import (
	"flag"
	"fmt"
	"testing"
)

// part chooses the rows that take long, as in 2/3: every third, from the second on. Empty is all of them.
var part = flag.String("part", "", "of the rows that take long, play only those of part k of n, written k/n")

// turn are the rows whose turn it is.
func turn(t *testing.T, all []row) []row {
	t.Helper()
	if *part == "" {
		return all
	}
	var k, n int
	if _, err := fmt.Sscanf(*part, "%d/%d", &k, &n); err != nil || k < 1 || k > n {
		t.Fatalf("-part is %q, and must be k/n with k from 1 to n", *part)
	}
	var some []row
	for i := k - 1; i < len(all); i += n {
		some = append(some, all[i])
	}
	return some
}
