"""What paramiko opens on one connection: a command, a terminal, and connections in the pod."""

import sys

import paramiko

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
client.close()
