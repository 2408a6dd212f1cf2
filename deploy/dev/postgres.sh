#!/usr/bin/env bash
# One PostgreSQL on loopback, with everything it owns in one folder. It lets everybody on this machine in.
#
# usage: postgres.sh start  DIR [options]   configure if DIR is new, start, wait until it answers, print its URL
#        postgres.sh ready  DIR             succeed when it answers
#        postgres.sh stop   DIR             shut down cleanly
#        postgres.sh kill   DIR             SIGKILL, as a crash would
#        postgres.sh config DIR [options]   only make DIR/data; prints its URL
#        postgres.sh run    DIR [--tied]    run a configured PostgreSQL in the foreground; tied, it ends with its parent (what
#                                           tests do: to change the user loses what they set themselves)
#
# options: --port N         default: a free one, kept for as long as DIR exists
#          -- name=value …  settings, as postgresql.conf takes them; they win over the defaults
#
# PostgreSQL refuses to run as root. Started by root it runs as the user postgres, who must be able to enter DIR.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

programs=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1) || true

# What is put before a command that root must not run.
unprivileged=()
[[ $(id -u) != 0 ]] || unprivileged=(setpriv --reuid=postgres --regid=postgres --clear-groups)

configure() {
  local port='' owner
  while (($#)); do
    case $1 in
    --port) port=$2 && shift 2 ;;
    --) shift && break ;;
    *) usage ;;
    esac
  done
  [[ -n $programs ]] || die "PostgreSQL is not installed: run deploy/dev/install.sh"
  [[ -n $port ]] || port=$(reserve_port "$dir")
  printf '%s' "$port" >"$dir/port"
  if ((${#unprivileged[@]})); then
    chown postgres:postgres "$dir"
    owner=$("${unprivileged[@]}" test -x "$dir" && echo yes) || true
    [[ -n $owner ]] || die "the user postgres cannot enter $dir: choose a folder outside of your home"
  fi
  "${unprivileged[@]}" "$programs/initdb" -D "$dir/data" -U granter -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
    >"$dir/initdb.log" 2>&1 || {
    tail -n 5 "$dir/initdb.log" >&2
    die "initdb failed (log: $dir/initdb.log)"
  }
  {
    cat <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$dir'
max_connections = 60
# What this server holds need not survive a power failure, and tests wait for its commits.
fsync = off
CONF
    local setting
    for setting in "$@"; do printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}"; done
  } >>"$dir/data/postgresql.conf"
}

url() { printf 'postgres://granter@127.0.0.1:%s/postgres?sslmode=disable\n' "$(cat "$dir/port")"; }

answers() { "$programs/pg_isready" -q -h 127.0.0.1 -p "$1"; }

start() {
  local port
  [[ -d $dir/data ]] || configure "$@"
  port=$(cat "$dir/port")
  if ! running "$dir/postgres.pid" >/dev/null; then
    detached "$dir/postgres.log" "$here/postgres.sh" run "$dir"
    await_start PostgreSQL $! "$dir/postgres" "$port"
  fi
  url
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
    url
  else
    start "$@"
  fi
  ;;
run)
  [[ -d $dir/data ]] || die "$dir has no data: run postgres.sh config first"
  dir=$(absolute "$dir")
  write_pidfile "$dir/postgres.pid"
  ((${#unprivileged[@]} == 0)) || [[ ${1:-} != --tied ]] || unprivileged+=(--pdeathsig KILL)
  exec "${unprivileged[@]}" "$programs/postgres" -D "$dir/data"
  ;;
ready) answers "$(cat "$dir/port")" || die "it does not answer yet" ;;
stop) end_process "$dir/postgres.pid" INT 20 ;; # does not wait for those who are connected
kill) end_process "$dir/postgres.pid" KILL 20 ;;
*) usage ;;
esac
