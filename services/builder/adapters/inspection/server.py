"""Tries models in children of a warm process.

    python -m so1s_inspection.server CONTROL PLACE LIBRARIES MODULE…

Imports the modules once, from LIBRARIES, directories with colons between them; says so by a byte to the
socket of the file descriptor CONTROL, and serves until that ends, which is when the builder does. Without a
module nothing of LIBRARIES is known to this process: code of strangers is for its children alone.
CONTROL brings connections, sockets each, with one byte each. Each goes to a child: it reads a line of JSON,
answers its process id in a line, and runs a module's `main` with its output going to the connection.

PLACE is `sandbox` or `host`. In the sandbox a child encloses itself, and its process id means nothing to the
builder: it ends with its connection. On the host it has a bound on its memory and no other.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

Check = Callable[[], None]


def main(control: socket.socket, place: str, libraries: str, modules: list[str]) -> None:
    """Import, and serve."""
    _close_all_but(control.fileno())
    run = _on_host
    if place == "sandbox":
        importlib.import_module("so1s_inspection.enclosure").become_nobody()
        run = _in_sandbox
    os.environ["PYTHONPATH"] = libraries  # of processes that a model starts
    if modules:
        _know(libraries)
    for module in modules:
        importlib.import_module(module)
    gc.freeze()  # what a collection touches a child would have to copy
    control.send(b"\n")
    _silence()
    try:
        _accept(control, run)
    finally:
        shutil.rmtree(os.environ["HOME"], ignore_errors=True)


def _know(libraries: str) -> None:
    """Import from there before anything else, as a replica does."""
    sys.path[:0] = [path for path in libraries.split(":") if path not in sys.path]


def _close_all_but(control: int) -> None:
    """Close what an event loop let through: while it is open here, its other end waits for more."""
    os.closerange(3, control)
    os.closerange(control + 1, os.sysconf("SC_OPEN_MAX"))


def _silence() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _accept(control: socket.socket, run: Callable[[dict[str, Any], Check], None]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    while True:
        byte, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
        if not byte:
            return
        with socket.socket(fileno=descriptors[0]) as connection:
            if os.fork() == 0:
                control.close()  # so that the builder sees when the server is no more
                _serve(connection, run)


def _serve(connection: socket.socket, run: Callable[[dict[str, Any], Check], None]) -> None:
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
        run(request, partial(_check, request["module"], request["arguments"]))
    except BaseException:  # noqa: BLE001 - a child never goes back to the server's loop
        traceback.print_exc()
    finally:
        _flush()
        os._exit(0)


def _on_host(request: dict[str, Any], check: Check) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = request["limits"]["memory_bytes"]
    with contextlib.suppress(ValueError, OSError):  # a system without a limit on address space goes without
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    check()


def _in_sandbox(request: dict[str, Any], check: Check) -> None:
    enclosure = importlib.import_module("so1s_inspection.enclosure")
    enclosure.run(check, request["lent"], enclosure.Limits(**request["limits"]), sys.stdout.fileno())


def _check(module: str, arguments: list[str]) -> None:
    """Run a module's `main`; its words are out when this returns, and the builder need not wait for more."""
    try:
        _know(os.environ["PYTHONPATH"])
        importlib.import_module(module).main(arguments)
    except BaseException:  # noqa: BLE001 - whatever it is, it is the answer
        traceback.print_exc()
    finally:
        _flush()
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(1)) as connection:
            connection.shutdown(socket.SHUT_WR)


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3], sys.argv[4:])
