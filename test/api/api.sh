#!/bin/bash
# api.sh: a Kubernetes API server of one's own on loopback, without nodes: the lab's own etcd, kube-apiserver,
# kube-controller-manager and kube-scheduler as plain processes. Rules, policies, garbage collection and scheduling are
# real there; kubelets are not. It is up in seconds, and several can stand side by side.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LAB=$(cd "$here/../lab" && pwd)

usage() {
  cat <<'U'
usage: api.sh COMMAND DIR
  up    start it, with everything that it keeps in DIR; prints the path of its kubeconfig, an administrator's
  down  stop it and remove DIR
U
}

# free prints a port that nobody listens on.
free() {
  local p
  for _ in $(seq 100); do
    p=$((20000 + RANDOM % 12000))
    ss -Hltn "sport = :$p" | grep -q . || { echo "$p"; return; }
  done
  echo "no free port" >&2
  exit 1
}

start() { # NAME ARGUMENT...: as a process of its own, which survives the shell
  local name=$1
  shift
  setsid "$DIR/bin/$name" "$@" > "$DIR/$name.log" 2>&1 < /dev/null &
  echo $! > "$DIR/$name.pid"
}

running() { [ -f "$DIR/$1.pid" ] && kill -0 "$(cat "$DIR/$1.pid")" 2>/dev/null; }

up() {
  if running kube-apiserver && running etcd; then
    echo "$DIR/kubeconfig"
    return
  fi
  [ -x "$LAB/bin/hyper" ] || { echo "no $LAB/bin/hyper: make lab" >&2; exit 1; }
  mkdir -p "$DIR/bin" "$DIR/pki"
  local name
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    ln -sf "$LAB/bin/hyper" "$DIR/bin/$name"
  done
  local client peer port token
  client=$(free) peer=$(free) port=$(free)
  openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$DIR/pki/sa.key"
  openssl pkey -in "$DIR/pki/sa.key" -pubout -out "$DIR/pki/sa.pub"
  token=$(openssl rand -hex 16)
  echo "$token,admin,admin,system:masters" > "$DIR/pki/tokens.csv"
  start etcd --data-dir "$DIR/etcd" --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
    --unsafe-no-fsync
  start kube-apiserver --etcd-servers "http://127.0.0.1:$client" --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$port" \
    --cert-dir "$DIR/pki" --token-auth-file "$DIR/pki/tokens.csv" --authorization-mode RBAC --service-cluster-ip-range 10.0.0.0/24 \
    --service-account-key-file "$DIR/pki/sa.pub" --service-account-signing-key-file "$DIR/pki/sa.key" \
    --service-account-issuer https://kubernetes.default.svc --endpoint-reconciler-type none
  cat > "$DIR/kubeconfig" <<CONFIG
apiVersion: v1
kind: Config
current-context: api
clusters: [{name: api, cluster: {server: "https://127.0.0.1:$port", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: api, context: {cluster: api, user: admin}}]
CONFIG
  local i
  for i in $(seq 120); do
    ! curl -sfk -H "Authorization: Bearer $token" "https://127.0.0.1:$port/readyz" > /dev/null || break
    running kube-apiserver || { tail -5 "$DIR/kube-apiserver.log" >&2; exit 1; }
    [ "$i" != 120 ] || { echo "the API server is not ready: $DIR/kube-apiserver.log" >&2; exit 1; }
    sleep 0.5
  done
  start kube-controller-manager --kubeconfig "$DIR/kubeconfig" --leader-elect=false --secure-port 0 \
    --service-account-private-key-file "$DIR/pki/sa.key"
  start kube-scheduler --kubeconfig "$DIR/kubeconfig" --leader-elect=false --secure-port 0
  echo "$DIR/kubeconfig"
}

down() {
  local name
  for name in kube-scheduler kube-controller-manager kube-apiserver etcd; do
    ! running "$name" || kill "$(cat "$DIR/$name.pid")"
  done
  rm -rf "$DIR"
}

[ $# = 2 ] || { usage >&2; exit 2; }
DIR=$(realpath -m "$2")
case $1 in
  up) up ;;
  down) down ;;
  *) usage >&2; exit 2 ;;
esac
