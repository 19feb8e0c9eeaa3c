# Two images from one build, docs/kubernetes.md:
#
#   exporter   serves the metrics: no shell, no compiler, no user but its own
#   init       loads program and module on a node, and builds the module where none fits; then ends
#
#   docker build --target exporter -t nfbpf-exporter . && docker build --target init -t nfbpf-init .
#
# Packages come from where the base images' own apt is set up to look.

# The oldest Debian that has all libraries. The programs bring theirs along, so it is no matter to
# who runs them.
ARG BUILD_BASE=debian:bookworm
# As new as can be: the node's own kbuild programs run in it, and want a C library as new as theirs.
ARG INIT_BASE=debian:trixie

FROM ${BUILD_BASE} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY scripts/packages /src/scripts/packages
# Empty, or ccache for who mounts a /root/.cache that stays.
ARG COMPILER_LAUNCHER=
RUN . /src/scripts/packages \
    && apt-get -qq update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends \
        install make $COMPILER_LAUNCHER "${packages_build[@]}" >/dev/null
WORKDIR /src
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY config config
COPY kmod kmod
COPY bpf bpf
COPY exporter exporter
ARG REVISION=unknown
# Without Python it makes no manual pages.
RUN cmake -G Ninja -B /build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DNFBPF_TESTS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_Python3=ON -DNFBPF_REVISION="$REVISION" \
        -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_C_COMPILER_LAUNCHER=$COMPILER_LAUNCHER -DCMAKE_CXX_COMPILER_LAUNCHER=$COMPILER_LAUNCHER >/dev/null \
    && CCACHE_NOHASHDIR=1 CCACHE_COMPILERCHECK=content ninja -C /build
COPY deploy/image deploy/image
RUN deploy/image/assemble /build /image

FROM scratch AS exporter
COPY --from=build /image/exporter/ /
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nfbpf_exporter" \
      org.opencontainers.image.description="Exact network traffic counters for Prometheus: the half that needs no privilege" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# deploy/image/assemble names them; the pins belong to this group.
USER 9987:9987
EXPOSE 9987
ENTRYPOINT ["/usr/bin/nfbpf_exporter"]
CMD ["--config.file=/etc/nfbpf/nfbpf_exporter.yaml"]
# Give it the flags of CMD where those say where to listen.
HEALTHCHECK --interval=30s --timeout=6s CMD ["/usr/bin/nfbpf_exporter", "--health-check", "--config.file=/etc/nfbpf/nfbpf_exporter.yaml"]

FROM ${INIT_BASE} AS init
# The compilers of the kernels that are about; the node's own headers say which one is asked for.
RUN apt-get -qq update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends \
        install gcc gcc-12 gcc-13 kmod libc6-dev libelf1t64 libssl3t64 make mount >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
COPY --from=build /image/init/ /
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nfbpf-init" \
      org.opencontainers.image.description="Loads nfbpf's program and module on a node, and ends" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["/usr/sbin/nfbpf-init"]
CMD ["attach"]
