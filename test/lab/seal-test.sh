#!/bin/bash
# seal-test.sh: proves that no packet of the lab leaves this machine.
#
# It counts, on the outer interface, what comes from or goes to the lab while a
# node, a pod and the host try to reach addresses outside. Whatever it counts it
# also drops, so that even where the seal is broken this test lets nothing out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh disable=SC1091
. "$here/lib.sh"

OUTSIDE=203.0.113.77 # TEST-NET-3: nobody's address
TABLE=drill_seal_test
name=$(printf '\x08sealtest' | od -An -tx1 | tr -d ' \n') # as a DNS question begins

"$LAB/host/seal.sh" --check || die "the lab is not sealed, so nothing is tried" "make lab"
outer=$(ip -o route get "$OUTSIDE" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
nodes_range=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' kind)
bridge=$(ip -o route show "$nodes_range" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
[ -n "$outer" ] || die "this machine has no way out, so there is nothing to prove"
[ -n "$bridge" ] || die "$nodes_range is on no bridge" "ip route"

counter() { as_root nft -j list counter "$1" $TABLE "$2" | jq '[.nftables[].counter | select(.) | .packets] | add'; }
sealed_packets() { as_root iptables -w 10 -nvxL DOCKER-USER | awk '/drill-lab/ {print $1; exit}'; }
cleanup() {
  as_root nft delete table netdev $TABLE 2>/dev/null || true
  as_root nft delete table inet $TABLE 2>/dev/null || true
}
trap cleanup EXIT
cleanup

# inet: what the seal (priority 0) let pass, before its source is translated.
# netdev: what really is about to leave, after that.
as_root nft -f - <<N
table inet $TABLE {
  counter passed {}
  chain forward {
    type filter hook forward priority 10;
    iifname "$bridge" oifname != "$bridge" counter name passed drop
  }
}
table netdev $TABLE {
  counter ranges {}
  counter outside {}
  counter dns {}
  chain egress {
    type filter hook egress device "$outer" priority 0;
    ip saddr { 10.96.0.0/16, 10.244.0.0/16, $nodes_range } counter name ranges drop
    ip daddr { 10.96.0.0/16, 10.244.0.0/16, $nodes_range } counter name ranges drop
    ip daddr $OUTSIDE counter name outside drop
    udp dport 53 @th,160,72 0x$name counter name dns drop
  }
}
N

# attempts PREFIX...: a command that runs another one there; every attempt must fail.
attempts() {
  local url
  for url in tcp/$OUTSIDE/443 udp/$OUTSIDE/53 tcp/10.96.250.250/443 tcp/10.244.250.250/80; do
    if "$@" timeout 1 bash -c "echo x > /dev/$url" 2>/dev/null && [[ $url = tcp/* ]]; then
      die "$* reached $url" "look at $LAB/host/seal.sh and iptables -S"
    fi
  done
}

step "positive control: the counter counts" timeout 5 bash -c "echo x > /dev/udp/$OUTSIDE/9; :"
[ "$(counter netdev outside)" -ge 1 ] || die "the counter on $outer saw nothing of the host's own packet" "nft list table netdev $TABLE"
before_outside=$(counter netdev outside)
before_sealed=$(sealed_packets)

everywhere() {
  local node ns pid pids=()
  for node in $(kind get nodes --name "$CLUSTER"); do
    attempts docker exec "$node" & pids+=($!)
    # docker's resolver asks from within the node's network
    { docker exec "$node" timeout 5 getent hosts sealtest.invalid || true; } & pids+=($!)
  done
  # a pod's network without a pod's image: its namespace is on the node
  node=$CLUSTER-control-plane
  ns=$(docker exec "$node" ip netns list | awk '/^cni-/ {print $1; exit}')
  [ -n "$ns" ] || die "there is no pod on $node" "lab.sh status"
  attempts docker exec "$node" ip netns exec "$ns" & pids+=($!)
  for pid in "${pids[@]}"; do wait "$pid"; done
}
step "from every node and from a pod" everywhere
# from the host only to the lab's ranges: to them there is no way out either
for address in 10.96.250.250 10.244.250.250; do
  if timeout 1 bash -c "echo x > /dev/tcp/$address/80" 2>/dev/null; then die "the host reached $address"; fi
done

sealed=$(($(sealed_packets) - before_sealed))
left=$(($(counter inet passed) + $(counter netdev ranges) + $(counter netdev outside) - before_outside + $(counter netdev dns)))
[ $sealed -gt 0 ] || die "the seal stopped nothing, so nothing was tried" "iptables -nvL DOCKER-USER"
if [ $left -ne 0 ]; then
  as_root nft list table inet $TABLE; as_root nft list table netdev $TABLE
  die "$left packets of the lab would have left by $outer (the test dropped them)" "look at the counters above"
fi
echo "sealed: $sealed packets stopped at the bridge, 0 left by $outer" >&2
