//go:build race

package child_test

// raced: the race detector takes much memory for itself.
const raced = true
