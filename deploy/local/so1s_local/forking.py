"""The supervisor's side of `so1s_local.forks`: services as forks of one process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from dataclasses import dataclass, field

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
            OSError: there is nothing to fork from.
        """
        # One who no longer waits must not leave his answer to the next: that comes to its end, whoever waits.
        return await asyncio.shield(asyncio.create_task(self._launch(unit)))

    async def stop(self) -> None:
        """End the process to fork from; what was forked ends with it."""
        if self._requests:
            self._requests.close()
        if self._listening:
            await self._listening

    async def _launch(self, unit: Unit) -> Forked:
        module, *arguments = unit.command[2:]
        request = {"module": module, "arguments": arguments, "environment": unit.environment}
        async with self._turn:
            requests = self._requests or await self._start()
            ours, theirs = os.pipe()
            self._asked = _Asked(*await _reader(ours), asyncio.get_running_loop().create_future())
            try:
                socket.send_fds(requests, [json.dumps(request).encode()], [theirs])
            finally:
                os.close(theirs)
            return await self._asked.answer

    async def _start(self) -> socket.socket:
        self._requests, theirs = socket.socketpair()
        pipe = asyncio.subprocess.PIPE
        with theirs:
            server = await asyncio.create_subprocess_exec(
                *python("so1s_local.forks"),
                stdin=theirs.fileno(),
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
            )
        self._listening = asyncio.create_task(self._listen(server))
        return self._requests

    async def _listen(self, server: asyncio.subprocess.Process) -> None:
        """Hear it until it ends; what it forked ends then, too, as nobody would hear of it any more."""
        assert server.stdout
        assert server.stderr
        complaints = asyncio.create_task(server.stderr.read())
        async for line in server.stdout:
            self._hear(json.loads(line))
        for complaint in (await complaints).decode(errors="replace").splitlines():
            self._output("forks", complaint)
        for child in self._forked.values():
            child.kill()
            child.ended.set_result(-signal.SIGKILL)
            child.pipe.close()
        self._forked.clear()
        if self._requests:
            self._requests.close()
            self._requests = None
        if self._asked and not self._asked.answer.done():
            self._asked.pipe.close()
            self._asked.answer.set_exception(ConnectionError("the process to fork from ended"))
        await server.wait()

    def _hear(self, said: dict[str, int]) -> None:
        pid = said["pid"]
        if "code" in said:
            self._forked.pop(pid).ended.set_result(said["code"])
        elif self._asked:
            self._forked[pid] = Forked(pid, self._asked.stdout, self._asked.pipe)
            self._asked.answer.set_result(self._forked[pid])


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, transport
