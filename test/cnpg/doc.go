// Package cnpg drills a real CloudNativePG cluster several times, and holds the recovery times against the writes that
// the runs recorded. `make cnpg` sets the cluster up and runs it; test/lab/cnpg holds the recipe.
package cnpg
