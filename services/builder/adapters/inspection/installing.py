"""Runs a command whose only network is a listening socket that the builder serves.

    python -m so1s_inspection.installing CONTROL LIMITS COMMAND…

Sends the socket, which listens at this sandbox's own loopback address, to the socket of the file descriptor
CONTROL, tells the command of it as an HTTP proxy, and ends the command where it breaks LIMITS, in JSON. A
socket stays in the network that it was made in: so nothing need be relayed from here, and there is no way out
but what the builder accepts.
"""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import calls, kernel
from .processes import memory, written

BROKE_LIMITS = 113
"""The exit code where the command broke its limits; the last line says which."""
_WATCH_MILLISECONDS = 100
_FILES = 4096
_PROCESSES = 512
_BY_SIGNAL = {signal.SIGXCPU: "processor_seconds", signal.SIGXFSZ: "written_bytes"}


@dataclass(frozen=True)
class Limits:
    """What the command may use."""

    processor_seconds: int
    memory_bytes: int
    """Of all its processes together."""
    written_bytes: int
    """To whatever file, over its life."""


def main(control: int, limits: Limits, command: list[str]) -> int:
    """Run the command, and return its exit code."""
    _cover_machine()
    proxy = f"http://127.0.0.1:{_listen(control)}"
    _limit(limits)
    kernel.filter_calls(calls.program())
    child = subprocess.Popen(command, env=_environment(proxy), close_fds=True)  # noqa: S603 - the builder's
    if broken := _watch(child, limits):
        print(f"it took more than {getattr(limits, broken)} {broken}", flush=True)  # noqa: T201 - read there
        return BROKE_LIMITS
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _listen(control: int) -> int:
    with (
        socket.socket(fileno=control) as builder,
        socket.create_server(("127.0.0.1", 0), backlog=128) as listener,
    ):
        socket.send_fds(builder, [b"\n"], [listener.fileno()])
        port: int = listener.getsockname()[1]
    return port


def _environment(proxy: str) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return mine | dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"), proxy)


def _cover_machine() -> None:
    """Let `/proc` have processes alone, where the builder is root and the machine's settings were its own.

    There, and nowhere else, bubblewrap leaves the power to do so.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    if ["CapEff:", "0" * 16] in (line.split() for line in status):
        return
    kernel.mount("proc", "/proc", "proc", kernel.NO_SUID | kernel.NO_DEVICES | kernel.NO_EXEC, "subset=pid")
    kernel.drop_capabilities()


def _limit(limits: Limits) -> None:
    Path("/proc/self/oom_score_adj").write_text("1000")  # rather than the builder
    for which, most in {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits.processor_seconds,
        resource.RLIMIT_FSIZE: limits.written_bytes,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_NPROC: _PROCESSES,
    }.items():
        _soft, hard = resource.getrlimit(which)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (allowed, allowed))


def _watch(child: "subprocess.Popen[Any]", limits: Limits) -> str | None:
    """Wait for its end, or bring it about; the name of the limit that it broke."""
    poll = select.poll()
    poll.register(os.pidfd_open(child.pid), select.POLLIN)
    while not poll.poll(_WATCH_MILLISECONDS):
        if broken := _broken(child.pid, limits):
            child.kill()
            child.wait()
            return broken
    return _BY_SIGNAL.get(-child.wait())


def _broken(process: int, limits: Limits) -> str | None:
    if memory(limits.memory_bytes) > limits.memory_bytes:
        return "memory_bytes"
    return "written_bytes" if written(process) > limits.written_bytes else None


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Limits(**json.loads(sys.argv[2])), sys.argv[3:]))
