# shellcheck shell=bash
# Sourced by the scripts beside it, which all run under `set -euo pipefail`.

# Progress goes to standard error: standard output belongs to the answer.
log() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# A message names the object, the value and the next step, on one line.
die() {
    log "$*"
    exit 1
}

need_root() { # WHAT_FOR
    [ "$(id -u)" -eq 0 ] || die "$1 needs root, this is uid $(id -u): run it with sudo"
}

repo_root() { (cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd); }

# HOME is unset under some CI runners and in `env -i` shells.
cache_dir() {
    local dir=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nfbpf
    mkdir -p "$dir"
    printf '%s\n' "$dir"
}

package_installed() { # PACKAGE
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The mtime of a list is the mirror's; only that of partial/ says when we asked.
apt_lists_fresh() {
    [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit 2>/dev/null)" ] &&
        [ -n "$(find /var/lib/apt/lists/partial -maxdepth 0 -mtime -1 2>/dev/null)" ]
}

apt_update() { apt-get -qq update >&2; }

# dpkg tells of each package on standard output, and of trouble on standard error.
apt_get_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 \
        --no-install-recommends install "$@" >/dev/null
}

# Installs what is missing, and touches neither the network nor dpkg when nothing is.
apt_install() { # PACKAGE...
    local package missing=()
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    need_root "installing ${missing[*]}"
    log "installing ${missing[*]}"
    apt_lists_fresh || apt_update
    # A list that is not old can still name a version that the mirror has dropped.
    apt_get_install "${missing[@]}" || { apt_update && apt_get_install "${missing[@]}"; } ||
        die "cannot install ${missing[*]}: see apt's message above; is the package mirror reachable?"
}

# shellcheck disable=SC2016 # apt expands it
debian_uris() { apt-get indextargets --format '$(REPO_URI)' "$@" | sed 's,/*$,,' | sort -u; }

# Prints the URI of the Debian archive NAME that this machine itself uses. Other
# vendors' archives end in /debian too, hence the Origin, which apt knows once it has lists.
mirror_uri() { # debian|debian-security
    local name=$1 uris uri
    uris=$(debian_uris 'Origin: Debian')
    if [ -z "$uris" ]; then
        apt_update
        uris=$(debian_uris 'Origin: Debian')
    fi
    uri=$(grep -m1 "/$name\$" <<<"$uris") || uri=$(sed -n "1s,[^/]*\$,$name,p" <<<"$uris")
    [ -n "$uri" ] ||
        die "no Debian archive among apt's sources: add one to /etc/apt/sources.list.d, then run apt-get update"
    printf '%s\n' "$uri"
}

# A released suite and its security updates, as lines of a sources.list; package debian-archive-keyring.
debian_sources() { # SUITE
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$(mirror_uri debian)" "$1" \
        "$keyring" "$(mirror_uri debian-security)" "$1-security"
}
