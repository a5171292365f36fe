"""The sandbox of what tries models and installs libraries, made by bubblewrap.

https://github.com/containers/bubblewrap. What is in it sees the system's programs and C libraries, the
interpreter, and what is shown to it; all of it read-only. It has no network, no privilege, and memory to
write to. It ends with the builder.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.builder.adapters.inspection import places
from so1s.errors import InvalidInput

Mode = Literal["auto", "bwrap", "none"]

INSPECTION = Path(__file__).parent / "inspection"

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_NOBODY = ("--unshare-user", "--uid", str(places.NOBODY), "--gid", str(places.NOBODY))
_ROOTS_POWERS = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID")
"""What the sandbox of a builder that is root keeps until it becomes nobody."""
_OLDEST_LINUX = (5, 14)
"""Since then a limit on processes counts those of one sandbox."""
_PROBE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """Starts commands in a sandbox."""

    program: str
    python: Path
    """The interpreter that runs there."""

    def command(
        self,
        arguments: Sequence[str],
        *,
        shown: Mapping[str, Path],
        environment: Mapping[str, str] | None,
        written: Sequence[Path] = (),
        kept: Mapping[Path, Sequence[str]] | None = None,
    ) -> list[str]:
        """The command that runs the interpreter with some arguments in a sandbox.

        An open file of the command is open there, too. It ends with the thread that starts it.

        Args:
            arguments: of the interpreter.
            shown: files and directories by the place where they are seen.
            environment: all of its variables; None for those that the command is given, which no other
                process of this machine sees.
            written: directories that are seen where they are, and can be written. What is there is the
                builder's own, so that to these files the command is the builder.
            kept: directories in these that cannot be written, but for the named files in them.
        """
        return [
            self.program,
            *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
            *("--hostname", "sandbox", "--die-with-parent"),
            *(_builder() if written else _user()),
            *([] if environment is None else ["--clearenv", *_each("--setenv", environment.items())]),
            *_devices(),
            *("--proc", "/proc", "--tmpfs", places.TEMPORARY, "--dir", places.MODEL),
            *("--chdir", places.TEMPORARY),
            *_system(self.python),
            *_shown(shown),
            *_each("--bind", ((str(path), str(path)) for path in written)),
            *_kept(kept or {}),
            *("--remount-ro", "/"),
            *("--", str(self.python.resolve()), *arguments),
        ]


def find(mode: Mode, python: Path) -> tuple[Bubblewrap | None, str]:
    """The sandbox that works here, if one shall be used; and why there is none.

    Raises:
        InvalidInput: it must be used, and does not work.
    """
    if mode == "none":
        return None, "the setting says so"
    found = Bubblewrap(shutil.which("bwrap") or "", python)
    problem = _problem(found)
    if problem and mode == "bwrap":
        raise InvalidInput.of("sandbox", mode, f"auto and none on this machine: {problem}")
    return (None, problem) if problem else (found, "")


def _problem(sandbox: Bubblewrap) -> str:
    """Why a sandbox does not work here; found out by using it."""
    if not sandbox.program:
        return "bwrap is not installed (Debian: apt-get install bubblewrap)"
    release = platform.release()
    if _version(release) < _OLDEST_LINUX:
        return f"Linux is {release}, needed: 5.14 or newer"
    with tempfile.TemporaryDirectory() as temporary:
        lent = Path(temporary, "lent")
        (lent / "model").mkdir(parents=True)
        (lent / "model/file").touch()
        for directory in (Path(temporary), lent, lent / "model"):
            directory.chmod(0o755)
        shown = {f"{places.CODE}/so1s_inspection": INSPECTION, places.LENT: lent}
        command = sandbox.command(
            ["-S", "-s", "-P", "-m", "so1s_inspection.probe"],
            shown=shown,
            environment={"PYTHONPATH": places.CODE},
        )
        return _said(command)


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - ours
            command,
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.stdout.splitlines()[-1:] == ["it works"]:
        return ""
    return " ".join((done.stdout + done.stderr).split()) or f"bwrap ended with {done.returncode}"


def _version(release: str) -> tuple[int, ...]:
    """`6.1.0-13-amd64` is (6, 1)."""
    try:
        return tuple(int("".join(filter(str.isdigit, part))) for part in release.split(".")[:2])
    except ValueError:
        return ()


def _user() -> list[str]:
    """Nobody: in a user namespace, or for root by becoming nobody in the sandbox.

    Root of a user namespace would still be root to what it is shown.
    """
    if os.geteuid() != 0:
        return [*_NOBODY]
    return ["--cap-drop", "ALL", *_each("--cap-add", ((power,) for power in _ROOTS_POWERS))]


def _builder() -> list[str]:
    """Nobody without a privilege, whom files take for the builder.

    Where the builder is root, this is root to files of `/proc`: there it may cover that, and nothing else.
    """
    if os.geteuid() != 0:
        return [*_NOBODY]
    return [*_NOBODY, "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN"]


def _devices() -> list[str]:
    bound = _each("--dev-bind", ((f"/dev/{name}", f"/dev/{name}") for name in _DEVICES))
    linked = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
    links = _each("--symlink", ((f"/proc/self/fd{end}", f"/dev/{name}") for name, end in linked.items()))
    return ["--tmpfs", "/dev", *bound, *links, "--tmpfs", places.SHARED_MEMORY, "--remount-ro", "/dev"]


def _system(python: Path) -> Iterator[str]:
    """Programs, C libraries and the interpreter, where they are on this machine."""
    shown = []
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.exists():
            shown.append(path)
    executable = python.resolve()
    for path in (executable, *(executable.parents[1] / name for name in ("lib", "lib64", "include"))):
        if path.exists() and not any(path.is_relative_to(each) for each in shown):
            shown.append(path)
    yield from _shown({str(path): path for path in shown})


def _shown(shown: Mapping[str, Path]) -> Iterator[str]:
    """Read-only, below directories that everybody may pass."""
    for place, path in shown.items():
        for parent in reversed(Path(place).parents[:-1]):
            yield from ("--dir", str(parent))
        yield from ("--ro-bind", str(path), place)


def _kept(kept: Mapping[Path, Sequence[str]]) -> Iterator[str]:
    for directory, files in kept.items():
        yield from ("--ro-bind", str(directory), str(directory))
        for path in (directory / name for name in files):
            yield from ("--bind", str(path), str(path))


def _each(option: str, values: Iterable[Sequence[str]]) -> list[str]:
    return [word for each in values for word in (option, *each)]
