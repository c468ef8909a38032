#!/bin/bash
# cnpg.sh: the CloudNativePG operator and a PostgreSQL cluster that it keeps, in the lab. README.md tells the rest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../lib.sh disable=SC1091
. "${DRILL_LAB:-$here/..}/lib.sh"

MODULE=github.com/cloudnative-pg/cloudnative-pg
OPERATOR=failoverdrill/cnpg-operator
PATRONI=failoverdrill/patroni:demo # the demo's image; only its PostgreSQL is used here
POSTGRES=failoverdrill/postgresql:15
SYSTEM=cnpg-system
NS=cnpg-shop

usage() {
  cat <<'U'
usage: cnpg.sh COMMAND
  build            build the operator's image, where its program changed, and name PostgreSQL's
  load             load the two images to the lab's workers, where they are missing
  manifests        print what gets installed: CRDs, roles, webhooks, the operator
  up               build, load, the operator and the cluster; ends when three instances are ready
  down             delete the cluster and its data, then the operator; the images stay
  status           show the cluster and its pods; exit 1 when it is not whole
U
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# ---- images ----------------------------------------------------------------------

# The operator's version and folder. Its module is downloaded first, else there is no folder yet.
operator() { (cd "$here" && go mod download "$MODULE" && go list -m -f "$1" "$MODULE"); }

build_manager() {
  mkdir "$dir/image" "$dir/image/operator"
  (cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$dir/image/operator/manager_$(go env GOARCH)" "$MODULE/cmd/manager")
}

build() {
  docker info >/dev/null 2>&1 || die "dockerd is not running" "make lab"
  docker image inspect $PATRONI >/dev/null 2>&1 || die "docker has no image $PATRONI" "deploy/demo/demo.sh build"
  ensure_base_image
  step "program manager" build_manager
  image "$OPERATOR:$version" "$here/Dockerfile" "$dir/image"
  docker tag $PATRONI $POSTGRES
}

load() { step "images to the workers" "$LAB/lab.sh" load "$OPERATOR:$version" $POSTGRES; }

# ---- the operator and its cluster ------------------------------------------------

# Everything comes from the module's own folder, as Go unpacked it. Ours are the image, its pull policy, and the default
# PostgreSQL image. kustomize accepts that folder only by a relative path.
manifests() {
  local source
  source=$(operator '{{.Dir}}')
  mkdir -p "$dir/manifests"
  cat > "$dir/manifests/kustomization.yaml" <<K
resources: ["$(realpath --relative-to="$dir/manifests" "$source/config/default")"]
images: [{name: controller, newName: $OPERATOR, newTag: $version}]
patches:
- target: {kind: Deployment, name: controller-manager}
  patch: |
    - {op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: IfNotPresent}
    - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: POSTGRES_IMAGE_NAME, value: "$POSTGRES"}}
K
  kubectl kustomize "$dir/manifests"
}

# By the server, because the largest CRD does not fit into the annotation of a client-side apply.
apply_operator() { manifests | kubectl apply --server-side --force-conflicts -f -; }

wait_operator() { kubectl -n $SYSTEM rollout status deployment/cnpg-controller-manager --timeout=180s; }

# The operator's webhook answers a moment after its pod is Ready.
apply_cluster() {
  local end=$((SECONDS + 60))
  until kubectl apply -f "$here/cluster.yaml"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 1
  done
}

wait_cluster() { kubectl -n $NS wait clusters.postgresql.cnpg.io/orders --for=jsonpath='{.status.readyInstances}'=3 --timeout=300s; }

up() {
  build
  load
  step "operator $version" apply_operator
  step "operator Ready" wait_operator
  step "cluster orders" apply_cluster
  step "three instances ready" wait_cluster
  echo "CloudNativePG up after $SECONDS s; export KUBECONFIG=$KUBECONFIG" >&2
}

delete_operator() { manifests | kubectl delete --ignore-not-found --timeout=180s -f -; }

# The cluster first: only the operator can see it go. The CRDs last.
down() {
  step "delete namespace $NS" kubectl delete namespace $NS --ignore-not-found --timeout=180s
  step "delete the operator" delete_operator
}

status() {
  kubectl -n $SYSTEM get pods
  kubectl -n $NS get clusters.postgresql.cnpg.io/orders
  kubectl -n $NS get pods -o wide -L role
  [ "$(kubectl -n $NS get clusters.postgresql.cnpg.io/orders -o jsonpath='{.status.readyInstances}')" = 3 ] || { echo "not whole"; return 1; }
}

command=${1:-}
case $command in
-h | --help | help) usage; exit ;;
build | load | manifests | up | down | status) ;;
*) usage >&2; exit 2 ;;
esac
command -v go >/dev/null || die "there is no go on the PATH" "install Go 1.26 or newer"
version=$(operator '{{.Version}}')
case $command in
build | manifests) ;; # need no cluster
*) KUBECONFIG=$("$LAB/lab.sh" kubeconfig) && export KUBECONFIG ;;
esac
"$command"
