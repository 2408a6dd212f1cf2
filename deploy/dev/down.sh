#!/usr/bin/env bash
# Stops what up.sh started, keeping its data.
#
# usage: down.sh [--delete] [DIR]   --delete: remove the data as well, and forget the ports
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

delete=''
if [[ ${1:-} == --delete ]]; then delete=yes && shift; fi
dir=${1:-$dev_home/up}
[[ -d $dir/kafka && -d $dir/redis ]] || die "$dir holds no dev services: up.sh was not run, or with another folder"
"$here/kafka.sh" stop "$dir/kafka"
"$here/redis.sh" stop "$dir/redis"
[[ -z $delete ]] || rm -rf "$dir/kafka" "$dir/redis"
