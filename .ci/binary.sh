#!/usr/bin/env bash
# The binary that is shipped holds what production needs and no more: no server of the demo, no tools of a release, no gRPC,
# and no method that nobody calls. It must not grow unnoticed either: docs/performance.md has what it weighs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# html/template is there, because maragu.dev/gomponents escapes text by it; its templates, which call methods by name, are not: the
# command of Redis below is what looks.
# Bytes, not stripped. Of them 0.5 MB are golang.org/x/text, for pages and answers in Korean and English, and 13 MB the store of claims:
# SQLite embedded (6.4), PostgreSQL's client (4), goose (1.3), and what they share.
# 4.6 MB are franz-go, for granter audit --independent: a second opinion that needed another build would not be asked for.
# Some 1.5 MB are go-mail and age, by which owners are told what became of their claims, and their documents encrypted.
# The rest came with takes by topic, hooks, purges, and the pages of acts and of claims; 55.3 MB were measured with all of them.
# 0.7 MB are go-oidc, oauth2 and go-jose, by which people sign in to the desk with their organisation's accounts.
# Campaigns of UUIDs and strings, claims by topic, and lists on the page make the last 1.4 MB of the 57.4 that were measured.
# 1.3 MB are twmb/avro, by which the schemas of Avro records are read; records themselves grant/schema reads. 57.9 were measured before.
# What was built beside them at the same time made it 59.8.
# Some 1.4 MB are bufbuild/protocompile's parser of .proto files, and franz-go's client of schema registries: 61.3 with both.
# What was built beside them at the same time made it 62.0.
# The pages of the council are some 1.2 MB, and the rest of what is for IDs of every kind 0.4: 63.75 were measured with both.
# Claims by the API and the staff's page, an audit of takes, the bank's files as data, and pages of operations in Korean: 64.7 with all.
# Takes and checks of users whose IDs are not dense, and a log of who reads claims: 65.1.
# Earlier reports, the council's API, budgets that are amended, and events of users whose IDs are not dense: 66.0.
most=67000000

forbidden=(
  github.com/twmb/franz-go/pkg/kfake github.com/alicebob/miniredis github.com/yuin/gopher-lua # the demo's servers
  github.com/spf13/cobra/doc github.com/cpuguy83/go-md2man                                    # a release's manual pages
  google.golang.org/grpc github.com/grpc-ecosystem                                            # traces go by HTTP
  github.com/json-iterator/go github.com/modern-go/reflect2 github.com/prometheus/client_golang/api
  github.com/RoaringBitmap/roaring github.com/xuri/excelize                                   # alternatives that lost, or that only tests use
  github.com/zitadel/oidc                                                                     # an OpenID provider, for tests
  github.com/stretchr/testify net/http/httptest testing
)

failed=0
packages=$(go list -deps ./cmd/granter)
for package in "${forbidden[@]}"; do
  if grep -qE "^$package(/|\$)" <<<"$packages"; then
    echo "the production binary must not hold $package (go mod why -m, or go list -deps, says who imports it)" >&2
    failed=1
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$work/granter" ./cmd/granter
# One of a thousand commands of Redis that nobody calls. Where any package calls a method by a name that only it knows, the
# linker keeps all exported methods of every type, which is a third of the binary. Its flag -dumpdep says who (ReflectMethod).
go tool nm "$work/granter" >"$work/symbols"
if grep -q 'go-redis/v9\.cmdable\.FTCreate$' "$work/symbols"; then
  echo "the linker keeps methods that nobody calls: some package calls methods by name" >&2
  failed=1
fi
# gomponents escapes by html/template; what executes templates, and calls methods by name, must not come along.
if grep -q 'text/template\.(\*Template)\.Execute$' "$work/symbols"; then
  echo "the binary executes templates: use gomponents" >&2
  failed=1
fi
size=$(stat -c %s "$work/granter")
if ((size > most)); then
  echo "the binary has $size bytes, $most at most" >&2
  failed=1
fi
echo "$size bytes"
exit "$failed"
