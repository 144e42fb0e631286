# A static binary in an empty image, running as nobody.
#   docker build -t titan-download .
#   docker run --rm -v "$PWD/data_cache:/data/data_cache" titan-download --symbol R_100 --months 12 --no-progress
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev gcc make perl
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist && mkdir -p /out/data && cp target/dist/titan-download /out/

FROM scratch
COPY --from=build /out/titan-download /titan-download
# The working folder holds `data_cache`, `.env` and `titan.toml`; mount a volume over it, owned by 65534.
COPY --from=build --chown=65534:65534 /out/data /data
WORKDIR /data
USER 65534:65534
# Several containers of one machine share one request budget if they share this folder.
ENV TITAN_STATE_DIR=/data/.titan-state
ENTRYPOINT ["/titan-download"]
