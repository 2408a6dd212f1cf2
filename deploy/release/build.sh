#!/usr/bin/env bash
# Builds a release into dist/: an archive and an SBOM for each platform, and SHA256SUMS. The same source gives the same
# bytes, whoever builds it, wherever, at any time, with the same version of Go and of GNU tar and gzip.
#
# usage: build.sh VERSION [OS/ARCH...]   default: linux/amd64 linux/arm64 darwin/arm64
#
# SOURCE_DATE_EPOCH, in seconds, is the time that files in the archives have; by default that of the last commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${1:-}
[[ $version =~ ^v?[0-9A-Za-z][0-9A-Za-z.+-]*$ ]] || {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' deploy/release/build.sh >&2
  exit 2
}
shift
(($#)) || set -- linux/amd64 linux/arm64 darwin/arm64

epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
# Whatever the builder has set for himself must not get in. The programs that only help to make it are compiled as it is, so that
# all packages are compiled once.
export SOURCE_DATE_EPOCH=$epoch CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath' GOWORK=off GOEXPERIMENT='' GOAMD64=v1 GOARM64=v8.0 LC_ALL=C TZ=UTC
unset GOOS GOARCH
umask 022

dist=$PWD/dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$dist"
mkdir -p "$dist"

# build OS/ARCH FILE. No path, no Git, no build ID: the version is the one thing that is told.
build() {
  GOOS=${1%/*} GOARCH=${1#*/} go build -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$version" -o "$2" ./cmd/granter
}

build "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" "$work/granter"
mkdir -p "$work/common/completions" "$work/common/man/man1"
cp LICENSE README.md "$work/common"
for shell in bash zsh fish; do "$work/granter" completion "$shell" >"$work/common/completions/granter.$shell"; done
go run -tags man ./cmd/granter man "$work/common/man/man1" # what is released cannot write them

for platform; do
  name=granter_${version#v}_${platform/\//_}
  cp -r "$work/common" "$work/$name"
  build "$platform" "$work/$name/granter"
  [[ $platform != linux/* ]] || cp -r deploy/systemd "$work/$name"
  go run ./deploy/release/sbom "$work/$name/granter" "$version" >"$dist/$name.cdx.json"
  tar --create --directory "$work" --sort=name --format=ustar --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX "$name" |
    gzip --no-name --best >"$dist/$name.tar.gz"
done
cd "$dist"
sha256sum -- * >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" .
cat SHA256SUMS
