#!/bin/bash
# lab.sh: a real kind cluster, drill-lab, on any machine; one control plane and
# a worker in each of zone-a, zone-b and zone-c. README.md tells the rest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh disable=SC1091
. "$here/lib.sh"

KIND_VERSION=v0.32.0
export KUBECONFIG=$LAB/kubeconfig # never the user's own
NO_BOOT=$LAB/logs/no-boot.log
RUN=/run/drill-lab
[ "$(id -u)" = 0 ] || RUN=${XDG_RUNTIME_DIR:-/tmp}/drill-lab

usage() {
  cat <<'U'
usage: lab.sh COMMAND
  up               make the lab, or repair what of it is missing or stopped
  down             delete the cluster, stop dockerd if the lab started it, lift the seal
  status           say what runs; exit 1 when the lab is not whole
  kubeconfig       print the path of its kubeconfig
  load IMAGE...    load docker images to the workers that lack them
  load-all IMAGE...
                   load them to the control plane too
  image IMAGE DIR FILE...
                   build IMAGE from DIR/Dockerfile and the FILEs, where they changed, and load it
  logs [DIR]       write the logs of every node and pod to DIR (default test/lab/logs/export)
U
}

# One at a time; what is started in the background must not hold the lock.
lock() {
  mkdir -p "$RUN"
  exec 9> "$RUN/lock"
  flock -w 900 9 || die "another lab.sh has been at work for 15 minutes" "see who holds it: fuser -v $RUN/lock"
}

sealed() { "$LAB/host/seal.sh" --check || die "the lab is not sealed" "make lab"; }

# ---- packages and programs ---------------------------------------------------

missing_packages() {
  local pair
  for pair in dockerd:docker.io jq:jq ip:iproute2 iptables:iptables nft:nftables "$@"; do
    command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
  done
}

