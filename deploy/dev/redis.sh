#!/usr/bin/env bash
# One Redis on loopback, with everything it owns in one folder.
#
# usage: redis.sh start  DIR [options]   configure if DIR is new, start, wait for PONG, print host:port
#        redis.sh stop   DIR             shut down cleanly
#        redis.sh kill   DIR             SIGKILL, as a crash would
#        redis.sh config DIR [options]   only write DIR/redis.conf; prints host:port
#        redis.sh run    DIR             run a configured Redis in the foreground (what tests do)
#
# options: --port N         default: a free one, kept for as long as DIR exists
#          --replicaof PORT replicate the Redis on this port of loopback
#          --cluster        a cluster node (see cluster.sh)
#          -- --directive value ...   anything else, as redis-server takes it; wins over the defaults
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

configure() {
  local port='' primary='' cluster=''
  while (($#)); do
    case $1 in
    --port) port=$2 && shift 2 ;;
    --replicaof) primary=$2 && shift 2 ;;
    --cluster) cluster=yes && shift ;;
    --) shift && break ;;
    *) usage ;;
    esac
  done
  [[ -n $port ]] || port=$(reserve_port "$dir")
  {
    cat <<CONF
bind 127.0.0.1
port $port
dir "$dir"
# No persistence unless asked for: most tests want none, and its absence is what preflight must refuse.
save ""
appendonly no
appendfsync everysec
maxmemory-policy noeviction
# Tests use DEBUG to provoke slow scripts and reloads.
enable-debug-command local
# A replica attaches without the five seconds that wait for others to share the transfer.
repl-diskless-sync-delay 0
CONF
    [[ -z $primary ]] || printf 'replicaof 127.0.0.1 %s\n' "$primary"
    # cluster-port: port + 10000, the default, would fall among the ephemeral ports.
    # A dead master is replaced after a few seconds, and by any replica however stale: that is the fault to test.
    [[ -z $cluster ]] || cat <<CONF
cluster-enabled yes
cluster-config-file nodes.conf
cluster-port $(reserve_port "$dir")
cluster-node-timeout 2000
cluster-replica-validity-factor 0
CONF
    # "--maxmemory 100mb --save ''" becomes one directive per line. A later line wins, except for save, which adds up
    # but is reset by an empty one, so "--save 60 1" works as well.
    local word line=''
    for word in "$@"; do
      if [[ $word == --* ]]; then
        [[ -z $line ]] || printf '%s\n' "$line"
        line=${word#--}
      else
        line+=" \"$word\""
      fi
    done
    [[ -z $line ]] || printf '%s\n' "$line"
  } >"$dir/redis.conf"
}

setting() { sed -n "s/^$1 //p" "$dir/redis.conf" | head -n 1; }

# A Redis that wants a password answers too.
answers() { redis-cli -h 127.0.0.1 -p "$1" ping 2>/dev/null | grep -qE "PONG|NOAUTH"; }

start() {
  local port
  [[ -e $dir/redis.conf ]] || configure "$@"
  port=$(setting port)
  if ! running "$dir/redis.pid" >/dev/null; then
    need redis-server
    : >"$dir/redis.log"
    detached "$dir/redis.log" "$here/redis.sh" run "$dir"
    await_start redis-server $! "$dir/redis" "$port"
  fi
  printf '127.0.0.1:%s\n' "$port"
}

(($# >= 2)) || usage
command=$1
dir=$2
shift 2
case $command in
config | start)
  dir=$(absolute "$dir")
  if [[ $command == config ]]; then
    configure "$@"
    printf '127.0.0.1:%s\n' "$(setting port)"
  else
    start "$@"
  fi
  ;;
run)
  [[ -e $dir/redis.conf ]] || die "$dir has no redis.conf: run redis.sh config first"
  need redis-server
  dir=$(absolute "$dir")
  write_pidfile "$dir/redis.pid"
  exec redis-server "$dir/redis.conf"
  ;;
stop) end_process "$dir/redis.pid" TERM 20 ;;
kill) end_process "$dir/redis.pid" KILL 20 ;;
*) usage ;;
esac
