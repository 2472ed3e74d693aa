"""What paramiko opens on one connection: a command, a terminal, connections to and from the pod, and the agent."""

import sys
import threading

import paramiko
from paramiko.agent import AgentRequestHandler

from agent import agent

host, port, user, key, known, inside, there = sys.argv[1:]


def all_of(channel):
    """All that comes, up to the end."""
    text = b""
    while part := channel.recv(65536):
        text += part
    return text


client = paramiko.SSHClient()
client.load_host_keys(known)
client.connect(
    host, int(port), user, key_filename=key, allow_agent=False, look_for_keys=False
)

stdin, stdout, stderr = client.exec_command("cat; echo wrong >&2; exit 3")
stdin.write("given\n")
stdin.channel.shutdown_write()
assert stdout.read() == b"given\n", "stdout"
assert stderr.read() == b"wrong\n", "stderr"
assert stdout.channel.recv_exit_status() == 3, "the status"

shell = client.invoke_shell(term="xterm", width=100, height=30)
shell.send("stty size; exit 4\n")
assert b"30 100" in all_of(shell), "the size"
assert shell.recv_exit_status() == 4, "the shell's status"

transport = client.get_transport()


def asked(text):
    address = (inside, int(there))
    channel = transport.open_channel("direct-tcpip", address, ("127.0.0.1", 0))
    channel.sendall(text)
    channel.shutdown_write()
    answer = all_of(channel)
    channel.close()
    return answer


large = b"a" * 1_000_000
assert asked(large) == large.upper(), "a forward"
try:
    transport.open_channel("direct-tcpip", ("127.0.0.1", 1), ("127.0.0.1", 0))
    raise SystemExit("a closed port is open")
except paramiko.ChannelException as refused:
    assert refused.code == 2, refused
assert asked(b"still works") == b"STILL WORKS", "a forward after those that failed"


def answer(channel):
    """Gives a line back in capitals."""
    with channel, channel.makefile("rw") as stream:
        stream.write(stream.readline().upper())


def came(channel, _origin, _server):
    threading.Thread(target=answer, args=[channel]).start()


def in_the_pod(port):
    """What a line to a port of the pod is answered with."""
    talk = f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo from the pod >&3 && cat <&3"
    return client.exec_command(f"bash -c '{talk}'")[1].read()


bound = transport.request_port_forward("127.0.0.1", 0, came)
for _ in range(3):
    assert in_the_pod(bound) == b"FROM THE POD\n", "a connection from the pod"
transport.cancel_port_forward("127.0.0.1", bound)
assert in_the_pod(bound) == b"", "a port that is cancelled"

with agent(key):
    session = transport.open_session()
    forwarded = AgentRequestHandler(session)
    session.exec_command("ssh-add -l")
    listed = all_of(session)
    assert b"ED25519" in listed, listed
    assert session.recv_exit_status() == 0, "the status of ssh-add"
    forwarded.close()
client.close()
