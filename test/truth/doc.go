// Package truth holds what drill publishes against the truth: the kernel's own record of when something broke and when
// it was mended. The tests take minutes and need root; `make truth` runs them.
package truth
