#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches Debian's source package of civetweb into the cache and prints the unpacked, patched tree.
#
#   civetweb-fetch.sh VERSION DSC_SHA256 ORIG_SHA256
#
# Debian's binary looks for a symbol that OpenSSL 3 dropped and has no IPv6, so the source is built
# here with other switches. Where it comes from is the configured mirror of this machine: apt is asked
# for its own targets, and a private list adds deb-src to them. The system's apt is left as it is.
# The .dsc and the original tarball are pinned; the .dsc names the checksum of Debian's patches, which
# dpkg-source verifies.
set -eu

version=$1
dsc_sha256=$2
orig_sha256=$3
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nfbpf/civetweb/$version
tree=$cache/civetweb

fail() {
  echo "civetweb-fetch: $*" >&2
  exit 1
}

# A complete tree only ever appears by rename, so that it exists says that it is whole.
if [ -d "$tree" ]; then
  echo "$tree"
  exit 0
fi
command -v dpkg-source >/dev/null || fail "dpkg-source is missing; install dpkg-dev"

mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/parts" "$work/download"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=
[ ! -r "$keyring" ] || signed="[signed-by=$keyring] "
# shellcheck disable=SC2016 # apt expands it
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
  'Created-By: Packages' 'Origin: Debian' 'Component: main' |
  sort -u | sed "s|^|deb-src $signed|" >"$work/sources.list"
[ -s "$work/sources.list" ] ||
  fail "apt knows no Debian mirror on this machine; run apt-get update, or set NFBPF_CIVETWEB_SOURCE"

set -- -qq \
  -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts" \
  -o Dir::State::lists="$work/lists" -o Dir::Cache::archives="$work/archives" \
  -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= \
  -o APT::Sandbox::User=root -o Acquire::Languages=none
apt-get "$@" update >&2 || fail "apt-get update of the source lists failed"
(cd "$work/download" && apt-get "$@" source --download-only "civetweb=$version" >&2) ||
  fail "apt-get source civetweb=$version failed; is that version in the mirror of this machine?"

# pinned FILE SHA256
pinned() {
  [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$2" ] || fail "${1##*/} is not the pinned file (sha256 $2)"
}
dsc=$work/download/civetweb_$version.dsc
pinned "$dsc" "$dsc_sha256"
pinned "$work/download/civetweb_${version%-*}.orig.tar.xz" "$orig_sha256"
dpkg-source --no-copy -x "$dsc" "$work/tree" >&2 || fail "dpkg-source could not unpack $dsc"

# Another build may have won the race; its tree is the same.
mv -T "$work/tree" "$tree" 2>/dev/null || [ -d "$tree" ] || fail "cannot write $tree"
echo "$tree"
