"""Source distributions to wheels, each in an enclosure without a network.

The source and what builds it are there before its author's code runs; what comes out is one file. So that
code meets no index, no login, no cache and no other package's files:
docs/decisions/0045-packages-from-source-and-from-urls.md.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from services.builder.adapters.bubblewrap import INSPECTION, Bubblewrap
from services.builder.adapters.command import run
from services.builder.adapters.inspection import places
from services.builder.adapters.inspection.building import SOURCE
from services.builder.adapters.inspection.enclosure import Limits
from services.builder.adapters.resolution import UNSOLVABLE, require_pin
from services.builder.adapters.uv_command import Uv, compiling, heard, last_words
from services.builder.adapters.wheel_files import chunks, opened
from services.builder.domain.failure import BuildError
from services.builder.ports import Log
from so1s.errors import InvalidInput, TemporaryError
from so1s.requirements import Requirements

_MIB = 2**20
_FILES = 200_000
"""Of one source, with all that its build writes."""
_PROCESSES = 512
_LONGEST_LIST_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 500
_NAME = re.compile(rb"[A-Za-z0-9._+!-]{1,250}\.whl")
_LIBC = re.compile(rb"GLIBC_(\d{1,4})\.(\d{1,4})\x00")
_LIBC_BYTES = 16
"""Of the longest one."""
_MOST_CODE_BYTES = 8 * 2**30
"""Compiled code that is looked through in one wheel."""

_ANYWHERE = Path(tempfile.gettempdir())
"""uv in a sandbox works in its cache anyway."""

_Step = Literal["requires", "more", "wheel"]


@dataclass(frozen=True, slots=True)
class SourceBounds:
    """What building one package may use."""

    seconds: float = 600
    """On the clock, of all its steps."""
    memory_mib: int = 4096
    temporary_mib: int = 2048
    processors: int = 4


@dataclass(slots=True)
class Source:
    """A source distribution, with the time that all steps of building it have together."""

    archive: Path
    pin: str
    """Of the package, for messages."""
    log: Log
    """Of the build."""
    left_seconds: float
    """On the clock."""

    @contextmanager
    def spending(self) -> Generator[None]:
        """Count what is done meanwhile, and no other time: an index that is slow takes none of it."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.left_seconds = max(0, self.left_seconds - (time.monotonic() - started))


