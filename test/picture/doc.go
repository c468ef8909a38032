// Package picture draws the picture of docs/measuring.md from histories that drill measures.
package picture
