#!/bin/bash
# Installs PostgreSQL 15 where it is missing: the tests start a real primary and standby of their own on loopback.
set -euo pipefail
[ -x /usr/lib/postgresql/15/bin/postgres ] && [ -x /usr/lib/postgresql/15/bin/pg_basebackup ] && exit 0
command -v apt-get >/dev/null || { echo "PostgreSQL 15 is missing in /usr/lib/postgresql/15/bin, and there is no apt-get to install it with" >&2; exit 1; }
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
# The package would start a server of its own; nothing but the tests' own servers is wanted.
$sudo mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
$sudo apt-get -qq update
$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql-15 >/dev/null
