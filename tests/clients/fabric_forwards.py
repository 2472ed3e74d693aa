"""What fabric runs and forwards."""

import socket
import sys
import time

import paramiko
from fabric import Config, Connection

host, port, user, key, known, inside, there = sys.argv[1:]

config = Config(overrides={"load_ssh_configs": False})
options = {"key_filename": key, "allow_agent": False, "look_for_keys": False}
connection = Connection(host, user, int(port), config=config, connect_kwargs=options)
connection.client.load_host_keys(known)
connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
done = connection.run("echo out; exit 3", hide=True, warn=True)
assert (done.stdout, done.exited) == ("out\n", 3), done
done = connection.run("stty size", hide=True, pty=True)
assert done.exited == 0, done

with socket.create_server(("127.0.0.1", 0)) as free:
    local = free.getsockname()[1]


def connected():
    """The tunnel listens a moment later, in a thread of its own."""
    for _ in range(1000):
        try:
            return socket.create_connection(("127.0.0.1", local))
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise SystemExit("nothing listens")


with connection.forward_local(local, int(there), inside):
    with connected() as stream:
        # It forwards no half-close, so the answer must not wait for one.
        stream.sendall(b"GET /version HTTP/1.0\r\n\r\n")
        answer = b""
        while part := stream.recv(65536):
            answer += part
assert answer.endswith(b"from the pod\n"), answer
connection.close()
