//go:build race

package agent

// raceFactor is how much more memory a process takes with the race detector, at the most: five to ten times, it says.
const raceFactor = 8
