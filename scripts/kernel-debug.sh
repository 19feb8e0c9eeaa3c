# shellcheck shell=bash disable=SC2154,SC2034 # the variables are of scripts/kernel
# Sourced by scripts/kernel, whose variables and functions it uses: the rows NAME-debug, which are
# built here from Debian's source package instead of fetched. 10 to 20 minutes on two CPUs.
debug_config=$repo/tests/vm/debug.config
debug_chroot_packages='gcc,flex,bison,bc,libelf-dev,perl'

is_debug() { [[ $kernel == *-debug ]]; }

debug_config_checksum() { sha256sum <"$debug_config" | cut -c1-12; }

# Another configuration is another kernel: an old one must not be taken for it.
debug_entry_is_stale() {
    is_debug && [[ $(readlink "$store/current") != *_"$(debug_config_checksum)"_* ]]
}

resolve_newest_source() {
    source_package=$image_meta
    headers=()
    chroot_packages+=,$debug_chroot_packages
    version=$(package_field "$source_package" Version)
    [ -n "$version" ] ||
        die "suite $suite has no $source_package for kernel $kernel: has it moved on? change the row in scripts/kernel"
    mapfile -t includes < <(toolchain_packages)
    key=${version}_$(debug_config_checksum)_$(printf '%s\n' "${includes[@]}" | cksum | cut -d' ' -f1)
}

unpack_source() { # ROOT; the tree becomes ROOT/build/linux
    local files=$1/build/package
    mkdir -p "$files" "$1/build/linux"
    extract_packages "$files" "$source_package"
    tar -x -f "$files/usr/src/$source_package.tar.xz" -C "$1/build/linux" --strip-components=1
    rm -rf "$files"
}

in_source() { # ROOT COMMAND...; others work on this machine, too
    local root=$1
    shift
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C \
        nice -n 19 "$@" -C /build/linux LOCALVERSION=-debug
}

# Kconfig drops what it does not know or what lacks a dependency, and says nothing.
configure_source() { # ROOT
    local missing
    cp "$debug_config" "$1/build/debug.config"
    in_source "$1" make -s KCONFIG_ALLCONFIG=/build/debug.config allnoconfig >&2
    missing=$(grep '^CONFIG_' "$debug_config" | grep -vxFf "$1/build/linux/.config" | xargs) || true
    [ -z "$missing" ] ||
        die "kernel $kernel ($version) does not take $missing: a name or a dependency changed, correct $debug_config"
}

compile_source() { # ROOT
    local logfile=$store/build.log
    log "compiling kernel $kernel ($version): 10 to 20 minutes on two CPUs, see $logfile"
    if ! in_source "$1" make -j"$(nproc)" bzImage modules >"$logfile" 2>&1; then
        tail -30 "$logfile" >&2
        die "kernel $kernel ($version) does not build: the compiler's last words are above, all are in $logfile"
    fi
}

install_source() { # ENTRY
    local entry=$1 tree=$1/root/build/linux
    in_source "$entry/root" make -s kernelrelease >"$entry/release"
    release=$(cat "$entry/release")
    in_source "$entry/root" make -s INSTALL_MOD_PATH=/build/installed modules_install >&2
    mv "$entry/root/build/installed/lib" "$entry/lib"
    # Links to a tree that is going to move.
    rm -f "$entry/lib/modules/$release"/{build,source}
    cp "$tree/.config" "$entry/config"
    mv "$tree/arch/x86/boot/bzImage" "$entry/vmlinuz"
    depmod -b "$entry" "$release"
}

# What a build of other modules reads, of several GB: about what Debian's headers hold.
keep_headers() { # ROOT
    local tree=$1/build/linux
    find "$tree" -mindepth 1 -maxdepth 1 ! -name Makefile ! -name Kbuild ! -name .config ! -name Module.symvers \
        ! -name scripts ! -name include ! -name arch ! -name tools -exec rm -rf {} +
    find "$tree/arch" -mindepth 1 -maxdepth 1 ! -name x86 -exec rm -rf {} +
    find "$tree/tools" -type f ! -path "$tree/tools/objtool/objtool" -delete
    find "$tree" -type f \( -name '*.o' -o -name '*.cmd' -o -name '*.a' \) ! -path "$tree/scripts/*" -delete
    mkdir -p "$1/usr/src"
    mv "$tree" "$1/usr/src/linux-headers-$release"
    rm -rf "$1/build"
}

make_debug_entry() {
    local entry=$store/.new-entry
    log "building kernel $kernel from $source_package $version of $suite"
    mkdir "$entry"
    make_chroot "$entry/root" || die "mmdebstrap failed for suite $suite: see its message above"
    unpack_source "$entry/root"
    configure_source "$entry/root"
    compile_source "$entry/root"
    install_source "$entry"
    keep_headers "$entry/root"
    mv "$entry" "$store/$key"
}
