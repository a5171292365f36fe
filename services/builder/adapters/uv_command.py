"""How uv is run, and files are fetched as it would: in a sandbox, or as this process itself."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import uv

from services.builder.adapters.bubblewrap import INSPECTION
from services.builder.adapters.command import run
from services.builder.adapters.index_access import index_access
from services.builder.adapters.inspection.fetching import LOGINS
from services.builder.adapters.uv_environment import uv_directory, uv_environment

_FETCHING = INSPECTION / "fetching.py"
_KEPT_LINES = 1000
"""Each of some 4 kB at most."""


def compiling(python: Path) -> list[str]:
    """The arguments that resolve requirements to pins with hashes and nothing else."""
    return [
        *("pip", "compile", "--quiet", "--generate-hashes"),
        *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
        *("--python", str(python.resolve())),
    ]


def last_words() -> deque[str]:
    """For the last lines of a command, which may say without end."""
    return deque(maxlen=_KEPT_LINES)


def heard(said: deque[str], log: Callable[[str], None]) -> Callable[[str], None]:
    """What takes a line for both."""

    def hear(line: str) -> None:
        said.append(line)
        log(line)

    return hear


def redirects(url: str, package_hosts: Sequence[str]) -> list[str]:
    """Below what a file that no index has may lie."""
    return [f"{url.rpartition('/')[0]}/", *(f"https://{host}/" for host in package_hosts)]


class Uv(Protocol):
    """Runs uv."""

    def directory(self, parent: Path, prefix: str) -> AbstractContextManager[Path]:
        """A directory for one command, which goes with it.

        Args:
            parent: where it lies, unless uv can be quicker elsewhere.
            prefix: of its name.
        """
        ...

    async def run(self, arguments: Sequence[str], *, directory: Path, on_line: Callable[[str], None]) -> int:
        """Run uv and return its exit code.

        Args:
            arguments: of uv; the files that they name are in the directory, and the interpreter.
            directory: as `directory` made it.
            on_line: takes each line that it says.

        Raises:
            BuildError: it broke its bounds, or what is asked for lies where uv may not reach.
            TemporaryError: it took too long.
        """
        ...

    async def fetch(
        self,
        url: str,
        into: Path,
        *,
        of_index: bool,
        most_bytes: int,
        on_line: Callable[[str], None],
    ) -> int:
        """Fetch one file, and return 0; `fetching.REFUSED` where another try would be in vain.

        Args:
            url: of the file.
            into: a new file, in a directory as `directory` made it.
            of_index: whether an index has it; else only the URL's own directory is reached, and the hosts
                that the operator names for packages.
            most_bytes: that it may have.
            on_line: takes each line that is said of it; the last one says why there is no file.

        Raises:
            BuildError: as `run` does.
            TemporaryError: likewise.
        """
        ...


class PlainUv:
    """Runs uv as this process itself: with its files, its network and no bounds."""

    def __init__(self, package_hosts: Sequence[str] = ()) -> None:
        """Run uv so; `package_hosts` are those to which the hosts of packages send it."""
        self._package_hosts = (*package_hosts,)

    def directory(self, parent: Path, prefix: str) -> AbstractContextManager[Path]:
        """See `Uv`."""
        return uv_directory(parent, prefix)

    async def run(self, arguments: Sequence[str], *, directory: Path, on_line: Callable[[str], None]) -> int:
        """See `Uv`."""
        command = [uv.find_uv_bin(), *arguments]
        return await run(command, environment=uv_environment(), directory=directory, on_line=on_line)

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
        logins = index_access(environment, []).logins if of_index else {}
        below = [] if of_index else redirects(url, self._package_hosts)
        command = [sys.executable, "-S", "-s", "-P", str(_FETCHING), url, str(into), str(most_bytes), *below]
        return await run(
            command,
            environment=environment | {LOGINS: json.dumps(dict(logins))},
            directory=into.parent,
            on_line=on_line,
        )
