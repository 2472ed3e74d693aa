"""Sends one file to a pod and brings it back, by fabric."""

import os
import sys

from fabric import Connection
from paramiko import RejectPolicy

host, port, user, key, known, tree, there, back = sys.argv[1:]
connection = Connection(
    host, user=user, port=int(port), connect_kwargs={"key_filename": key}
)
connection.client.load_host_keys(known)
connection.client.set_missing_host_key_policy(RejectPolicy())
sftp = connection.sftp()
sftp.mkdir(there)
os.mkdir(back)
for name in os.listdir(tree):
    connection.put(os.path.join(tree, name), remote=f"{there}/{name}")
    connection.get(f"{there}/{name}", local=os.path.join(back, name))
connection.close()
