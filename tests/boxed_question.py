"""What runs within a box, on its Python alone: starts a server, asks it once it is ready, and ends it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

PLACES = ("/", "/opt/so1s", "/opt/so1s/model", "/opt/so1s/runtime", "/usr", "/tmp")


def main(said, *command):
    """Print the answer, the exit code, what the server took until then, and what could be done here."""
    question = json.loads(said)
    address = f"http://127.0.0.1:{question['port']}"
    server = subprocess.Popen(command)
    wait(server, f"{address}/v2/health/ready", question["seconds"])
    body = json.dumps(question["body"]).encode()
    with urllib.request.urlopen(address + question["path"], body) as answer:
        told = json.load(answer)
    used = processor_seconds(server.pid)
    server.terminate()
    seen = {
        "answer": told,
        "code": server.wait(),
        "processor_seconds": used,
        "user": os.getuid(),
        "writable": [place for place in PLACES if os.access(place, os.W_OK)],
        "interfaces": [name for _, name in socket.if_nameindex()],
    }
    print(json.dumps(seen))  # noqa: T201 - read by whoever made the box


def processor_seconds(process):
    """What it has used so far, https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html."""
    with open(f"/proc/{process}/stat") as file:  # noqa: PTH123 - as little as can be is imported here
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def wait(server, url, seconds):
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.02)


main(*sys.argv[1:])
