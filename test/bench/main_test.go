//go:build bench

package bench

import (
	"fmt"
	"os"
	"testing"
)

// TestMain runs the benchmarks and prints their table at the end; or it is a child process, which carries the load so
// that the kernel keeps an account of it alone.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := play(role, []byte(os.Getenv(configVar))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	results.print(os.Stdout)
	os.Exit(code)
}
