# What `helm test` runs: sh and OpenSSH's ssh.
ARG ALPINE=alpine:3
FROM ${ALPINE}
# ssh asks passwd for its user, and ends without one.
RUN apk add --no-cache openssh-client && adduser -D -H -u 65532 podgate
USER 65532:65532
