#!/bin/bash
# Make the role that drill logs in as, or give it its rights and its password again: by post-init.sh in a new cluster,
# by demo.sh in one that is older than the role. It may make a schema of its own and look at statistics, and it may not
# read a single row of the application's.
set -euo pipefail
psql "${1:-dbname=postgres}" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 <<'SQL'
\getenv username DRILL_USERNAME
\getenv password DRILL_PASSWORD
\getenv dbname APP_DBNAME
SELECT format('CREATE ROLE %I LOGIN', :'username') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'username') \gexec
ALTER ROLE :"username" PASSWORD :'password';
GRANT CONNECT, CREATE ON DATABASE :"dbname" TO :"username";
GRANT pg_monitor TO :"username";
SQL
