"""Runs on an image's own libraries, never inside the builder: tries models in children of a warm process.

    python inspection_server.py SOCKET LIFELINE MODULE…

Imports `so1s_runtime.check` and the modules once, returns when it listens, and serves in the background until
the file descriptor LIFELINE ends, which is when the builder does; then it removes the directory of SOCKET.
Each connection goes to a child: it reads a line of JSON, `{"memory_bytes": …, "arguments": […]}`, answers its
process id in a line, and runs the check with its output going to the connection.

Uses the standard library alone, since the builder's packages are not here.
"""

import contextlib
import importlib
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any


def main(path: str, lifeline: int, modules: list[str]) -> None:
    """Import, listen, and go on in the background."""
    _close_all_but(lifeline)
    for module in ("so1s_runtime.check", *modules):
        importlib.import_module(module)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        if os.fork() == 0:
            try:
                _leave_terminal()
                _accept(listening, lifeline)
            finally:
                shutil.rmtree(Path(path).parent, ignore_errors=True)
                os._exit(0)


def _close_all_but(lifeline: int) -> None:
    """Close what an event loop let through: while it is open here, its other end waits for more."""
    os.closerange(3, lifeline)
    os.closerange(lifeline + 1, os.sysconf("SC_OPEN_MAX"))


def _leave_terminal() -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


def _accept(listening: socket.socket, lifeline: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(lifeline, selectors.EVENT_READ)
        while all(key.fileobj is listening for key, _ in selector.select()):
            connection, _ = listening.accept()
            if os.fork() == 0:
                _serve(connection)
            connection.close()


def _serve(connection: socket.socket) -> None:
    """Run one check as a child, and end."""
    try:
        os.setsid()  # so that it can be killed together with its own children
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with connection.makefile("rb") as lines:
            request = json.loads(lines.readline())
        for descriptor in (1, 2):
            os.dup2(connection.fileno(), descriptor)
        connection.close()
        print(os.getpid(), flush=True)  # noqa: T201 - the builder reads it
        _check(request)
    except BaseException:  # noqa: BLE001 - a child never goes back to the server's loop
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(0)


def _check(request: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(
        ValueError, OSError
    ):  # a system without a limit on address space goes without it
        resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"], request["memory_bytes"]))
    importlib.import_module("so1s_runtime.check").main(request["arguments"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
