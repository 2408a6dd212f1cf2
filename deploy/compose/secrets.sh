#!/usr/bin/env bash
# Makes what compose.yaml wants in secrets/, where it is missing. The token for the desk is in secrets/desk-token.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The folder keeps the other users of this machine out. The files in it can be read, because compose hands them to the
# containers as they are, and each container runs as a user of its own.
mkdir -p secrets
chmod 700 secrets
umask 022

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '='; }

# business-key and account-token are what the tax office and the bank give you: random ones let nobody in anywhere.
for password in redis-password grafana-password database-password business-key account-token; do
  [[ -s secrets/$password ]] || random >"secrets/$password"
done
# As "granter token operator operator" does it: the desk keeps the hash, the operator the token.
if [[ ! -s secrets/desk-access ]]; then
  token=granter_$(random)
  (umask 077 && printf '%s\n' "$token" >secrets/desk-token)
  printf 'operator operator sha256:%s\n' "$(printf '%s' "$token" | sha256sum | cut -d ' ' -f 1)" >secrets/desk-access
fi
