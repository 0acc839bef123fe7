#!/bin/sh
# Builds hello.aci out of hello.c: one static executable, a manifest, and nothing else.
#
#   examples/hello/build.sh OUTPUT.aci
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
output=${1:?usage: build.sh OUTPUT.aci}
case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=aarch64 ;;
  *) echo "build.sh: this machine ($(uname -m)) has no name in an image manifest" >&2; exit 1 ;;
esac

layout=$(mktemp -d)
trap 'rm -rf "$layout"' EXIT
mkdir -m 755 "$layout/rootfs"
sed "s/@ARCH@/$arch/" "$here/manifest.in" > "$layout/manifest"
cc -static -O2 -o "$layout/rootfs/hello" "$here/hello.c"
"${RKT:-$here/../../bin/rkt}" image build --owner-root --overwrite "$layout" "$output"
