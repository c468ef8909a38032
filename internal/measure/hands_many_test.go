//go:build truth

package measure

// generated is how many histories the hands are held against each other on.
const generated = 10_000
