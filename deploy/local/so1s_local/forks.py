"""Where services are forked from: one process that has imported what all of them need.

Imports are most of a service's start; seven services on two cores would spend ten seconds on the same
modules. `python -m so1s_local.forks` imports them once and then, for each request that comes with a
pipe for the output, forks a process that becomes `python -m MODULE`. It runs nothing else, and ends
once nobody can ask any more.

A request is JSON on its standard input, a socket: `{"module", "arguments", "environment"}`; the next
may come once it is answered. It answers with lines of JSON on its standard output: `{"pid"}` to a
request, and `{"pid", "code"}` of a process that ended, with a negative code where a signal ended it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

from setproctitle import setproctitle

SHARED = ["so1s.service", "so1s.store.migrations", "so1s.supply_chain.access", "httpx", "aiosqlite"]
"""What most services import. None of it starts a thread, as numpy does, which would not survive a fork."""
LONGEST_REQUEST = 1 << 16


@dataclass(frozen=True)
class Request:
    """What a process shall become, and the pipe that takes what it prints."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    output: int


def main() -> None:
    """Serve; in a process that was forked, become what was asked for."""
    for name in SHARED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection would write to what processes share, and so copy it
    requests = socket.socket(fileno=sys.stdin.fileno())
    forked = _serve(requests)
    if forked:
        requests.detach()
        _become(forked)


def _serve(requests: socket.socket) -> Request | None:
    """Fork for each request: returns it in the new process, and None in this one at its end."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    while True:
        readable, _, _ = select.select([requests, wake], [], [])
        if wake in readable:
            os.read(wake, 1024)
            _tell_who_ended()
        if requests in readable:
            request = _receive(requests)
            if request is None:
                return None
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(wake)
                os.close(woken)
                return request
            os.close(request.output)
            _tell({"pid": pid})


def _receive(requests: socket.socket) -> Request | None:
    told, outputs, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 1)
    return Request(**json.loads(told), output=outputs[0]) if told else None


def _tell_who_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell({"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(said: dict[str, Any]) -> None:
    os.write(sys.stdout.fileno(), json.dumps(said).encode() + b"\n")


def _become(request: Request) -> None:
    """Run the module, as an interpreter would that was started for it."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((nothing, 0), (request.output, 1), (request.output, 2)):
        os.dup2(ours, standard)
    os.close(nothing)
    os.close(request.output)
    os.environ.update(request.environment)
    sys.argv = [request.module, *request.arguments]
    setproctitle(" ".join([sys.executable, "-m", *sys.argv]))
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
