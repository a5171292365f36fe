"""Services as forks of one process: the supervisor's side of `so1s_local.fork_server`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from dataclasses import dataclass, field
from typing import Any

from so1s_local.fork_server import LONGEST_REQUEST
from so1s_local.process import LONGEST_LINE, Output, Unit, python


@dataclass(frozen=True)
class Forked:
    """A process that was forked, as `asyncio.subprocess.Process` is one that was executed."""

    pid: int
    stdout: asyncio.StreamReader
    pipe: asyncio.BaseTransport
    """Where `stdout` comes from."""
    ended: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def returncode(self) -> int | None:
        """How it ended, once it has."""
        return self.ended.result() if self.ended.done() else None

    def send_signal(self, number: int) -> None:
        """Send a signal, where it still runs."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end; answers how it ended."""
        return await asyncio.shield(self.ended)


@dataclass(frozen=True)
class _Asked:
    """What takes the output of a process that was asked for, and who waits for it."""

    stdout: asyncio.StreamReader
    pipe: asyncio.BaseTransport
    answer: asyncio.Future[Forked]

    def refuse(self, reason: str) -> None:
        """There is no such process."""
        self.pipe.close()
        if not self.answer.done():
            self.answer.set_exception(OSError(reason))


class Forks:
    """Forks Python modules from a process that is started when it is needed."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._turn = asyncio.Lock()
        self._requests: socket.socket | None = None
        self._asked: _Asked | None = None
        self._forked: dict[int, Forked] = {}
        self._listening: asyncio.Task[None] | None = None

    async def launch(self, unit: Unit) -> Forked:
        """Fork a unit whose command is `python(module, …)`.

        Raises:
            OSError: it cannot be forked.
        """
        # It comes to its end whoever waits: the answer would be taken for that of the next request.
        launching = asyncio.create_task(self._launch(unit))
        try:
            return await asyncio.shield(launching)
        except asyncio.CancelledError:
            launching.add_done_callback(_kill_result)
            raise

    async def stop(self) -> None:
        """End the process to fork from; what was forked ends with it."""
        if self._requests:
            self._requests.close()
        if self._listening:
            await self._listening

    async def _launch(self, unit: Unit) -> Forked:
        module, *arguments = unit.command[2:]
        told = {"module": module, "arguments": arguments, "environment": unit.environment}
        request = json.dumps(told).encode()
        if len(request) > LONGEST_REQUEST:
            raise OSError(f"its settings take {len(request)} bytes; allowed: {LONGEST_REQUEST}")
        async with self._turn:
            requests = self._requests or await self._start()
            ours, theirs = os.pipe()
            try:
                asked = self._asked = _Asked(*await _reader(ours), asyncio.get_running_loop().create_future())
                socket.send_fds(requests, [request], [theirs])
            except BrokenPipeError:
                asked.refuse("the process to fork from ended")
            finally:
                os.close(theirs)
            return await asked.answer

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        pipe = asyncio.subprocess.PIPE
        try:
            server = await asyncio.create_subprocess_exec(
                *python("so1s_local.fork_server"),
                stdin=theirs.fileno(),
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._requests = ours
        self._listening = asyncio.create_task(self._listen(server))
        return ours

    async def _listen(self, server: asyncio.subprocess.Process) -> None:
        """Hear it until it ends; what it forked ends then, too, as nobody would hear of it any more."""
        assert server.stdout
        assert server.stderr
        complaints = asyncio.create_task(server.stderr.read())
        try:
            async for line in server.stdout:
                self._hear(json.loads(line))
        finally:
            self._lose_all()
        await server.wait()
        for complaint in (await complaints).decode(errors="replace").splitlines():
            self._output("forks", complaint)

    def _hear(self, said: dict[str, Any]) -> None:
        if "code" in said:
            self._forked.pop(said["pid"]).ended.set_result(said["code"])
        elif self._asked and "error" in said:
            self._asked.refuse(said["error"])
        elif self._asked:
            forked = self._forked[said["pid"]] = Forked(said["pid"], self._asked.stdout, self._asked.pipe)
            self._asked.answer.set_result(forked)

    def _lose_all(self) -> None:
        for child in self._forked.values():
            child.kill()
            child.ended.set_result(-signal.SIGKILL)
            child.pipe.close()
        self._forked.clear()
        if self._requests:
            self._requests.close()
            self._requests = None
        if self._asked and not self._asked.answer.done():
            self._asked.refuse("the process to fork from ended")


def _kill_result(launching: asyncio.Task[Forked]) -> None:
    """End what nobody waits for any more."""
    if not launching.cancelled() and not launching.exception():
        launching.result().kill()


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, transport
