# shellcheck shell=bash disable=SC2154 # repo is the caller's
# For tests of the Debian packages, which have read scripts/lib.sh and set `repo`.

suite=bookworm

# The version of this tree, and one after it.
this_version() { sed -n 's/^project.* VERSION \([0-9.]*\).*/\1/p' "$repo/CMakeLists.txt"; }
next_version() { local v; v=$(this_version); echo "${v%.*}.$((${v##*.} + 1))"; }

packages_dir=$repo/build/packages

# Sets old_debs and new_debs to the paths of exporter and module package, in that order.
name_versions() {
    local old new
    old=$(this_version) new=$(next_version)
    # shellcheck disable=SC2034 # for the tests
    old_debs=("$packages_dir"/nfbpf-{exporter_"$old"_amd64,dkms_"$old"_all}.deb) \
        new_debs=("$packages_dir"/nfbpf-{exporter_"$new"_amd64,dkms_"$new"_all}.deb)
}

build_versions() {
    local version
    rm -rf "$packages_dir"
    for version in "$(this_version)" "$(next_version)"; do
        DEB_BUILD_OPTIONS=noautodbgsym "$repo/scripts/package" --version "$version" "$packages_dir"
    done
    name_versions
}

# Those that tests/packaging/packages has built of this tree, or new ones.
built_versions() {
    local deb
    name_versions
    for deb in "${old_debs[@]}" "${new_debs[@]}"; do
        # shellcheck disable=SC2016 # the inner shell expands
        if [ ! -e "$deb" ] || [ -n "$(cd "$repo" && git ls-files -z kmod bpf exporter cmake deploy config CMakeLists.txt scripts/package |
            xargs -0 sh -c 'find "$@" -newer "$0" -print -quit' "$deb")" ]; then
            build_versions >&2
            return
        fi
    done
}

# Names alone, the first of each set of alternatives.
depends_of() { # DEB...
    local deb
    for deb in "$@"; do
        dpkg-deb -f "$deb" Depends
    done | tr ',' '\n' | sed 's/^ *//; s/[ |(].*//' | sort -u
}

# A Debian that boots, with what our packages depend on; nothing of ours.
make_debian() { # ROOT PACKAGE...
    local root=$1
    shift
    debian_sources "$suite" | mmdebstrap --quiet --mode=root --variant=essential --architectures=amd64 \
        --include="$(IFS=,; echo "$*")" --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$root" - >&2 ||
        die "cannot make a Debian with $*: see above; if the archive has newer headers, run scripts/kernel fetch for both kernels"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap
    : >"$root/etc/resolv.conf"
    # Without one systemd takes the boot for the first and asks its questions.
    echo 00000000000000000000000000000001 >"$root/etc/machine-id"
}

# The headers of the kernel that is installed later: the package itself, and one that stands for the
# image on which it depends, as scripts/vm boots it from outside.
add_later_headers() { # ROOT RELEASE
    local root=$1 package=linux-headers-$2 image=linux-image-$2 stub
    stub=$(mktemp -d)
    mkdir -p "$root/var/later"
    (cd "$root/var/later" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2) ||
        die "cannot fetch $package: see apt's message above"
    mkdir -p "$stub/DEBIAN"
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: nobody <nobody@localhost>\nDescription: stands for the kernel that the test boots\n' \
        "$image" "$(dpkg-deb -f "$root/var/later/$package"_*.deb Version)" >"$stub/DEBIAN/control"
    dpkg-deb -b "$stub" "$root/var/later/$image.deb" >/dev/null
    rm -rf "$stub"
}

# Prints a folder with that Debian; made once for each set of packages, some minutes, 1 GB.
debian_root() { # RELEASE LATER DEB...; kernel releases: headers now, headers to be installed later
    local release=$1 later=$2 store dir new packages
    shift 2
    store=$(cache_dir)/packages
    mapfile -t packages < <(depends_of "$@"; printf '%s\n' apt systemd-sysv kmod gcc make iproute2 curl jq \
        iputils-ping man-db "linux-headers-$release" "linux-headers-${later%-cloud-amd64}-common" \
        "linux-kbuild-${later%-cloud-amd64}" linux-base)
    dir=$store/$({ declare -f make_debian add_later_headers; printf '%s\n' "${packages[@]}" "$later"; } | sha256sum | cut -c1-12)
    mkdir -p "$store"
    exec {lock}>"$store/lock"
    flock $lock
    if [ ! -d "$dir" ]; then
        log "making a Debian with systemd, dkms and the headers of $release and $later"
        new=$(mktemp -d -p "$store" .new.XXXXXX)
        make_debian "$new/root" "${packages[@]}"
        add_later_headers "$new/root" "$later"
        mv -T "$new" "$dir"
    fi
    touch "$dir"
    find "$store" -mindepth 1 -maxdepth 1 -type d -mmin +1440 -exec rm -rf --one-file-system {} +
    exec {lock}>&-
    printf '%s\n' "$dir/root"
}

debian_of_tests() { # prints debian_root for the kernels of these tests and the packages of old_debs
    apt_install mmdebstrap e2fsprogs debian-archive-keyring
    debian_root "$(cat "$("$repo/scripts/kernel" path 6.1)/release")" \
        "$(cat "$("$repo/scripts/kernel" path 6.12)/release")" "${old_debs[@]}"
}