install_packages() {
  command -v apt-get >/dev/null || die "this machine lacks $* and has no apt-get" "install them by hand"
  # without a service manager the package must not start dockerd: host/dockerd.sh knows how
  if [ ! -d /run/systemd/system ] && [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root install -m755 /dev/stdin /usr/sbin/policy-rc.d
  fi
  as_root apt-get -qq update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"
}

kind_ready() { [ -x "$LAB/bin/kind" ] && [[ $("$LAB/bin/kind" version) == *" $KIND_VERSION "* ]]; }
install_kind() { GOBIN=$LAB/bin go install "sigs.k8s.io/kind@$KIND_VERSION"; }

program_inputs() { (cd "$LAB" && echo "$(inputs build.sh go.mod go.sum hyper coredns pause) $(go env GOVERSION)"); }

build_programs() {
  "$LAB/build.sh" programs
  ln -sfn hyper "$LAB/bin/kubectl"
  program_inputs > "$LAB/bin/.inputs"
}

# ---- cluster -------------------------------------------------------------------

nodes() { docker ps -aq --filter "label=io.x-k8s.kind.cluster=$CLUSTER"; }

# When each node was started. A cluster whose nodes were restarted (dockerd died,
# the machine rebooted) has other addresses and stale mounts: it is made anew.
started() { nodes | xargs -r docker inspect -f '{{.Name}} {{.State.StartedAt}}' | sort; }

# healthy: nothing to do. Otherwise says why not.
healthy() {
  local id
  [ "$(nodes | wc -l)" = 4 ] || { echo "no cluster of four nodes"; return 1; }
  [ "$(started)" = "$(cat "$RUN/nodes" 2>/dev/null)" ] || { echo "nodes were restarted"; return 1; }
  for id in $(nodes); do
    [ "$(docker inspect -f '{{.State.Running}}' "$id")" = true ] || { echo "a node is stopped"; return 1; }
    # a drill that pauses a node may have died
    [ "$(docker inspect -f '{{.State.Paused}}' "$id")" = false ] || docker unpause "$id" >/dev/null
  done
  (umask 077 && kind get kubeconfig --name "$CLUSTER" > "$KUBECONFIG.new" 2>/dev/null) || { echo "kind has no kubeconfig for it"; return 1; }
  mv "$KUBECONFIG.new" "$KUBECONFIG"
  kubectl_link
  kubectl get --raw /readyz --request-timeout=10s >/dev/null 2>&1 || { echo "the API server does not answer"; return 1; }
  kubectl wait --for=condition=Ready nodes --all --timeout=90s >/dev/null 2>&1 || { echo "a node is not Ready"; return 1; }
}

# kubectl is part of hyper; the stock image has one that runs anywhere.
kubectl_link() {
  [ -x "$LAB/bin/kubectl" ] || docker cp -q "$CLUSTER-control-plane:/usr/bin/kubectl" "$LAB/bin/kubectl"
}

# Without IPv6, which the seal does not cover, and with a bridge whose name is known before dockerd runs.
create_network() {
  docker network inspect kind >/dev/null 2>&1 ||
    docker network create -o com.docker.network.bridge.name=br-drill-lab kind
}

boot() { kind create cluster --config "$LAB/cluster.yaml" --image "$1" --kubeconfig "$KUBECONFIG" --retain --wait 120s; }

consoles() {
  local node
  for node in $(docker ps -a --filter "label=io.x-k8s.kind.cluster=$CLUSTER" --format '{{.Names}}'); do
    echo "--- console of $node"
    docker logs "$node" 2>&1 | tail -25
  done
}

# kind gives a node's systemd 30 s to say that it is up, and no flag changes that. When a node does not, the consoles of all are
# kept, and all nodes are made once more; `up` says so.
create_cluster() {
  rm -f "$KUBECONFIG" "$RUN/nodes" "$NO_BOOT"
  kind delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG"
  if ! boot "$1"; then
    consoles > "$NO_BOOT"
    kind delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG"
    boot "$1"
  fi
  chmod 600 "$KUBECONFIG"
  kubectl_link
  started > "$RUN/nodes"
}

system_ready() {
  local ns what
  kubectl wait --for=condition=Ready nodes --all --timeout=120s
  for ns in kube-system local-path-storage; do
    for what in $(kubectl -n $ns get daemonsets,deployments -o name); do
      kubectl -n $ns rollout status "$what" --timeout=180s
    done
    kubectl -n $ns wait --for=condition=Ready pods --all --timeout=180s
  done
}

# ---- commands ------------------------------------------------------------------

up() {
  local image hash='' packages background='' why
  command -v go >/dev/null || die "there is no go on the PATH" "install Go 1.26 or newer"
  lock
  mkdir -p "$LAB/bin"
  image=$(stock_image)

  # the Go programs take minutes where the cache is cold: build them while the rest goes on
  if [ -z "$image" ] && [ "$(cat "$LAB/bin/.inputs" 2>/dev/null)" != "$(program_inputs)" ]; then
    mkdir -p "$LAB/logs"
    set -m # a process group of its own, which can be ended as one
    build_programs > "$LAB/logs/programs.log" 2>&1 9>&- &
    set +m
    background=$!
    trap 'kill -- -'$background' 2>/dev/null || true' EXIT
  fi
  if [ -n "$image" ]; then mapfile -t packages < <(missing_packages)
  else mapfile -t packages < <(missing_packages mmdebstrap:mmdebstrap); fi
  [ ${#packages[@]} = 0 ] || step "packages: ${packages[*]}" install_packages "${packages[@]}"
  docker info >/dev/null 2>&1 || step "dockerd" "$LAB/host/dockerd.sh" start
  kind_ready || step "kind $KIND_VERSION" install_kind
  [ -n "$image" ] || ensure_base_image
  if [ -n "$background" ]; then
    step "Go programs, since the start" tail --pid=$background -f /dev/null
    wait $background || { tail -n 25 "$LAB/logs/programs.log" >&2; die "the Go programs do not build" "the whole log: $LAB/logs/programs.log"; }
    trap - EXIT
  fi
  if [ -z "$image" ]; then
    image=kindest/node:$K8S-local
    hash=$(cd "$LAB" && inputs Dockerfile build.sh bin/.inputs files)
    built "$image" "$hash" || step "node image $image" "$LAB/build.sh" node "$hash"
  fi
  step "network" create_network
  step "seal" "$LAB/host/seal.sh"
  if ! why=$(healthy); then
    step "cluster $CLUSTER ($why)" create_cluster "$image"
    [ ! -s "$NO_BOOT" ] || sed 's/^/    | /' "$NO_BOOT" >&2
    [ ! -e "$NO_BOOT" ] || echo "  a node did not boot within kind's 30 s; that was the second attempt. The consoles of the first: $NO_BOOT" >&2
  fi
  step "every system pod Ready" system_ready
  sealed
  echo "lab up after $SECONDS s; export KUBECONFIG=$KUBECONFIG" >&2
}

down() {
  lock
  # a dockerd that was killed leaves the nodes running, and only a dockerd can end them
  if [ -e "$RUN/nodes" ] && ! docker info >/dev/null 2>&1; then step "dockerd, to delete the nodes" "$LAB/host/dockerd.sh" start; fi
  if docker info >/dev/null 2>&1; then
    if kind_ready; then step "delete cluster $CLUSTER" kind delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG"; fi
    docker network rm kind >/dev/null 2>&1 || true # somebody else's clusters may use it
  fi
  rm -f "$KUBECONFIG" "$RUN/nodes"
  if "$LAB/host/dockerd.sh" ours; then step "stop dockerd" "$LAB/host/dockerd.sh" stop; fi
  # last: as long as there is a container there is a seal
  step "lift the seal" "$LAB/host/seal.sh" --remove
}

status() {
  local bad=0 why
  if docker info >/dev/null 2>&1; then
    echo "dockerd   $(docker version -f '{{.Server.Version}}')$("$LAB/host/dockerd.sh" ours && echo ", started by the lab")"
  else
    echo "dockerd   is not running: make lab"
    return 1
  fi
  if "$LAB/host/seal.sh" --check; then echo "seal      whole"; else bad=1; fi
  if why=$(healthy); then
    echo "cluster   $CLUSTER"
    kubectl get nodes -L topology.kubernetes.io/zone
    kubectl get pods -A --no-headers | awk '{split($3, r, "/"); if ($4 != "Completed" && ($4 != "Running" || r[1] != r[2])) {print "not ready:", $1 "/" $2, $4; n++}} END {print NR - n, "of", NR, "pods ready"}'
  else
    echo "cluster   $why: make lab"
    bad=1
  fi
  return $bad
}

load() {
  [ $# -gt 0 ] || die "no image named" "lab.sh load IMAGE..."
  load_to "$(kind get nodes --name "$CLUSTER" | grep -v control-plane | paste -sd,)" "$@"
}

load_all() {
  [ $# -gt 0 ] || die "no image named" "lab.sh load-all IMAGE..."
  load_to "$(kind get nodes --name "$CLUSTER" | paste -sd,)" "$@"
}

# load_to NODES IMAGE...: kind skips the nodes that have the image already.
load_to() {
  local image nodes=$1
  shift
  sealed
  for image in "$@"; do
    docker image inspect "$image" >/dev/null 2>&1 || die "docker has no image $image" "build it first; nothing is pulled"
  done
  kind load docker-image --name "$CLUSTER" --nodes "$nodes" "$@"
}

build_and_load() {
  [ $# -ge 2 ] || die "no image or no folder named" "lab.sh image IMAGE DIR FILE..."
  local name=$1 dockerfile=$2/Dockerfile dir
  shift 2
  dir=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$dir'" EXIT
  [ $# -eq 0 ] || cp "$@" "$dir"
  image "$name" "$dockerfile" "$dir"
  # also to the control plane: that is where a runner is farthest from what it breaks
  step "$name to every node" load_all "$name"
}

logs() { kind export logs --name "$CLUSTER" "${1:-$LAB/logs/export}"; }

kubeconfig() {
  sealed
  [ -s "$KUBECONFIG" ] || die "there is no cluster" "make lab"
  echo "$KUBECONFIG"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
up | down | status | kubeconfig | load | logs) "$command" "$@" ;;
load-all) load_all "$@" ;;
image) build_and_load "$@" ;; # lib.sh has an "image" of its own
-h | --help | help) usage ;;
*) usage >&2; exit 2 ;;
esac
