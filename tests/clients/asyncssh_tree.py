"""Sends a tree to a pod and brings it back, by asyncssh's own recursive copies."""

import asyncio
import os
import sys

import asyncssh

host, port, user, key, known, tree, there, back = sys.argv[1:]


async def main():
    async with asyncssh.connect(
        host,
        port=int(port),
        username=user,
        client_keys=[key],
        known_hosts=known,
        agent_path=None,
        config=None,
    ) as connection, connection.start_sftp_client() as sftp:
        await sftp.put(os.fsencode(tree), os.fsencode(there), recurse=True)
        await sftp.get(os.fsencode(there), os.fsencode(back), recurse=True)


asyncio.run(main())
