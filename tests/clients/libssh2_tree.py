"""Sends a tree to a pod and brings it back, by libssh2 (of the package parallel-ssh). Links are left out:
it has no way to read one."""

import os
import socket
import stat
import sys

from ssh2.session import Session
from ssh2.sftp import (
    LIBSSH2_FXF_CREAT,
    LIBSSH2_FXF_READ,
    LIBSSH2_FXF_WRITE,
)

host, port, user, key, known, tree, there, back = sys.argv[1:]


def up(sftp, local, remote):
    sftp.mkdir(remote, 0o755)
    for entry in os.scandir(local):
        to = remote + b"/" + entry.name
        if entry.is_dir():
            up(sftp, entry.path, to)
            continue
        flags = LIBSSH2_FXF_CREAT | LIBSSH2_FXF_WRITE
        with open(entry.path, "rb") as file, sftp.open(to, flags, 0o644) as out:
            while chunk := file.read(1 << 20):
                out.write(chunk)


def down(sftp, remote, local):
    os.mkdir(local)
    with sftp.opendir(remote) as folder:
        found = [(name, attributes.permissions) for _, name, attributes in folder.readdir()]
    for name, mode in found:
        if name in (b".", b".."):
            continue
        from_, to = remote + b"/" + name, os.path.join(local, name)
        if stat.S_ISDIR(mode):
            down(sftp, from_, to)
            continue
        with sftp.open(from_, LIBSSH2_FXF_READ, 0) as file, open(to, "wb") as out:
            for _, chunk in file:
                out.write(chunk)


sock = socket.create_connection((host, int(port)))
session = Session()
session.handshake(sock)
session.userauth_publickey_fromfile(user, key)
sftp = session.sftp_init()
up(sftp, os.fsencode(tree), os.fsencode(there))
down(sftp, os.fsencode(there), os.fsencode(back))
session.disconnect()
