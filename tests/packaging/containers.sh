# shellcheck shell=bash
# For the tests beside it and tests/vm/kube: base images, builds, a kubectl. Run by bash under
# `set -euo pipefail`, with $repo set.
: "${repo:?}"
# shellcheck source=scripts/lib.sh
. "$repo/scripts/lib.sh"

store=$(cache_dir)/images
containers() { buildah --root "$store/containers" --runroot /run/nfbpf-test-containers "$@"; }

# One at a time: builds share what is stored.
lock_images() {
    mkdir -p "$store"
    exec {images_lock}>"$store/lock"
    flock -n $images_lock || { log "waiting for another run that builds images"; flock $images_lock; }
}

# mmdebstrap with what every use of it here wants.
debian() { # SUITE TARGET OPTION...
    local suite=$1 target=$2
    shift 2
    debian_sources "$suite" | mmdebstrap --quiet --mode=root --architectures=amd64 --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$@" "$suite" "$target" - >&2 ||
        die "cannot make a Debian $suite: see mmdebstrap's message above; is the package mirror reachable?"
}

# What docker.io has under this name cannot be fetched here; made of the same packages, once a week.
base_image() { # SUITE
    local suite=$1 name=docker.io/library/debian:$1 container tree
    [ -z "$(find "$store/base-$suite" -mtime -7 2>/dev/null)" ] ||
        ! containers inspect --type image "$name" >/dev/null 2>&1 || return 0
    log "making the base image $name"
    tree=$(mktemp -d -p "$store" .base.XXXXXX)
    debian "$suite" "$tree/root.tar" --variant=minbase --include=ca-certificates
    container=$(containers from scratch)
    containers add --quiet "$container" "$tree/root.tar" / >/dev/null
    containers config --cmd bash "$container"
    containers commit --quiet --rm "$container" "$name" >/dev/null
    rm -rf "$tree"
    touch "$store/base-$suite"
}

# localhost/nfbpf-exporter and localhost/nfbpf-init, as the Dockerfile says. chroot isolation: the
# builder needs no runtime, and only this machine's own network. No REVISION, or each commit would
# compile anew. NFBPF_KEEP_IMAGES=yes takes those of the last build, for who works on what comes after.
build_images() { # TAG
    local target
    apt_install buildah mmdebstrap debian-archive-keyring
    lock_images
    [ "${NFBPF_KEEP_IMAGES:-}" != yes ] || return 0
    mkdir -p "$store/cache"
    base_image bookworm
    base_image trixie
    for target in exporter init; do
        log "building the image nfbpf-$target"
        containers build --quiet --layers --isolation chroot --format docker --target "$target" \
            --volume "$store/cache:/root/.cache" --build-arg COMPILER_LAUNCHER=ccache \
            --tag "localhost/nfbpf-$target:$1" "$repo" >&2 ||
            die "the image nfbpf-$target cannot be built: see above"
    done
}

image_archive() { # IMAGE FILE, as `podman load` takes it
    rm -f "$2"
    containers push --quiet "$1" "docker-archive:$2:$1" >&2
}

# Debian 12's own kustomize is of 2019 and knows no patches: a newer one from the next release.
kubectl_path() {
    local dir=$store/kubectl
    if [ ! -x "$dir/usr/bin/kubectl" ]; then
        apt_install mmdebstrap debian-archive-keyring
        mkdir -p "$store"
        rm -rf "$dir" "$dir.new"
        debian trixie "$dir.new" --variant=extract --include=kubernetes-client
        mv "$dir.new" "$dir"
    fi
    printf '%s\n' "$dir/usr/bin/kubectl"
}

# Every folder of deploy/kubernetes that an operator applies, as FOLDER/NAME.yaml. A warning is an error.
kustomize_all() { # FOLDER
    local kubectl name
    kubectl=$(kubectl_path)
    for name in base overlays/kmod overlays/netfilter-link overlays/prometheus-operator uninstall; do
        "$kubectl" kustomize "$repo/deploy/kubernetes/$name" >"$1/${name##*/}.yaml" 2>"$1/words" ||
            die "kubectl kustomize deploy/kubernetes/$name: $(cat "$1/words")"
        [ ! -s "$1/words" ] || die "kubectl kustomize deploy/kubernetes/$name warns: $(cat "$1/words")"
    done
    rm "$1/words"
}
