#!/bin/bash
# Installs what the tests of the agent need beside root: nft, to compare rulesets, and setpriv, to take capabilities away.
set -euo pipefail
command -v nft >/dev/null && command -v setpriv >/dev/null && exit 0
[ -x /usr/sbin/nft ] && command -v setpriv >/dev/null && exit 0
command -v apt-get >/dev/null || { echo "nft or setpriv is missing, and there is no apt-get to install them with" >&2; exit 1; }
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get -qq update
$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nftables util-linux >/dev/null
