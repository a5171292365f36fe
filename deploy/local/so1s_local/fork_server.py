"""Where services are forked from: one process that has imported what all of them need.

Imports are most of a service's start; seven services on two cores would spend ten seconds on the same
modules. `python -m so1s_local.fork_server` imports them once and then, for each request that comes with
a pipe for the output, forks a process that becomes `python -m MODULE`. It runs nothing else. Once
nobody can ask any more, it ends with SIGTERM what it forked, and then itself.

A request is JSON on its standard input, a socket: `{"module", "arguments", "environment"}`, up to
`LONGEST_REQUEST` bytes; the next may come once it is answered. It answers with lines of JSON on its
standard output: `{"pid"}` or `{"error"}` to a request, and `{"pid", "code"}` of a process that ended,
with a negative code where a signal ended it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import Any

from setproctitle import getproctitle, setproctitle

SHARED = ["so1s.service", "so1s.store.migrations", "so1s.supply_chain.access", "httpx", "aiosqlite"]
"""What most services import. None of it starts a thread, as numpy does, which would not survive a fork."""
LONGEST_REQUEST = 32_000
"""Linux hands on a longer one in pieces, and the pipe with one of them."""
_INPUT, _OUTPUT, _ERRORS = 0, 1, 2


@dataclass(frozen=True)
class Request:
    """What a process shall become, and the pipe that takes what it prints."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    output: int


@dataclass
class Server:
    """Forks for each request."""

    requests: socket.socket
    answers: int
    """A descriptor."""
    running: set[int] = field(default_factory=set)

    def serve(self) -> Request | None:
        """Returns the request in each new process, and None in this one at its end."""
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken)
        while True:
            readable, _, _ = select.select([self.requests, wake], [], [])
            if wake in readable:
                os.read(wake, 1024)
                self._tell_who_ended()
            if self.requests in readable:
                request = self._receive()
                if request is None:
                    return self._end()
                if self._fork(request) == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for descriptor in (wake, woken, self.answers):
                        os.close(descriptor)
                    self.requests.detach()  # its descriptor becomes the process' own standard input
                    return request

    def _fork(self, request: Request) -> int | None:
        try:
            pid = os.fork()
        except OSError as error:  # such as too many processes
            self._tell({"error": str(error)})
            pid = None
        if pid != 0:
            os.close(request.output)
        if pid:
            self.running.add(pid)
            self._tell({"pid": pid})
        return pid

    def _receive(self) -> Request | None:
        told, outputs, _, _ = socket.recv_fds(self.requests, LONGEST_REQUEST, 1)
        return Request(**json.loads(told), output=outputs[0]) if told else None

    def _tell_who_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.running.discard(pid)
            self._tell({"pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, said: dict[str, Any]) -> None:
        with contextlib.suppress(
            BrokenPipeError
        ):  # who listened is gone, as the next request's absence will tell
            os.write(self.answers, json.dumps(said).encode() + b"\n")

    def _end(self) -> None:
        for pid in self.running:
            os.kill(pid, signal.SIGTERM)


def main() -> None:
    """Serve; in a process that was forked, become what was asked for."""
    answers = os.dup(_OUTPUT)
    os.dup2(_ERRORS, _OUTPUT)  # whatever a library prints is no answer
    for name in SHARED:
        importlib.import_module(name)
    getproctitle()  # it looks for where titles are, which it finds before the environment is changed alone
    gc.collect()
    gc.freeze()  # a collection would write to what processes share, and so copy it
    forked = Server(socket.socket(fileno=_INPUT), answers).serve()
    if forked:
        _become(forked)


def _become(request: Request) -> None:
    """Run the module, as an interpreter would that was started for it."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((nothing, _INPUT), (request.output, _OUTPUT), (request.output, _ERRORS)):
        os.dup2(ours, standard)
    os.close(nothing)
    os.close(request.output)
    os.environ.update(request.environment)
    sys.argv = [request.module, *request.arguments]
    if sys.platform == "linux":  # elsewhere a title may end a process that was forked
        setproctitle(" ".join([sys.executable, "-m", *sys.argv]))
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
