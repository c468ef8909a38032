#!/bin/bash
# monitoring.sh: a Prometheus that scrapes drill in the lab, or in any cluster
# that DRILL_DEMO_KUBECONFIG names and that has the image.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source=../../test/lab/lib.sh disable=SC1091
. "$repo/test/lab/lib.sh"

NS=monitoring
IMAGE=failoverdrill/prometheus:demo

usage() {
  cat <<'U'
usage: monitoring.sh COMMAND
  up               build the image, load it, deploy, wait; drill must be installed (make install)
  query EXPR       ask Prometheus; one line per series; fails when there is none
  down             delete it and all that it has stored
U
}

cluster() {
  if [ -n "${DRILL_DEMO_KUBECONFIG:-}" ]; then export KUBECONFIG=$DRILL_DEMO_KUBECONFIG
  else KUBECONFIG=$("$LAB/lab.sh" kubeconfig) && export KUBECONFIG; fi
}

build() {
  local dir
  docker info >/dev/null 2>&1 || die "dockerd is not running" "make lab"
  ensure_base_image
  dir=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$dir'" EXIT
  image $IMAGE "$here/images/prometheus.Dockerfile" "$dir"
}

deploy() {
  kubectl create namespace $NS --dry-run=client -o yaml | kubectl apply -f -
  kubectl label namespace $NS failoverdrill.io/metrics=true --overwrite # drill lets nobody else see its metrics
  kubectl apply -f "$here/monitoring/endpoints.yaml"
  kubectl apply -k "$here/monitoring"
  kubectl -n $NS rollout status deployment/prometheus --timeout=120s
}

up() {
  build
  [ -n "${DRILL_DEMO_KUBECONFIG:-}" ] || step "image to the workers" "$LAB/lab.sh" load $IMAGE
  cluster
  [ -n "$(kubectl get namespace failoverdrill --ignore-not-found -o name)" ] || die "drill is not installed: there is nothing to scrape" "make install"
  step "Prometheus" deploy
}

# The host has no route to pods; the API server does.
api() { kubectl get --raw "/api/v1/namespaces/$NS/services/prometheus:9090/proxy/api/v1/$1"; }

query() {
  [ $# = 1 ] || { usage >&2; exit 2; }
  cluster
  api "query?query=$(jq -rn --arg q "$1" '$q | @uri')" | jq -re '
    def labels: (.__name__ // "") + "{" + (del(.__name__) | to_entries | map("\(.key)=\(.value | tojson)") | join(",")) + "}";
    .data | if (.resultType == "scalar" or .resultType == "string") then .result[1]
    elif .result == [] then empty
    else .result[] | (.metric | labels) + " " + ((.value[1] // (.histogram[1] | tojson)) // (.values | tojson)) end'
}

down() {
  cluster
  kubectl delete -f "$here/monitoring/endpoints.yaml" --ignore-not-found
  step "delete namespace $NS" kubectl delete namespace $NS --ignore-not-found --timeout=120s
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
up | query | down) "$command" "$@" ;;
-h | --help | help) usage ;;
*) usage >&2; exit 2 ;;
esac