class SourceBuilder:
    """Builds wheels for the interpreter that runs them."""

    def __init__(
        self, sandbox: Bubblewrap, uv: Uv, bounds: SourceBounds, python: Path, glibc: str | None
    ) -> None:
        """Make a builder.

        Args:
            sandbox: which holds the enclosures.
            uv: locks and installs what builds a package, from wheels alone.
            bounds: for each package.
            python: the interpreter that will import them.
            glibc: the newest C library that they may ask for; None for this machine's.
        """
        self._sandbox = sandbox
        self._uv = uv
        self._bounds = bounds
        self._python = python
        self.glibc = glibc
        """The newest one that a wheel may ask for; None for this machine's."""

    def source(self, archive: Path, pin: str, log: Log) -> Source:
        """What is built, with all of its time."""
        return Source(archive, pin, log, self._bounds.seconds)

    async def lock_tools(self, source: Source) -> str:
        """What builds a source distribution, as the text of a lock.

        Raises:
            BuildError: nobody knows, or it cannot be had as wheels.
            TemporaryError: the index does not answer.
        """
        first = await self._asked(source, "requires", "")
        tools = await self._locked(first, source)
        more = await self._asked(source, "more", tools)
        if {*more} <= {*first}:
            return tools
        return await self._locked([*first, *more], source)

    async def build(self, source: Source, tools: str, into: Path) -> Path:
        """Build a wheel in the directory `into`, by what `lock_tools` gave.

        Raises:
            BuildError: it cannot be built; the message has the last words of its build, and the log all.
        """
        async with self._answered(source, "wheel", tools) as (answer, said):
            wheel = await asyncio.to_thread(_wheel_of, answer, into)
        if wheel is None:
            raise BuildError("dependencies", _problem(source.pin, said))
        _require_same(source.pin, wheel)
        await asyncio.to_thread(self._require_glibc, source.pin, wheel)
        return wheel

    async def _asked(self, source: Source, step: _Step, tools: str) -> list[str]:
        """What a source asks for to be built, checked as an upload's own requirements are."""
        async with self._answered(source, step, tools) as (answer, said):
            text = await asyncio.to_thread(_start, answer)
        try:
            lines = json.loads(text)
            if not isinstance(lines, list) or len(text) > _LONGEST_LIST_BYTES:
                raise ValueError(text[:100])  # noqa: TRY301 - as if it were no JSON
            place = f"what builds {source.pin}"
            asked = Requirements.of((place, str(line)) for line in lines)
        except InvalidInput as error:
            raise BuildError("dependencies", str(error)) from error
        except (ValueError, RecursionError) as error:
            raise BuildError("dependencies", _problem(source.pin, said)) from error
        if asked.directs:
            message = (
                f"what builds {source.pin} comes from {asked.directs[0].url}; allowed: packages of the index"
            )
            raise BuildError("dependencies", message)
        return [*asked.packages]

    async def _locked(self, asked: Sequence[str], source: Source) -> str:
        if not asked:
            return ""
        with self._uv.directory(_ANYWHERE, prefix="resolving-") as directory:
            lines, answer = directory / "asked.in", directory / "lock.txt"
            lines.write_text("\n".join(asked) + "\n")
            command = [*compiling(self._python), "--no-build", "--output-file", str(answer), str(lines)]
            said = last_words()
            code = await self._uv.run(command, directory=directory, on_line=heard(said, source.log))
            if code != 0:
                words = " ".join(" ".join(said).split())[:_SHOWN_CHARACTERS]
                if code == UNSOLVABLE:
                    message = (
                        f"what builds {source.pin} cannot be had as wheels ({', '.join(asked)}): {words}"
                    )
                    raise BuildError("dependencies", message)
                raise TemporaryError(f"what builds {source.pin} cannot be resolved now: {words}")
            tools = answer.read_text()
        for line in tools.splitlines():
            require_pin(line)
        return tools

    @asynccontextmanager
    async def _answered(
        self, source: Source, step: _Step, tools: str
    ) -> AsyncGenerator[tuple[Path, Sequence[str]], None]:
        """What the source's backend answers, in a file that goes; and what was said on the way."""
        said = last_words()
        with self._uv.directory(_ANYWHERE, prefix="building-") as directory:
            installed = await self._install(tools, directory, source.log)
            answer, lent = directory / "answer", directory / "lent"
            await asyncio.to_thread(_lend, source.archive, lent)
            with _new(answer) as file:
                shown = {places.DEPENDENCIES: installed, places.LENT: lent}
                hear = heard(said, source.log)
                await self._run(source, step, shown=shown, answer=file.fileno(), hear=hear)
            yield answer, said

    async def _install(self, tools: str, directory: Path, log: Log) -> Path:
        lock, target = directory / "lock.txt", directory / "tools"
        target.mkdir()
        if not tools:
            return target
        lock.write_text(tools)
        command = [
            *("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--no-build"),
            "--link-mode=copy",  # they become readable by whoever builds, which uv's cache need not be
            *("--python", str(self._python.resolve()), "--target", str(target), "--requirement", str(lock)),
        ]
        said = last_words()
        if await self._uv.run(command, directory=directory, on_line=heard(said, log)):
            problem = next(filter(str.strip, reversed(said)), "uv said nothing").strip()
            raise TemporaryError(f"what builds a package cannot be installed now: {problem}")
        await asyncio.to_thread(_show, target)
        return target

    async def _run(
        self, source: Source, step: _Step, *, shown: Mapping[str, Path], answer: int, hear: Log
    ) -> None:
        bounds = self._bounds
        limits = Limits(
            memory_bytes=bounds.memory_mib * _MIB,
            temporary_bytes=bounds.temporary_mib * _MIB,
            processes=_PROCESSES,
            processors=bounds.processors,
            seconds=source.left_seconds,
            files=_FILES,
            what="the build",
        )
        command = self._sandbox.command(
            [
                *("-S", "-s", "-P", "-m", "so1s_inspection.building"),
                json.dumps(asdict(limits)),
                str(answer),
                step,
            ],
            shown={f"{places.CODE}/so1s_inspection": INSPECTION, **shown},
            environment={"PYTHONPATH": places.CODE, "HOME": places.TEMPORARY},
        )
        try:
            with source.spending():
                async with asyncio.timeout(source.left_seconds):
                    await run(
                        command,
                        environment={},
                        directory=shown[places.LENT],
                        on_line=hear,
                        pass_descriptor=answer,
                    )
        except TimeoutError:
            hear(f"the build did not end within {bounds.seconds:g} s (SO1S_SOURCE_SECONDS)")

    def _require_glibc(self, pin: str, wheel: Path) -> None:
        """Refuse compiled code that the base of images does not load, as nobody tries it there."""
        if self.glibc is None:
            return
        most = tuple(map(int, self.glibc.split(".")))
        needed = max(_glibc_of(wheel, pin), default=(0, 0))
        if needed > most:
            message = (
                f"{pin}, as it is built here, needs a C library of {needed[0]}.{needed[1]}; allowed: "
                f"{self.glibc}, which the base of images has (SO1S_BASE_GLIBC): take a version with a wheel"
            )
            raise BuildError("dependencies", message)


