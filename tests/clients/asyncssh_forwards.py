"""What asyncssh opens on one connection: commands, a terminal, connections to and from the pod, and the agent."""

import asyncio
import sys

import asyncssh

from agent import agent

host, port, user, key, known, inside, there = sys.argv[1:]


async def asked(streams, text):
    reader, writer = streams
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def answer(reader, writer):
    """Gives a line back in capitals."""
    writer.write((await reader.readline()).upper())
    writer.close()


async def main(socket):
    options = {"client_keys": [key], "known_hosts": known}
    options |= {"agent_path": socket, "agent_forwarding": True}
    options |= {"port": int(port), "username": user, "config": []}
    async with asyncssh.connect(host, **options) as connection:
        done = await connection.run("cat; echo wrong >&2; exit 3", input="given\n")
        assert (done.stdout, done.stderr) == ("given\n", "wrong\n"), done
        assert done.exit_status == 3, done
        many = (connection.run(f"echo {number}") for number in range(8))
        for number, done in enumerate(await asyncio.gather(*many)):
            assert done.stdout == f"{number}\n", done
        done = await connection.run("stty size", term_type="xterm", term_size=(100, 30))
        assert "30 100" in done.stdout, done

        large = b"a" * 1_000_000
        streams = await connection.open_connection(inside, int(there))
        assert await asked(streams, large) == large.upper(), "a connection"
        listener = await connection.forward_local_port("127.0.0.1", 0, inside, int(there))
        streams = await asyncio.open_connection("127.0.0.1", listener.get_port())
        assert await asked(streams, b"hi") == b"HI", "a forward"
        try:
            await connection.open_connection("127.0.0.1", 1)
            raise SystemExit("a closed port is open")
        except asyncssh.ChannelOpenError as refused:
            assert refused.code == asyncssh.OPEN_CONNECT_FAILED, refused
            assert refused.reason == "connection refused", refused
        streams = await asyncio.open_connection("127.0.0.1", listener.get_port())
        assert await asked(streams, b"still") == b"STILL", "a forward after one that failed"

        here = await asyncio.start_server(answer, "127.0.0.1", 0)
        to = here.sockets[0].getsockname()[1]
        listener = await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", to)
        talk = f"exec 3<>/dev/tcp/127.0.0.1/{listener.get_port()} && echo from the pod >&3 && cat <&3"
        for _ in range(3):
            done = await connection.run(f"bash -c '{talk}'")
            assert done.stdout == "FROM THE POD\n", done
        listener.close()
        await listener.wait_closed()
        done = await connection.run(f"bash -c '{talk}'")
        assert done.exit_status != 0, done

        done = await connection.run("ssh-add -l")
        assert "ED25519" in done.stdout, done


with agent(key) as path:
    asyncio.run(main(path))
