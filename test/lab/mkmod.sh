#!/bin/bash
# mkmod.sh: writes go.mod and go.sum anew, for another version of Kubernetes.
# k8s.io/kubernetes names its staging modules as v0.0.0, so each must be
# replaced by the release that goes with it.
set -euo pipefail
cd "$(dirname "$0")"
K8S=1.36.3 ETCD=3.6.8 COREDNS=1.14.2 CRICTL=1.36.0 LPP=0.0.30
rm -f go.mod go.sum
go mod init kindnode
dir=$(go mod download -json k8s.io/kubernetes@v$K8S | jq -r .Dir)
awk '/^\tk8s.io\/.* v0\.0\.0( |$)/ {print $1}' "$dir/go.mod" | while read -r m; do
  go mod edit -replace "$m=$m@v0.${K8S#1.}"
done
go get k8s.io/kubernetes@v$K8S go.etcd.io/etcd/server/v3@v$ETCD go.etcd.io/etcd/etcdctl/v3@v$ETCD \
  github.com/coredns/coredns@v$COREDNS sigs.k8s.io/cri-tools@v$CRICTL github.com/rancher/local-path-provisioner@v$LPP
go mod tidy
