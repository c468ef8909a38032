//go:build tools

// Package tools keeps in go.mod the programs that build.sh builds by their import path.
package tools

import (
	_ "github.com/rancher/local-path-provisioner"
	_ "sigs.k8s.io/cri-tools/cmd/crictl"
)
