"""An ssh-agent with one key, for as long as a script runs."""

import contextlib
import os
import subprocess
import tempfile
import time


@contextlib.contextmanager
def agent(key):
    """Its socket, which is in SSH_AUTH_SOCK, too."""
    with tempfile.TemporaryDirectory() as folder:
        socket = os.path.join(folder, "agent")
        command = ["ssh-agent", "-D", "-a", socket]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                os.environ["SSH_AUTH_SOCK"] = socket
                while not os.path.exists(socket):
                    time.sleep(0.05)
                subprocess.run(["ssh-add", "-q", key], check=True)
                yield socket
            finally:
                process.terminate()
