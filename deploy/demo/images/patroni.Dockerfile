# Patroni with PostgreSQL 15, from Debian's packages alone.
FROM debian:bookworm-slim
# The uid is fixed so that pod specs can name it; Debian's package must not make a cluster of its own.
RUN groupadd -r -g 999 postgres && useradd -r -u 999 -g postgres -d /var/lib/postgresql -s /bin/bash postgres \
 && apt-get update \
 && mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      postgresql-15 patroni python3-kubernetes curl procps \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /usr/share/doc /usr/share/man /usr/share/locale
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin PATRONICTL_CONFIG_FILE=/etc/patroni
USER 999:999
ENTRYPOINT ["patroni", "/etc/patroni"]
