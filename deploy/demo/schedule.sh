#!/bin/bash
# schedule.sh: a drill that runs by itself every two minutes, three times, with
# the leading server killed in between; then what /metrics, Prometheus, the
# history and the schedule say of it. The exit code says whether all agree.
# `make demo-schedule` sets up what it needs: lab, shop, drill, Prometheus.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source=../../test/lab/lib.sh disable=SC1091
. "$repo/test/lab/lib.sh"

NS=failoverdrill
DRILL=demo-kill-primary
RUNS=3
PERIOD=120 # seconds
PORT=39091 # on loopback, for curl
out=$repo/bin/demo-schedule
KUBECONFIG=${DRILL_DEMO_KUBECONFIG:-$("$LAB/lab.sh" kubeconfig)}
export KUBECONFIG
export DRILL_DEMO_KUBECONFIG=$KUBECONFIG
failures=0

drill() { "$repo/bin/drill" "$@"; }
k() { kubectl -n $NS "$@"; }
say() { printf '\n==> [%4d s] %s\n' "$SECONDS" "$*"; }
check() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@"; then echo "ok      $what"; else echo "FAILED  $what"; failures=$((failures + 1)); fi
}
between() { jq -en "$1 >= $2 and $1 <= $3" >/dev/null; }

# runs: the records of this demo's schedule, the oldest first.
runs() {
  k get drillruns -l "failoverdrill.io/schedule=$DRILL" -o json | jq -c --arg since "$since" '[.items[]
    | select(.metadata.annotations["failoverdrill.io/scheduled-for"] >= $since)
    | {name: .metadata.name, due: .metadata.annotations["failoverdrill.io/scheduled-for"], finished: (.status.phase == "Finished"),
       verdict: .status.verdict, message: .status.message, recovery: .status.report.recovery.estimate_seconds}] | sort_by(.due)'
}
finished() { runs | jq '[.[] | select(.finished)] | length'; }
leader() { k get lease drill-server -o jsonpath='{.spec.holderIdentity}'; }

await_runs() { # N: until so many are finished
  local end=$((SECONDS + ($1 + 2) * PERIOD + 120))
  until [ "$(finished)" -ge "$1" ]; do
    [ $SECONDS -lt $end ] || { runs | jq .; k get pods -o wide; return 1; }
    sleep 3
  done
}

# value EXPR: one number from Prometheus, once it has it.
value() {
  local end=$((SECONDS + 45)) v
  until v=$("$here/monitoring.sh" query "$1" 2>/dev/null | awk 'NR == 1 {print $NF}') && [ -n "$v" ]; do
    [ $SECONDS -lt $end ] || { echo null; return; }
    sleep 2
  done
  echo "$v"
}

clean() {
  drill schedule remove schedule-demo >/dev/null 2>&1 || true
  [ -z "${forward:-}" ] || kill "$forward" 2>/dev/null || true
}
trap clean EXIT

mkdir -p "$out"
sed -e "s/\"monthly-kill-primary\"/\"$DRILL\"/" -e 's|cron *= .*|cron     = "*/2 * * * *"|' -e '/blackout/d' \
  "$repo/drills/monthly-kill-primary.hcl" > "$out/$DRILL.hcl"
since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
say "schedule it"
drill validate "$out/$DRILL.hcl"
drill schedule add "$out/$DRILL.hcl" --name schedule-demo
drill schedule list

say "wait for the first run"
await_runs 1
runs | jq -r '.[] | "\(.due) \(.name) \(.verdict // "in progress") \(.recovery // "")"'
led=$(leader)
say "delete the server that leads, $led"
k delete pod "$led" --wait=false
say "wait for $RUNS runs"
await_runs $RUNS
drill schedule pause schedule-demo
all=$(runs)
sleep 12 # until the server has taken up the pause, and Prometheus has scraped the last run

say "what is recorded"
jq -r '.[] | "\(.due) \(.name) \(.verdict) \(.recovery) \(.message)"' <<< "$all"
drill schedule list
drill schedule list -o json > "$out/schedules.json"
drill history --limit 5 || drill history || true

say "what /metrics of the leader, $(leader), says"
k port-forward "pod/$(leader)" $PORT:9090 >/dev/null 2>&1 &
forward=$!
for _ in $(seq 50); do curl -fsS --max-time 2 "http://127.0.0.1:$PORT/healthz" >/dev/null 2>&1 && break; sleep 0.2; done
curl -fsS --max-time 10 "http://127.0.0.1:$PORT/metrics" > "$out/metrics.txt"
grep "drill=\"$DRILL\"" "$out/metrics.txt" | grep -E '^drill_(runs_total|last_|missed|next|recovery_seconds_(sum|count))' | grep -v ' 0$'
curl -fsS --max-time 10 "http://127.0.0.1:$PORT/" > "$out/page.html" && echo "the page: $out/page.html"

say "what Prometheus says"
for q in "drill_last_recovery_seconds{drill=\"$DRILL\",phase=\"sustained\"}" \
  "sum by (verdict) (drill_runs_total{drill=\"$DRILL\"}) > 0" \
  "drill_last_replication_lag_seconds{drill=\"$DRILL\"}" \
  "max by (target, member, source) (max_over_time(drill_replication_lag_seconds[15m]))" \
  "drill_missed_runs_total{drill=\"$DRILL\"}"; do
  echo "# $q"
  "$here/monitoring.sh" query "$q" || echo "(nothing)"
done

say "does it hold?"
n=$(jq length <<< "$all")
distinct=$(jq '[.[].due] | unique | length' <<< "$all")
judged=$(jq '[.[] | select(.verdict == "passed" or .verdict == "failed")] | length' <<< "$all")
span=$(jq --argjson p $PERIOD '((.[-1].due | fromdate) - (.[0].due | fromdate)) / $p + 1' <<< "$all")
missed=$(jq --arg d $DRILL '.schedules[] | select(.drill == $d) | .missed' "$out/schedules.json")
check "$RUNS or more scheduled runs are recorded ($n)" [ "$n" -ge $RUNS ]
check "no due time ran twice" [ "$n" = "$distinct" ]
check "every due time has a run or is counted as missed ($span = $n + $missed)" [ "$span" = "$((n + missed))" ]
check "every run was a real one, passed or failed ($judged)" [ "$judged" = "$n" ]
check "every run is counted, across the change of leader" between "$(value "sum(drill_runs_total{drill=\"$DRILL\"})")" "$n" 1e9
# A Prometheus that stores native histograms has no series _count.
recoveries="drill_recovery_seconds{drill=\"$DRILL\",phase=\"sustained\"}"
check "Prometheus has the recovery of every run" between "$(value "histogram_count($recoveries) or ${recoveries/_seconds/_seconds_count}")" "$n" 1e9
check "the last recovery is a time, in /metrics and in the record" between \
  "$(value "drill_last_recovery_seconds{drill=\"$DRILL\",phase=\"sustained\",bound=\"estimate\"}")" \
  "$(jq '.[-1].recovery - 0.01' <<< "$all")" "$(jq '.[-1].recovery + 0.01' <<< "$all")"
check "Prometheus has the replication lag" between "$(value "max(drill_last_replication_lag_seconds{drill=\"$DRILL\"})")" 0 600
check "another server leads ($(leader), and not $led)" [ "$(leader)" != "$led" ]
[ $failures -eq 0 ] || die "$failures of these do not hold" "see $out, kubectl -n $NS logs deployment/drill-server"
say "all of it holds"