def _start(answer: Path) -> bytes:
    with answer.open("rb") as file:
        return file.read(_LONGEST_LIST_BYTES + 1)


def _new(answer: Path) -> BinaryIO:
    return answer.open("xb")


def _lend(archive: Path, lent: Path) -> None:
    """Let the enclosure, which may be nobody's, read the source."""
    place = lent / SOURCE
    place.mkdir(parents=True)
    shutil.copy(archive, place)
    _show(lent)


def _show(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _wheel_of(answer: Path, into: Path) -> Path | None:
    """What a build answered, as a wheel in a directory; None where it is none."""
    with answer.open("rb") as file:
        name = file.readline(_LONGEST_LIST_BYTES).rstrip(b"\n")
        if not _NAME.fullmatch(name):
            return None
        wheel = into / name.decode()
        with wheel.open("wb") as copy:
            shutil.copyfileobj(file, copy)
    return wheel if zipfile.is_zipfile(wheel) else None


def _require_same(pin: str, wheel: Path) -> None:
    """Refuse a wheel of another package, or of another version, than the source's name says."""
    name, _, version = pin.partition("==")
    try:
        made, number, _build, _tags = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise BuildError("dependencies", f"{pin}: {error}") from error
    if (made, number) != (canonicalize_name(name), Version(version)):
        raise BuildError("dependencies", f"{pin}: its source gives {made}=={number}")


def _glibc_of(wheel: Path, pin: str) -> Iterator[tuple[int, int]]:
    """The versions of the C library that the compiled code of a wheel names."""
    size = 0
    with opened(wheel, pin) as archive:
        for member in archive.infolist():
            if not re.search(r"\.so(\.\d+)*$", member.filename):
                continue
            before = b""
            for chunk in chunks(archive, member):
                size += len(chunk)
                if size > _MOST_CODE_BYTES:
                    message = f"{pin} gives more than {_MOST_CODE_BYTES} bytes of compiled code"
                    raise BuildError("dependencies", message)
                for found in _LIBC.finditer(before + chunk):
                    yield int(found[1]), int(found[2])
                before = chunk[-_LIBC_BYTES:]


def _problem(pin: str, said: Sequence[str]) -> str:
    words = [line.strip() for line in said if line.strip()]
    last = words[-1] if words else "its build said nothing"
    return f"{pin} cannot be built from source: {last[:_SHOWN_CHARACTERS]}"
