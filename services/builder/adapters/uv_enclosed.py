"""uv in a sandbox: what it reads is what strangers made, though no code of theirs runs.

It sees what it needs of this machine, writes to its cache and to the directory of its command, and reaches
its indexes by a proxy of this process: docs/decisions/0026-where-libraries-are-installed.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uv

from services.builder.adapters.bubblewrap import INSPECTION, Bubblewrap
from services.builder.adapters.command import run
from services.builder.adapters.index_access import IndexAccess, access_below, index_access
from services.builder.adapters.index_proxy import IndexProxy
from services.builder.adapters.inspection import places
from services.builder.adapters.inspection.fetching import LOGINS
from services.builder.adapters.inspection.installing import BROKE_LIMITS, Limits
from services.builder.adapters.uv_command import redirects
from services.builder.adapters.uv_environment import uv_directory, uv_environment
from services.builder.domain.failure import BuildError
from so1s.errors import TemporaryError

SCRATCH = "so1s-*"
"""Directories in uv's cache that a crash may leave there."""
_SOURCES = "sdists-v11"
"""Where uv's cache has sources, which it builds there and nowhere else: it cannot, whatever it is asked."""
_OPENED = (".git", ".gitignore")
"""What uv opens there each time, as if to write."""
_UV = "/opt/so1s/uv"
_FETCHING = f"{places.CODE}/so1s_inspection/fetching.py"
_AUTHORITIES = ("/etc/ssl", "/etc/pki", "/etc/ca-certificates")
"""What certificates are verified by, as the systems have it."""
_NAMED_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT")
_PROXIES = {"all_proxy", "https_proxy", "http_proxy", "no_proxy"}
_INSTALLING = ("-S", "-s", "-P", "-m", "so1s_inspection.installing")
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class InstallBounds:
    """What one run of uv may use."""

    seconds: float = 900
    """Of the clock, and of one processor."""
    memory_mib: int = 4096
    written_mib: int = 20_480


