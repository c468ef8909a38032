//go:build !truth

package measure

// generated is how many histories the hands are held against each other on; `make truth` takes ten times as many.
const generated = 1_000
