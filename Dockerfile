# A static binary in an empty image, running as nobody.
#   docker build -t titan-download .
#   mkdir -p market-data
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/market-data:/data" titan-download --symbol R_100 --months 12 --no-progress
# The version is that of rust-toolchain.toml, or another one would be downloaded on top.
FROM rust:1.95.0-alpine AS build
# The components that the file asks for are not needed to build.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN apk add --no-cache musl-dev gcc make perl
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist && mkdir -p /out/data && cp target/dist/titan-download /out/

FROM scratch
COPY --from=build /out/titan-download /titan-download
# The working folder holds `data_cache`, `.env` and `titan.toml`. A named volume takes its owner from
# here; a folder of the host has to belong to 65534, or to whom `--user` names.
COPY --from=build --chown=65534:65534 /out/data /data
WORKDIR /data
USER 65534:65534
# Several containers of one machine share one request budget if they share this folder.
ENV TITAN_STATE_DIR=/data/.titan-state
ENTRYPOINT ["/titan-download"]
