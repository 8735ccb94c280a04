# An image of commitrelay: docs/INSTALL.md, Image. BASE is a Debian 12; of the second stage only its libc and shell are used.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY . .
RUN tools/setup package && tools/package tarball --to /out && tar --zstd -xf /out/*.tar.zst -C /out && mv /out/*/ /out/commitrelay

FROM ${BASE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/commitrelay /opt/commitrelay
ENV PATH=/opt/commitrelay/bin:/usr/bin:/bin STATE_DIRECTORY=/var/lib/commitrelay SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN install -d -o 10001 -g 10001 /var/lib/commitrelay
VOLUME /var/lib/commitrelay
USER 10001:10001
# 1 is "degraded": nothing that a new container mends.
HEALTHCHECK --interval=30s --start-period=30s CMD ["sh", "-c", "commitrelay status --exit-code || [ $? = 1 ]"]
ENTRYPOINT ["commitrelay"]
CMD ["run", "-c", "/etc/commitrelay/relay.yaml"]
