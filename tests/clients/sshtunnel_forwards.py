"""What sshtunnel forwards: several connections through one tunnel."""

import socket
import sys

import paramiko

# sshtunnel names it, and paramiko has it no more.
paramiko.DSSKey = paramiko.RSAKey
from sshtunnel import SSHTunnelForwarder  # noqa: E402

host, port, user, key, known, inside, there = sys.argv[1:]

line = next(line for line in open(known) if "ssh-ed25519" in line)
tunnel = SSHTunnelForwarder(
    (host, int(port)),
    ssh_username=user,
    ssh_pkey=paramiko.Ed25519Key.from_private_key_file(key),
    ssh_host_key=paramiko.hostkeys.HostKeyEntry.from_line(line).key,
    host_pkey_directories=[],
    ssh_config_file=None,
    allow_agent=False,
    remote_bind_address=(inside, int(there)),
)
with tunnel:
    for number in range(5):
        with socket.create_connection(("127.0.0.1", tunnel.local_bind_port)) as stream:
            # It forwards no half-close, so the answer must not wait for one.
            stream.sendall(b"GET /version HTTP/1.0\r\n\r\n")
            answer = b""
            while part := stream.recv(65536):
                answer += part
        assert answer.endswith(b"from the pod\n"), answer
