# The demo service: one static binary, built on the host (see demo.sh).
FROM scratch
COPY checkout /checkout
USER 65534:65534
ENTRYPOINT ["/checkout"]
