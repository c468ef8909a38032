#!/bin/bash
# build.sh programs|node: the lab's node image from nothing but the Go module
# proxy and Debian's mirror. lab.sh calls it; it may be run by hand as well.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=lib.sh disable=SC1091
. ./lib.sh
COREDNS=v1.14.2 PAUSE=3.10.2 ETCD=3.6.8-0 R=registry.k8s.io # what kubeadm of $K8S asks for

# programs: five static binaries into bin/.
programs() {
  local v='' p b
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    v+=" -X $p.gitVersion=$K8S -X $p.gitMajor=1 -X $p.gitMinor=36 -X $p.gitCommit=local -X $p.gitTreeState=clean -X $p.buildDate=1970-01-01T00:00:00Z"
  done
  for b in hyper=./hyper coredns=./coredns pause=./pause crictl=sigs.k8s.io/cri-tools/cmd/crictl \
    local-path-provisioner=github.com/rancher/local-path-provisioner; do
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags netgo,osusergo -ldflags "-s -w$v" -o "bin/${b%%=*}" "${b#*=}"
  done
}

# alias NAME IMAGE: the control-plane image under the name of one of its programs.
alias_image() {
  printf 'FROM kind.local/kube:%s\nENTRYPOINT ["/usr/local/bin/%s"]\n' "$K8S" "$1" | docker build -q -t "$2" -
}

# node: the control plane as one image under eight names, and the node image that preloads it.
node() {
  local n tags
  mkdir -p links images
  for n in kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd etcdctl kubectl; do ln -sf hyper links/$n; done
  rm -f images/kube.tar
  docker build -q --target kube -t "kind.local/kube:$K8S" .
  alias_image coredns $R/coredns/coredns:$COREDNS
  alias_image pause $R/pause:$PAUSE
  tags=("kind.local/kube:$K8S" "$R/coredns/coredns:$COREDNS" "$R/pause:$PAUSE")
  for n in kube-apiserver:$K8S kube-controller-manager:$K8S kube-scheduler:$K8S kube-proxy:$K8S etcd:$ETCD; do
    docker tag "kind.local/kube:$K8S" "$R/$n"
    tags+=("$R/$n")
  done
  docker save "${tags[@]}" -o images/kube.tar
  docker build -q --target node --label "failoverdrill.inputs=$1" -t "kindest/node:$K8S-local" .
}

mkdir -p bin
case ${1:-} in
programs) programs ;;
node) node "${2:-by-hand}" ;;
*) die "usage: build.sh programs | node [HASH]" ;;
esac
