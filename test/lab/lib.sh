# Shared by the scripts of the lab and of deploy/demo; sourced, never run.
# shellcheck shell=bash disable=SC2034 # the scripts that source this use them

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LAB
CLUSTER=drill-lab
K8S=v1.36.3
LOG=$LAB/logs/lab.log
PATH=$LAB/bin:$PATH:/usr/sbin:/sbin
# the old builder does where buildx is not installed
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0

die() { # what and where, then what to do
  echo "${0##*/}: $1" >&2
  [ $# -lt 2 ] || echo "  → $2" >&2
  exit 1
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# step TITLE COMMAND...: run it with its output in the log, say how long it took.
step() {
  local title=$1 t0=$EPOCHREALTIME rc mark
  shift
  mkdir -p "${LOG%/*}"
  echo "=== $(date -u +%FT%TZ) $title" >> "$LOG"
  mark=$(stat -c %s "$LOG")
  printf '  %-46s' "$title" >&2
  # not in a condition: there bash would ignore set -e inside the command
  set +e
  (set -euo pipefail; "$@") >> "$LOG" 2>&1
  rc=$?
  set -e
  if [ $rc -ne 0 ]; then
    echo "failed after $(seconds "$t0")" >&2
    tail -c +$((mark + 1)) "$LOG" | tail -n 25 | sed 's/^/    | /' >&2
    die "\"$title\" failed (exit $rc)" "the whole log: $LOG"
  fi
  seconds "$t0" >&2
}

seconds() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%6.1f s\n", b - a }'; }

# inputs PATH...: one hash over what these files and folders hold and whether they can be run.
inputs() {
  find "$@" -type f -not -name '*_test.go' -printf '%m %p\n' | LC_ALL=C sort -k2 |
    while read -r mode file; do echo "$((8#$mode & 0111)) $file $(sha256sum < "$file")"; done |
    sha256sum | cut -c1-16
}

# built IMAGE HASH: is there such an image, made of these inputs?
built() { [ "$(docker image inspect -f '{{index .Config.Labels "failoverdrill.inputs"}}' "$1" 2>/dev/null)" = "$2" ]; }

# image NAME DOCKERFILE DIR: build it from what is in DIR, unless it is there already.
image() {
  local hash
  hash=$({ (cd "$3" && inputs .); cat "$2"; } | sha256sum | cut -c1-16)
  built "$1" "$hash" || step "image $1" docker build -q --label "failoverdrill.inputs=$hash" -t "$1" -f "$2" "$3"
}

# The stock node image serves where a registry can be reached.
stock_image() {
  if [ -n "${DRILL_LAB_NODE_IMAGE:-}" ]; then echo "$DRILL_LAB_NODE_IMAGE"
  elif [ "${GITHUB_ACTIONS:-}" = true ]; then echo kindest/node:v1.36.1
  fi
}

# debian:bookworm-slim from Debian's own packages.
base_image() {
  local sources
  for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do [ ! -s $sources ] || break; done
  [ -s $sources ] || die "this machine has no apt sources to make a base image from" "name an image with DRILL_LAB_NODE_IMAGE, or use a Debian machine"
  # a machine whose clock is off must still accept the mirror's dates
  mmdebstrap --quiet --variant=minbase --components=main \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
    bookworm - "$sources" | docker import --change 'CMD ["bash"]' - debian:bookworm-slim
}

ensure_base_image() {
  docker image inspect debian:bookworm-slim >/dev/null 2>&1 && return
  if [ -n "$(stock_image)" ]; then step "base image" docker pull -q debian:bookworm-slim
  else step "base image (mmdebstrap)" base_image; fi
}
