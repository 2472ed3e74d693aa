# The image of the node entry: three static programs and nothing else. From the repository's root:
#
#   docker build --file agent/node-entry.Dockerfile --build-arg COMMIT="$(git rev-parse HEAD)" \
#       --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" --tag podgate/node-entry:0.1.0 .
#
# The same commit and the same base image make the same programs: versions are those of Cargo.lock and
# rust-toolchain.toml, no path or time of the build is in them. Pin RUST to a digest, name@sha256:…, of
# an image with the toolchain of rust-toolchain.toml.
ARG RUST=rust:1.95.0-bookworm
FROM ${RUST} AS build
WORKDIR /podgate
COPY . .
ARG COMMIT
ARG SOURCE_DATE_EPOCH
# Static with glibc, not musl: the front's list of system calls is glibc's. The launcher and the worker must be
# static, since they run in images that have no libraries. A target that is named keeps RUSTFLAGS from build
# scripts and macros.
RUN PODGATE_COMMIT="${COMMIT:?--build-arg COMMIT is needed}" \
    SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:?--build-arg SOURCE_DATE_EPOCH is needed}" \
    RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols --remap-path-prefix=/podgate=. --remap-path-prefix=${CARGO_HOME}=cargo" \
    CFLAGS="-ffile-prefix-map=/podgate=. -ffile-prefix-map=${CARGO_HOME}=cargo" \
    cargo build --locked --release --target "$(rustc --print host-tuple)" --package podgate-node-entry --package podgate-worker \
    && cp "target/$(rustc --print host-tuple)/release/podgate-node-entry" /podgate-node-entry \
    && cp "target/$(rustc --print host-tuple)/release/podgate-launcher" /podgate-launcher \
    && cp "target/$(rustc --print host-tuple)/release/podgate-worker" /podgate-worker

FROM scratch
COPY --from=build /podgate-node-entry /podgate-node-entry
COPY --from=build /podgate-launcher /podgate-launcher
COPY --from=build /podgate-worker /podgate-worker
# Root with all capabilities: what it starts has no more than it has itself.
USER 0:0
ENTRYPOINT ["/podgate-node-entry"]
