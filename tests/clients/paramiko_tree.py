"""Sends a tree to a pod and brings it back, by paramiko's SFTP client."""

import os
import stat
import sys

import paramiko

host, port, user, key, known, tree, there, back = sys.argv[1:]


def up(sftp, local, remote):
    sftp.mkdir(remote)
    for entry in os.scandir(local):
        to = remote + b"/" + entry.name
        if entry.is_symlink():
            sftp.symlink(os.readlink(entry.path), to)
        elif entry.is_dir():
            up(sftp, entry.path, to)
        else:
            sftp.put(entry.path, to)


def down(sftp, remote, local):
    os.mkdir(local)
    for found in sftp.listdir_attr(remote):
        name = os.fsencode(found.filename)
        from_, to = remote + b"/" + name, os.path.join(local, name)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.fsencode(sftp.readlink(from_)), to)
        elif stat.S_ISDIR(found.st_mode):
            down(sftp, from_, to)
        else:
            sftp.get(from_, to)


client = paramiko.SSHClient()
client.load_host_keys(known)
client.connect(
    host, int(port), user, key_filename=key, allow_agent=False, look_for_keys=False
)
sftp = client.open_sftp()
up(sftp, os.fsencode(tree), os.fsencode(there))
down(sftp, os.fsencode(there), os.fsencode(back))
sftp.posix_rename(f"{there}/plain", f"{there}/empty")
assert sftp.stat(f"{there}/empty").st_size == 5, "the renamed file"
sftp.truncate(f"{there}/empty", 3)
assert sftp.stat(f"{there}/empty").st_size == 3, "the cut file"
try:
    sftp.stat(f"{there}/plain")
    raise SystemExit("a file that is gone is there")
except FileNotFoundError:
    pass
client.close()
