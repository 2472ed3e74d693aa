"""Sends a tree to a pod and brings it back, by libssh (of the package parallel-ssh)."""

import os
import stat
import sys

from ssh import options
from ssh.key import import_privkey_file
from ssh.session import Session

host, port, user, key, known, tree, there, back = sys.argv[1:]


def up(sftp, local, remote):
    sftp.mkdir(remote, 0o755)
    for entry in os.scandir(local):
        to = remote + "/" + entry.name
        if entry.is_symlink():
            sftp.symlink(os.readlink(entry.path), to)
        elif entry.is_dir():
            up(sftp, entry.path, to)
        else:
            flags = os.O_WRONLY | os.O_CREAT
            with open(entry.path, "rb") as file, sftp.open(to, flags, 0o644) as out:
                while chunk := file.read(1 << 15):
                    out.write(chunk)


def down(sftp, remote, local):
    os.mkdir(local)
    with sftp.opendir(remote) as folder:
        found = [(entry.name.decode(), entry.permissions) for entry in folder]
    for name, mode in found:
        if name in (".", ".."):
            continue
        from_, to = remote + "/" + name, os.path.join(local, name)
        if stat.S_ISLNK(mode):
            os.symlink(sftp.readlink(from_), to)
        elif stat.S_ISDIR(mode):
            down(sftp, from_, to)
        else:
            with sftp.open(from_, os.O_RDONLY, 0) as file, open(to, "wb") as out:
                for _, chunk in file:
                    out.write(chunk)


session = Session()
session.options_set(options.HOST, host)
session.options_set(options.USER, user)
session.options_set(options.KNOWNHOSTS, known)
session.options_set_port(int(port))
session.connect()
session.is_server_known()
session.userauth_publickey(import_privkey_file(key))
sftp = session.sftp_new()
sftp.init()
up(sftp, tree, there)
down(sftp, there, back)
session.disconnect()
