#!/bin/bash
# dockerd.sh start|stop|ours: dockerd by hand, where no service manager runs it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
D=/run/drill-lab

ours() { # is the dockerd that runs the one that we started?
  local pid
  pid=$(cat $D/dockerd.pid 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]
}

start() {
  local runtime=() missing
  docker info >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] || { echo "dockerd is not running and only root may start it; start docker, or run this as root" >&2; exit 1; }
  mkdir -p $D
  # A machine may withhold capabilities (CAP_SYS_RESOURCE in some virtual
  # machines); only there are containers asked to do without them.
  missing=$(((1 << ($(cat /proc/sys/kernel/cap_last_cap) + 1)) - 1 & ~16#$(awk '/^CapBnd/ {print $2}' /proc/self/status)))
  if [ $missing -ne 0 ]; then
    install -m755 "$here/runc-withcaps" /usr/local/sbin/runc-withcaps
    runtime=(--add-runtime withcaps=/usr/local/sbin/runc-withcaps --default-runtime withcaps)
  fi
  # four nodes, each with its systemd, kubelet and containerd, watch many files
  sysctl -qw fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288
  # dockerd may revive node containers as it starts: what they send must find the seal already there
  "$here/seal.sh" --early
  setsid nohup dockerd --storage-driver overlay2 --log-level warn "${runtime[@]}" > $D/dockerd.log 2>&1 < /dev/null 9>&- &
  echo $! > $D/dockerd.pid
  for _ in $(seq 300); do
    docker info >/dev/null 2>&1 && return
    ours || break
    sleep 0.1
  done
  tail -n 20 $D/dockerd.log >&2
  echo "dockerd did not start; its log: $D/dockerd.log" >&2
  exit 1
}

stop() {
  local pid
  ours || return 0
  pid=$(cat $D/dockerd.pid)
  kill "$pid"
  for _ in $(seq 300); do [ -d "/proc/$pid" ] || { rm -f $D/dockerd.pid; return; }; sleep 0.1; done
  echo "dockerd (pid $pid) does not end; its log: $D/dockerd.log" >&2
  exit 1
}

case ${1:-} in
start | stop | ours) "$1" ;;
*) echo "usage: dockerd.sh start|stop|ours" >&2; exit 2 ;;
esac
