"""A process that has imported what takes long, and gives each connection to a child of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

Command = Callable[[Path, int], tuple[Sequence[str], dict[str, str]]]
"""Makes the command and its environment from the process's directory and its control socket's descriptor."""


class NotStartedError(Exception):
    """The process ended before it was ready; the message is what it wrote."""


@dataclass(frozen=True, slots=True)
class WarmProcess:
    """`inspection.server`, as the builder sees it."""

    home: Path
    """Its directory, which goes with it."""
    _process: subprocess.Popen[bytes]
    _control: socket.socket

    @classmethod
    async def start(cls, directory: Path, command: Command) -> WarmProcess:
        """Start one, and wait until it is ready.

        Raises:
            NotStartedError: it ended instead.
        """
        home = _home(directory)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the name says it
        with contextlib.ExitStack() as undo, (home / "output").open("w+b") as output:
            undo.callback(shutil.rmtree, home, ignore_errors=True)
            undo.callback(ours.close)
            with theirs:
                process = _spawn(*command(home, theirs.fileno()), home, theirs.fileno(), output.fileno())
            started = cls(home, process, ours)
            undo.callback(started.close)
            if not await asyncio.get_running_loop().sock_recv(ours, 1):
                output.seek(0)
                raise NotStartedError(output.read().decode(errors="replace"))
            undo.pop_all()
        return started

    @property
    def lent(self) -> Path:
        """Holds a directory for each model that is being tried."""
        return lent_of(self.home)

    @property
    def runs(self) -> bool:
        """Whether it lives: after it was ready, it never says anything until it ends."""
        try:
            return self._control.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
        """A connection to a new child.

        Raises:
            OSError: it is no more.
        """
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            with theirs:
                socket.send_fds(self._control, [b"\n"], [theirs.fileno()])
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def close(self) -> None:
        """End it, and remove its directory."""
        self._control.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def lent_of(home: Path) -> Path:
    """Where a warm process with this directory gets its models."""
    return home / "lent"


def _home(directory: Path) -> Path:
    home = Path(tempfile.mkdtemp(dir=directory))
    lent_of(home).mkdir()
    for each in (home, lent_of(home)):
        each.chmod(0o755)  # in a sandbox it runs as nobody
    return home


def _spawn(
    command: Sequence[str], environment: dict[str, str], home: Path, control: int, output: int
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so that what ends the builder's terminal does not end it."""
    return subprocess.Popen(  # noqa: S603 - the command is ours
        command,
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=(control,),
        start_new_session=True,
    )
