#!/bin/bash
# seal.sh [--check|--early|--remove]: nothing of the lab leaves this machine.
#
# What comes in by the kind network's bridge never goes out by another
# interface, and the ranges of pods, services and nodes have no way out of the
# host but into the lab: a mistyped address goes nowhere.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
bridge=br-drill-lab
ranges=(10.96.0.0/16 10.244.0.0/16)
mark=(metric 4096 proto 77) # the bridge's own route comes first; the protocol number says that these are ours

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
fail() { echo "seal.sh: $1" >&2; exit 1; }
# -w: others (kube-proxy, docker) hold the lock of iptables now and then
rule() { as_root iptables -w 10 "$1" DOCKER-USER -i "$bridge" ! -o "$bridge" -m comment --comment drill-lab -j DROP; }

# The network may be older than the lab: then its bridge has another name.
network() {
  local id name
  docker network inspect kind >/dev/null 2>&1 || fail "there is no docker network \"kind\", or no dockerd; run: make lab"
  id=$(docker network inspect -f '{{.Id}}' kind)
  name=$(docker network inspect -f '{{index .Options "com.docker.network.bridge.name"}}' kind)
  [ "$(docker network inspect -f '{{.EnableIPv6}}' kind)" = false ] ||
    fail "the docker network \"kind\" has IPv6, which is not sealed; delete its clusters, docker network rm kind, make lab"
  bridge=${name:-br-${id:0:12}}
  ranges+=("$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' kind)")
}

seal() {
  local r
  rule -C 2>/dev/null || rule -I
  for r in "${ranges[@]}"; do as_root ip route replace blackhole "$r" "${mark[@]}"; done
}

check() {
  local routes first r
  rule -C 2>/dev/null || fail "the rule in DOCKER-USER is missing: what the lab sends could leave this machine; run: make lab"
  first=$(as_root iptables -w 10 -S FORWARD | sed -n '/^-A/ { p; q }')
  [ "$first" = "-A FORWARD -j DOCKER-USER" ] ||
    fail "FORWARD begins with \"$first\", not with DOCKER-USER, so the seal may not be reached; restart docker, then: make lab"
  routes=$(ip route show type blackhole)
  for r in "${ranges[@]}"; do
    grep -qF "blackhole $r " <<< "$routes" || fail "there is no blackhole route for $r; run: make lab"
  done
}

remove() {
  local line words
  { as_root iptables -w 10 -S DOCKER-USER 2>/dev/null || true; } | grep -- '--comment drill-lab ' | while read -r line; do
    read -ra words <<< "${line/#-A/-D}"
    as_root iptables -w 10 "${words[@]}"
  done || true
  ip route show type blackhole proto 77 | while read -r line; do
    read -ra words <<< "$line"
    as_root ip route del "${words[@]}"
  done
}

case ${1:-} in
'') network; seal; check ;;
--check) network; check ;;
--early) # before dockerd runs: it keeps what it finds in DOCKER-USER
  as_root iptables -w 10 -N DOCKER-USER 2>/dev/null || true
  seal
  ;;
--remove) remove ;;
*) echo "usage: seal.sh [--check|--early|--remove]" >&2; exit 2 ;;
esac