class EnclosedUv:
    """Runs uv in a sandbox."""

    def __init__(
        self,
        sandbox: Bubblewrap,
        bounds: InstallBounds,
        package_hosts: Sequence[str],
        indexes: Sequence[str] = (),
    ) -> None:
        """Run uv in a sandbox.

        Args:
            sandbox: makes it.
            bounds: for each run.
            package_hosts: to which the indexes send uv, as `HOST` or `HOST:PORT`.
            indexes: URLs of those that a command may name, beside the ones of uv's configuration.
        """
        self._sandbox = sandbox
        self._bounds = bounds
        self._package_hosts = (*package_hosts,)
        self._indexes = (*indexes,)
        self.cache = uv_cache()
        """uv's own."""
        self._sources = self.cache / _SOURCES

    def directory(self, parent: Path, prefix: str) -> AbstractContextManager[Path]:
        """See `Uv`. It lies in uv's cache, as no link leads from one mount of a sandbox to another."""
        del parent
        self.cache.mkdir(parents=True, exist_ok=True)
        return uv_directory(self.cache, f"so1s-{prefix}")

    async def run(self, arguments: Sequence[str], *, directory: Path, on_line: Callable[[str], None]) -> int:
        """See `Uv`."""
        environment = uv_environment()
        access = await asyncio.to_thread(index_access, environment, self._package_hosts, self._indexes)
        return await self._run([_UV, *arguments], access, environment, directory=directory, on_line=on_line)

    async def fetch(
        self,
        url: str,
        into: Path,
        *,
        of_index: bool,
        most_bytes: int,
        on_line: Callable[[str], None],
    ) -> int:
        """See `Uv`."""
        environment = uv_environment()
        below = [] if of_index else redirects(url, self._package_hosts)
        if of_index:
            access = await asyncio.to_thread(index_access, environment, self._package_hosts, self._indexes)
        else:
            access = access_below(below, environment)
        program = [str(self._sandbox.python.resolve()), "-S", "-s", "-P", _FETCHING]
        return await self._run(
            [*program, url, str(into), str(most_bytes), *below],
            access,
            environment | {LOGINS: json.dumps(dict(access.logins))},
            directory=into.parent,
            on_line=on_line,
        )

    async def _run(
        self,
        program: Sequence[str],
        access: IndexAccess,
        environment: Mapping[str, str],
        *,
        directory: Path,
        on_line: Callable[[str], None],
    ) -> int:
        """Run a program that reaches what it is given access to."""
        proxy = IndexProxy(access.hosts, on_line)
        last = [""]

        def hear(line: str) -> None:
            last[0] = line
            on_line(line)

        try:
            async with asyncio.timeout(self._bounds.seconds), _served(proxy) as control:
                code = await run(
                    self._command(program, control, access, environment, directory),
                    environment=self._inside(environment),
                    directory=directory,
                    on_line=hear,
                    pass_descriptor=control,
                )
        except TimeoutError as error:
            raise TemporaryError(f"uv did not end within {self._bounds.seconds:g} s") from error
        if code == BROKE_LIMITS:
            raise BuildError("dependencies", f"the libraries cannot be had within bounds: {last[0]}")
        if code and proxy.refused:
            raise BuildError("dependencies", _of_refused(proxy))
        return code

    def _inside(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Without the proxies of this machine, which the sandbox does not reach, and their passwords."""
        kept = {name: value for name, value in environment.items() if name.lower() not in _PROXIES}
        places_in = {"PYTHONPATH": places.CODE, "TMPDIR": places.TEMPORARY, "UV_CACHE_DIR": str(self.cache)}
        return kept | places_in

    def _command(
        self,
        program: Sequence[str],
        control: int,
        access: IndexAccess,
        environment: Mapping[str, str],
        directory: Path,
    ) -> list[str]:
        self._sources.mkdir(parents=True, exist_ok=True)
        for name in _OPENED:
            (self._sources / name).touch()
        limits = Limits(
            processor_seconds=int(self._bounds.seconds) + 1,
            memory_bytes=self._bounds.memory_mib * _MIB,
            written_bytes=self._bounds.written_mib * _MIB,
        )
        named = (environment[name] for name in _NAMED_AUTHORITIES if environment.get(name))
        there = {path for path in map(Path, (*_AUTHORITIES, *named)) if path.exists()}
        return self._sandbox.command(
            [*_INSTALLING, str(control), json.dumps(asdict(limits)), *program],
            shown={
                f"{places.CODE}/so1s_inspection": INSPECTION,
                _UV: Path(uv.find_uv_bin()),
                f"{places.TEMPORARY}/uv.toml": directory / "uv.toml",  # where it works, as outside
                **{str(path): path for path in sorted((*there, *access.files))},
            },
            environment=None,
            written=[self.cache],
            kept={self._sources: _OPENED},
        )


@asynccontextmanager
async def _served(proxy: IndexProxy) -> AsyncGenerator[int, None]:
    """The descriptor of a socket: to what listens and is sent there, the proxy answers while this lasts."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 - the name says it
    serving = asyncio.create_task(_serve(proxy, ours))
    try:
        with ours, theirs:
            yield theirs.fileno()
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _serve(proxy: IndexProxy, control: socket.socket) -> None:
    with await _received(control) as listener:
        listener.setblocking(False)  # noqa: FBT003 - the name says it
        async with proxy.listening(listener):
            await asyncio.get_running_loop().create_future()


async def _received(control: socket.socket) -> socket.socket:
    """The socket that comes by another one."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(control, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(control)
    _byte, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
    return socket.socket(fileno=descriptors[0])


def _of_refused(proxy: IndexProxy) -> str:
    allowed = ", ".join(sorted({host for host, _port in proxy.hosts}))
    refused = ", ".join(sorted(set(proxy.refused)))
    return (
        f"packages lie on {refused}; allowed: {allowed}, and the hosts that the builder's operator names "
        "in SO1S_PACKAGE_HOSTS"
    )


def uv_cache() -> Path:
    """Where uv's environment and configuration put its cache."""
    command, environment = [uv.find_uv_bin(), "cache", "dir"], uv_environment()
    with uv_directory(None, "so1s-") as empty:
        said = subprocess.run(  # noqa: S603 - ours
            command, env=environment, cwd=empty, capture_output=True, text=True, check=True
        )
    return Path(said.stdout.strip()).absolute()
