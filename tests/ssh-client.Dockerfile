# What `helm test` runs: sh and OpenSSH's ssh.
ARG ALPINE=alpine:3
FROM ${ALPINE}
RUN apk add --no-cache openssh-client
USER 65532:65532
