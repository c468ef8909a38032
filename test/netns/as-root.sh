#!/bin/bash
# Runs a test binary as root, for go test -exec: making network namespaces and changing nftables in them need it.
[ "$(id -u)" = 0 ] && exec "$@"
exec sudo -E env PATH="$PATH:/usr/sbin:/sbin" "$@"
