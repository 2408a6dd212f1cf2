#!/usr/bin/env bash
# A Redis Cluster on loopback: one folder per node under DIR.
#
# usage: cluster.sh start DIR [--masters 3] [--replicas 0] [-- --directive value ...]   print host:port,host:port,...
#        cluster.sh stop  DIR
#        cluster.sh kill  DIR
#        cluster.sh form  --replicas R NODEDIR...   join running, empty nodes: masters first, then R replicas for each
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

setting() { sed -n "s/^$2 //p" "$1/redis.conf" | head -n 1; }

ask() {
  local port=$1
  shift
  redis-cli -e -h 127.0.0.1 -p "$port" "$@"
}

# form REPLICAS NODEDIR...: what redis-cli --cluster create does, without its seconds of waiting.
form() {
  local replicas=$1
  shift
  local nodes=("$@") n masters i ports=() ids=()
  n=${#nodes[@]}
  masters=$((n / (replicas + 1)))
  for i in "${!nodes[@]}"; do
    ports[i]=$(setting "${nodes[i]}" port)
    ids[i]=$(ask "${ports[i]}" cluster myid)
    # Distinct epochs from the start save the nodes from resolving collisions.
    ask "${ports[i]}" cluster set-config-epoch $((i + 1)) >/dev/null
    ask "${ports[i]}" cluster meet 127.0.0.1 "${ports[0]}" "$(setting "${nodes[0]}" cluster-port)" >/dev/null
  done
  for ((i = 0; i < masters; i++)); do
    ask "${ports[i]}" cluster addslotsrange $((16384 * i / masters)) $((16384 * (i + 1) / masters - 1)) >/dev/null
  done
  for ((i = masters; i < n; i++)); do
    eventually "node ${ports[i]} to learn of its master" ask "${ports[i]}" cluster replicate "${ids[i % masters]}"
  done
  for ((i = 0; i < n; i++)); do
    eventually "node ${ports[i]} to see the whole cluster" complete "${ports[i]}" "$n" $((n - masters))
  done
}

# complete PORT NODES REPLICAS: the node is served by a full view, and a replica has loaded its master's data.
complete() {
  local info nodes
  info=$(ask "$1" cluster info)
  grep -q '^cluster_state:ok' <<<"$info" && grep -q "^cluster_known_nodes:$2[^0-9]" <<<"$info" || return 1
  nodes=$(ask "$1" cluster nodes)
  [[ $(grep -c ' [a-z,]*slave ' <<<"$nodes") == "$3" ]] && ! grep -qE 'handshake|fail' <<<"$nodes" || return 1
  info=$(ask "$1" info replication)
  ! grep -q '^role:slave' <<<"$info" || grep -q '^master_link_status:up' <<<"$info"
}

eventually() {
  local what=$1
  shift
  for _ in $(seq 600); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.05
  done
  die "waited 30 s for $what"
}

start() {
  local masters=3 replicas=0
  while (($#)); do
    case $1 in
    --masters) masters=$2 && shift 2 ;;
    --replicas) replicas=$2 && shift 2 ;;
    --) break ;;
    *) usage ;;
    esac
  done
  local nodes=() addrs=() i fresh=''
  [[ -e $dir/formed ]] || fresh=yes
  if [[ -n $fresh ]]; then
    for ((i = 0; i < masters * (replicas + 1); i++)); do
      "$here/redis.sh" config "$dir/node-$i" --cluster "$@" >/dev/null
    done
  fi
  for ((i = 0; ; i++)); do
    [[ -d $dir/node-$i ]] || break
    nodes+=("$dir/node-$i")
    addrs+=("$("$here/redis.sh" start "$dir/node-$i")")
  done
  if [[ -n $fresh ]]; then
    form "$replicas" "${nodes[@]}"
    touch "$dir/formed"
  fi
  (
    IFS=,
    printf '%s\n' "${addrs[*]}"
  )
}

each() {
  local node
  for node in "$dir"/node-*; do "$here/redis.sh" "$1" "$node"; done
}

(($# >= 2)) || usage
command=$1
case $command in
start)
  dir=$(absolute "$2")
  shift 2
  start "$@"
  ;;
stop | kill)
  dir=$2
  each "$command"
  ;;
form)
  [[ $2 == --replicas && $# -ge 4 ]] || usage
  form "$3" "${@:4}"
  ;;
*) usage ;;
esac
