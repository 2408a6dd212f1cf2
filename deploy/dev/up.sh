#!/usr/bin/env bash
# One Kafka and one Redis for a developer. Prints how to reach them:
#
#   eval "$(deploy/dev/up.sh)"
#
# They keep their ports and data until down.sh --delete. Running it again starts what is down and prints the same lines.
#
# usage: up.sh [DIR]   DIR holds everything (default: up/ in GRANTER_DEV_HOME)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$here/install.sh" >&2
dir=$(absolute "${1:-$dev_home/up}")
# Preflight wants a Redis that persists. Kafka starts meanwhile.
# A broker that is slow for a few seconds on a busy machine is still the leader; tests are less patient with theirs.
exec 3< <("$here/kafka.sh" start "$dir/kafka" --partitions-default 8 -- broker.session.timeout.ms=30000)
redis=$("$here/redis.sh" start "$dir/redis" -- --appendonly yes --appendfsync everysec)
brokers=$(cat <&3)
[[ -n $brokers ]] || die "Kafka did not start"
printf 'export GRANTER_BROKERS=%s\nexport GRANTER_REDIS=%s\n' "$brokers" "$redis"
