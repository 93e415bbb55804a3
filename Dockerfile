# syntax=docker/dockerfile:1
# The one image of controller, agent, engine, driver and command line: docker build -t litepool:dev .
# tools/image-check runs these steps in chroots, without a container engine.
FROM debian:trixie-slim AS build
WORKDIR /src
COPY . .
RUN tools/deps build && apt-get install -qy --no-install-recommends binutils dpkg-dev > /dev/null
RUN tools/package build-deb

FROM debian:trixie-slim
COPY --from=build /src/build-deb/litepool_*.deb /tmp/
# What litepool-csi and litepool-agent run: mkfs, resize and mount for each file system, and LVM.
RUN apt-get update -q > /dev/null && \
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        /tmp/litepool_*.deb e2fsprogs xfsprogs btrfs-progs util-linux mount lvm2 && \
    rm -rf /tmp/litepool_*.deb /var/lib/apt/lists/*
# Each container says which program it is: deploy/base.
CMD ["litepool", "--version"]
