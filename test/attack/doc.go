// Package attack plays the attacks of the threat model (docs/threat-model.md) on drill in the lab, each as the weakest
// role that could try it.
package attack
