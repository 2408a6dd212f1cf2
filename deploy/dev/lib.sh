# shellcheck shell=bash disable=SC2034
# Shared by the scripts in this folder: messages, free ports, and processes that are known by pid *and* start time.
# Sourced, never run. The caller has set -euo pipefail.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dev_home=${GRANTER_DEV_HOME:-$HOME/.cache/granter-dev}

# The Kafkas that make test runs on, the newest last. What names none gets the first, or GRANTER_DEV_KAFKA, which may be
# another one.
kafka_versions=(3.9.1 4.1.0)
kafka_version=${GRANTER_DEV_KAFKA:-${kafka_versions[0]}}

# kafka_home [VERSION]: prints where its jars are. The checksum of pom.xml is in the name, so changing that installs anew.
kafka_home() { printf '%s\n' "$dev_home/kafka-${1:-$kafka_version}-$(cksum <"$here/pom.xml" | cut -d' ' -f1)"; }

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# absolute DIR: creates it and prints its absolute path.
absolute() {
  mkdir -p "$1"
  (cd "$1" && pwd)
}

# listening PORT: succeeds when something accepts connections there.
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# reserve_port DIR: prints a port that nothing listens on and that no other folder of dev services holds.
# A reservation lives as long as DIR does: a server that was killed gets its own port back when it restarts.
# The range lies below the kernel's ephemeral ports, so an outgoing connection cannot take a reserved port.
reserve_port() {
  local dir=$1 ports=$dev_home/ports port owner
  mkdir -p "$ports"
  for _ in $(seq 200); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    if owner=$(cat "$ports/$port" 2>/dev/null); then
      # An empty file belongs to someone between creating and writing it.
      [[ -n $owner && ! -d $owner ]] && rm -f "$ports/$port"
      continue
    fi
    listening "$port" && continue
    if (set -o noclobber && printf '%s' "$dir" >"$ports/$port") 2>/dev/null; then
      printf '%s\n' "$port"
      return
    fi
  done
  die "found no free port between 20000 and 32000"
}

# started_at PID: prints when the process started, which with the pid identifies it: pids are reused.
started_at() {
  local stat
  if [[ -r /proc/$1/stat ]]; then
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The command name may hold spaces and brackets, so count fields after its last bracket.
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} != Z ]] && printf '%s\n' "${stat[19]}"
  else
    ps -o lstart= -p "$1" 2>/dev/null
  fi
}

# write_pidfile FILE: records this very process; follow it with exec.
write_pidfile() { printf '%s %s\n' "$$" "$(started_at $$)" >"$1"; }

# running FILE: prints the pid when the process that wrote FILE still runs.
running() {
  local pid since
  [[ -r $1 ]] || return 1
  read -r pid since <"$1" || return 1
  [[ -n $pid && $(started_at "$pid") == "$since" ]] || return 1
  printf '%s\n' "$pid"
}

# await_start NAME PID FILES PORT: waits until the server that was launched as PID answers, as the caller's function answers says,
# and FILES.pid names it. Loading a large data set takes a while; a process that ended will never answer.
await_start() {
  until answers "$4" && running "$3.pid" >/dev/null; do
    if ! kill -0 "$2" 2>/dev/null; then
      tail -n 5 "$3.log" >&2
      die "$1 did not start (log: $3.log)"
    fi
    sleep 0.02
  done
}

# end_process FILE SIGNAL SECONDS: signals that process and waits for its end; SIGKILL when it takes too long.
end_process() {
  local pid
  pid=$(running "$1") || return 0
  kill "-$2" "$pid" 2>/dev/null || return 0
  # A stopped process handles no signal but SIGKILL.
  kill -CONT "$pid" 2>/dev/null || true
  for _ in $(seq $(($3 * 20))); do
    running "$1" >/dev/null || return 0
    sleep 0.05
  done
  say "process $pid did not end on SIG$2 within $3 s: killing it"
  kill -KILL "$pid" 2>/dev/null || true
  while running "$1" >/dev/null; do sleep 0.05; done
}

# detached LOG COMMAND...: starts it in a session of its own, so that Ctrl-C in the terminal does not reach it.
detached() {
  local log=$1
  shift
  setsid "$@" </dev/null >>"$log" 2>&1 &
}

need() {
  command -v "$1" >/dev/null 2>&1 || die "$1 is not installed: run deploy/dev/install.sh"
}
