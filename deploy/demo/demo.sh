#!/bin/bash
# demo.sh: the demo shop (a Patroni cluster and a service that uses it) in the
# lab, or in any cluster that DRILL_DEMO_KUBECONFIG names and that has the images.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source=../../test/lab/lib.sh disable=SC1091
. "$repo/test/lab/lib.sh"

NS=${DRILL_DEMO_NAMESPACE:-shop} # another one: a bystander, without its own checkout
PATRONI=failoverdrill/patroni:demo
CHECKOUT=failoverdrill/checkout:demo
MEMBERS=application=patroni,cluster-name=orders # Patroni puts these on its ConfigMaps, too

usage() {
  cat <<'U'
usage: demo.sh COMMAND
  build            build the two images, where their inputs changed
  load             load them to the lab's workers, where they are missing
  up [base|fast]   deploy (fast: a lease of 20 s instead of 30 s); on a running shop, change to it
  down             delete the shop and its data
  lead NODE        make the member on that node the primary
  members          what the members are, as JSON, as Patroni says it
  status           show its pods and what every member says of itself; exit 1 when it is not whole
U
}

# ---- images ----------------------------------------------------------------------

build_checkout() { (cd "$repo" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$1/checkout" ./cmd/checkout); }

build() {
  local dir
  docker info >/dev/null 2>&1 || die "dockerd is not running" "make lab"
  ensure_base_image
  dir=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$dir'" EXIT
  mkdir "$dir/patroni" "$dir/checkout"
  image $PATRONI "$here/images/patroni.Dockerfile" "$dir/patroni"
  # the binary decides, not its sources: most changes of go.mod leave it as it is
  step "program checkout" build_checkout "$dir/checkout"
  image $CHECKOUT "$here/images/checkout.Dockerfile" "$dir/checkout"
}

load() { step "images to the workers" "$LAB/lab.sh" load $PATRONI $CHECKOUT; }

# ---- the shop --------------------------------------------------------------------

cluster() {
  if [ -n "${DRILL_DEMO_KUBECONFIG:-}" ]; then export KUBECONFIG=$DRILL_DEMO_KUBECONFIG
  else KUBECONFIG=$("$LAB/lab.sh" kubeconfig) && export KUBECONFIG; fi
}

k() { kubectl -n $NS "$@"; }
exists() { [ -n "$(k get "$@" --ignore-not-found -o name)" ]; }
password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# secret NAME KEY=VALUE...: make it if it is absent. The values go by standard input: arguments can be read by anyone.
secret() {
  local name=$1
  shift
  exists secret "$name" && return
  printf '%s\n' "$@" | k create secret generic "$name" --from-env-file=/dev/stdin
}

secrets() {
  [ "$NS" = shop ] || kubectl create namespace "$NS" --dry-run=client -o yaml | kubectl apply -f -
  [ "$NS" != shop ] || kubectl apply -f "$here/base/namespace.yaml"
  secret orders-patroni "superuser-password=$(password)" "replication-password=$(password)" \
    "rewind-password=$(password)" "restapi-password=$(password)"
  local p
  local uri=orders.$NS.svc.cluster.local:5432/orders?sslmode=disable
  p=$(password)
  secret orders-app username=app "password=$p" dbname=orders "uri=postgres://app:$p@$uri"
  p=$(password)
  secret orders-drill username=drill "password=$p" "uri=postgres://drill:$p@$uri"
}

# What an earlier cluster left makes a new one wait for ever for a member that knows its system id.
clean() {
  k delete configmap,pvc -l $MEMBERS --ignore-not-found --wait --timeout=60s
  # new data gets new passwords; checkout has the old ones
  k delete secret orders-patroni orders-app orders-drill --ignore-not-found
  k delete deployment checkout --ignore-not-found
}

deploy() {
  local dir
  if [ "$NS" = shop ]; then kubectl apply -k "$here/$1"; return; fi
  dir=$(mktemp -d)
  printf 'namespace: %s\nresources: ["%s"]\nreplicas: [{name: checkout, count: 0}]\n' "$NS" "$(realpath --relative-to="$dir" "$here/$1")" > "$dir/kustomization.yaml"
  kubectl apply -k "$dir"
  rm -r "$dir"
}

pods() { k get pods -l $MEMBERS -o name; }
any_pod() { k get pods -l $MEMBERS -o jsonpath='pod/{.items[0].metadata.name}'; }

# patroni POD METHOD PATH: one call of a member's REST API, from inside its pod.
patroni() {
  # shellcheck disable=SC2016 # expanded in the pod
  k exec -i "$1" -c patroni -- sh -c \
    'curl -fsS --max-time 5 -u "$PATRONI_RESTAPI_USERNAME:$PATRONI_RESTAPI_PASSWORD" -X "$0" -d @- "http://localhost:8008$1"' "$2" "$3"
}

# members: what the cluster is, as the first member that answers tells it.
members() {
  local pod
  for pod in $(pods); do
    patroni "$pod" GET /cluster < /dev/null 2>/dev/null && return
  done
  return 1
}

# lead NODE: make the member there the leader.
lead() {
  local from to end=$((SECONDS + 60))
  from=$(primary) from=${from#pod/}
  to=$(k get pods -l $MEMBERS --field-selector "spec.nodeName=$1" -o jsonpath='{.items[0].metadata.name}')
  [ "$from" = "$to" ] || printf '{"leader":"%s","candidate":"%s"}' "$from" "$to" | patroni "pod/$from" POST /switchover >&2
  until [ "$(primary)" = "pod/$to" ] && whole && streaming; do
    [ $SECONDS -lt $end ] || die "$to does not lead" "demo.sh status"
    sleep 1
  done
}

whole() {
  members | jq -e '[.members[] | select(.role == "leader" and .state == "running")] as $l
    | [.members[] | select(.role == "replica" and (.state == "running" or .state == "streaming") and .timeline == $l[0].timeline and .lag == 0)] as $r
    | ($l | length) == 1 and ($r | length) == 2' >/dev/null
}

primary() { k get pods -l $MEMBERS,role=master -o name; }

# streaming: the primary itself says that both replicas stream.
streaming() {
  [ "$(k exec "$(primary)" -c patroni -- psql -XAtc "select count(*) from pg_stat_replication where state = 'streaming'" 2>/dev/null)" = 2 ]
}

wait_members() {
  local end=$((SECONDS + 180))
  until whole 2>/dev/null && streaming; do
    [ $SECONDS -lt $end ] || { members | jq . || true; k get pods -l $MEMBERS -o wide; k describe pods -l $MEMBERS | tail -n 40; return 1; }
    sleep 1
  done
}

# Patroni reads bootstrap.dcs once in a cluster's life; later the same values go by its API.
retime() {
  k get configmap orders-settings -o jsonpath='{.data.20-timing\.yml}' | jq -c .bootstrap.dcs | patroni "$(any_pod)" PATCH /config | jq -c .
}

# Patroni runs post-init.sh once in a cluster's life, too: a shop that is older than drill's role gets it here.
drill_role() { k exec "$(primary)" -c patroni -- /etc/patroni/drill-role.sh; }

wait_rollout() { k rollout status statefulset/orders --timeout=300s; } # the members of an older shop start again, one by one

wait_checkout() { k rollout status deployment/checkout --timeout=120s; }

up() {
  local overlay=${1:-base}
  [ -f "$here/$overlay/kustomization.yaml" ] || die "there is no overlay \"$overlay\"" "one of: base, fast"
  build
  [ -n "${DRILL_DEMO_KUBECONFIG:-}" ] || load
  cluster
  if ! exists statefulset orders && exists configmap,pvc -l $MEMBERS; then step "what an earlier shop left" clean; fi
  step "secrets" secrets
  step "deploy $overlay" deploy "$overlay"
  step "members of this version" wait_rollout
  step "one primary, two streaming replicas" wait_members
  step "drill's own role" drill_role
  step "timing of $overlay" retime
  step "checkout ready" wait_checkout
  echo "shop up after $SECONDS s; export KUBECONFIG=$KUBECONFIG" >&2
}

down() {
  cluster
  step "delete namespace $NS" kubectl delete namespace $NS --ignore-not-found --timeout=180s
}

status() {
  local pod
  cluster
  k get pods -o wide -L role
  for pod in $(pods); do
    printf '%s says: ' "${pod#pod/}"
    patroni "$pod" GET /patroni < /dev/null 2>/dev/null |
      jq -r '"\(.role), \(.state), timeline \(.timeline), \(.xlog | to_entries | map("\(.key) \(.value)") | join(" "))"' || echo "nothing"
  done
  patroni "$(any_pod)" GET /config < /dev/null | jq -c '{ttl, loop_wait, retry_timeout}'
  if whole && streaming; then echo "whole: one primary, two streaming replicas"; else echo "not whole"; return 1; fi
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
build | load | up | down | status) "$command" "$@" ;;
lead | members) cluster; "$command" "$@" ;;
-h | --help | help) usage ;;
*) usage >&2; exit 2 ;;
esac
