"""Runs on an image's own libraries, never inside the builder: tries models in children of a warm process.

    python inspection_server.py CONTROL MODULE…

Imports `so1s_runtime.check` and the modules once, returns when it serves, and goes on in the background until
the socket of the file descriptor CONTROL ends, which is when the builder does; then it removes its HOME.
CONTROL brings connections, sockets each, with one byte each. Each goes to a child: it reads a line of JSON,
`{"memory_bytes": …, "arguments": […]}`, answers its process id in a line, and runs the check with its output
going to the connection.

Uses the standard library alone, since the builder's packages are not here.
"""

import contextlib
import importlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import traceback
from typing import Any


def main(control: socket.socket, modules: list[str]) -> None:
    """Import, and serve in the background."""
    _close_all_but(control.fileno())
    for module in ("so1s_runtime.check", *modules):
        importlib.import_module(module)
    if os.fork() == 0:
        try:
            _leave_terminal()
            _accept(control)
        finally:
            shutil.rmtree(os.environ["HOME"], ignore_errors=True)
            os._exit(0)


def _close_all_but(control: int) -> None:
    """Close what an event loop let through: while it is open here, its other end waits for more."""
    os.closerange(3, control)
    os.closerange(control + 1, os.sysconf("SC_OPEN_MAX"))


def _leave_terminal() -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


def _accept(control: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    while True:
        byte, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
        if not byte:
            return
        with socket.socket(fileno=descriptors[0]) as connection:
            if os.fork() == 0:
                control.close()  # so that the builder sees when the server is no more
                _serve(connection)


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
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
