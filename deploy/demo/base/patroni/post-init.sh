#!/bin/bash
# Run once by Patroni, on the first primary, with a superuser's connection URL.
set -euo pipefail
psql "$1" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 <<'SQL'
\getenv username APP_USERNAME
\getenv password APP_PASSWORD
\getenv dbname APP_DBNAME
CREATE ROLE :"username" LOGIN PASSWORD :'password';
GRANT pg_monitor TO :"username";
CREATE DATABASE :"dbname" OWNER :"username";
SQL
"$(dirname "$0")/drill-role.sh" "$1"
