"""One resolution by uv, round after round: each may find packages that have no wheel.

uv itself builds nothing. Where it says that wheels are missing, it is asked for the versions that it would
build, with nothing known of what these require; each is made a wheel elsewhere, and the next round has that.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from services.builder.adapters.uv_command import Uv, heard, last_words
from services.builder.adapters.wheel_files import write_outline
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock, Origin, restricted
from services.builder.ports import Log
from so1s.errors import TemporaryError
from so1s.requirements import FILE_NAME, Requirements

TORCH = "torch"
"""PyTorch's package."""
TORCH_INDEX = "torch-cpu"
"""What uv calls the index of PyTorch for the CPU, so that it finds its credentials by that name."""
UNSOLVABLE = 1
"""uv's exit code where there is no answer; what it cannot read, it ends with 2."""
_LONGEST_MESSAGE = 2000
_MOST_SOURCES = 50
"""Packages from source in one lock."""
_PROJECT = """\
[project]
name = "asked"
version = "0"
dependencies = {packages}

[[tool.uv.index]]
name = "{name}"
url = {url}
explicit = true

[tool.uv.sources]
{torch} = {{ index = "{name}" }}
"""
_PIN = re.compile(r"^[A-Za-z0-9._-]+==\S+( ; [^\\]+)? \\$")
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
_MADE = re.compile(r"^[A-Za-z0-9._-]+ @ file://\S+/made/(?P<wheel>[^/\s]+\.whl)( ; [^\\]+)? \\$")
_WITHOUT_WHEEL = re.compile(
    r"Wheels are required for `(?P<name>[A-Za-z0-9._-]+)` because building from source"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a lock is asked to give."""

    asked: Requirements
    """By a model's author."""
    needs: tuple[str, ...]
    """Of the server, which goes into the same image."""
    base: Lock
    """Is tried with that server, so its versions are taken where the author asks for no others."""
    torch_index: str | None = None
    """The URL of the index that PyTorch is taken from where it is asked for by its name; nothing else is."""
    name: str = FILE_NAME
    """Of what asks, for people."""


class Resolution:
    """What is known of one set of requirements."""

    def __init__(self, uv: Uv, command: Callable[..., list[str]], directory: Path, wanted: Wanted) -> None:
        """Begin one.

        Args:
            uv: how it is run.
            command: of uv, with more options.
            directory: for uv's files.
            wanted: what is resolved.
        """
        self.wanted = wanted
        self._uv = uv
        self._command = command
        self._directory = directory
        self._made: dict[str, tuple[Origin, Path]] = {}
        self._said = last_words()
        self._is_unsolvable = True
        (directory / "made").mkdir()

    def add(self, origin: Origin, wheel: Path) -> None:
        """Let a package be this wheel, of which uv sees what it requires.

        Raises:
            BuildError: it cannot be read, is of another package or version, or requires a URL.
        """
        place = self._directory / "made" / wheel.name
        write_outline(origin, wheel, self._extras(origin.name), place)
        self._made[origin.name] = origin, place

    async def run(self, log: Log) -> list[str]:
        """Resolve; gives the names of packages without a wheel, if nothing else is in the way.

        Raises:
            BuildError: there is no such set of libraries.
            TemporaryError: the index does not answer.
        """
        self._answer.write_text(self.wanted.base.text)
        self._write_asked()
        options = ("--only-binary", ":all:", "--constraints", str(self._constraints))
        code = await self._ask(log, *options, "--output-file", str(self._answer))
        if code == 0:
            return []
        missing = self._without_wheel(code)
        if not missing:
            raise self.error()
        return missing

    async def sources(self, names: Sequence[str], log: Log) -> list[Origin]:
        """Where the sources of packages are, in the versions that fit as far as is known.

        Raises:
            BuildError: there are none.
            TemporaryError: the index does not answer.
        """
        wanted = [*names]
        answer = self._directory / "pylock.toml"
        while True:
            if len(self._made) + len(wanted) > _MOST_SOURCES:
                message = f"{self.wanted.name}: more than {_MOST_SOURCES} packages without a wheel"
                raise BuildError("dependencies", message)
            # As if they required nothing, so that uv need not build them to know.
            said = "".join(
                f'[[dependency-metadata]]\nname = "{name}"\nrequires-dist = []\n' for name in wanted
            )
            (self._directory / "uv.toml").write_text(said)
            only = [word for name in wanted for word in ("--no-binary", name)]
            options = ("--only-binary", ":all:", *only, "--constraints", str(self._constraints))
            code = await self._ask(log, *options, "--format", "pylock.toml", "--output-file", str(answer))
            (self._directory / "uv.toml").write_text("")
            if code == 0:
                found = list(self._found(answer, wanted))
                if not found:
                    raise self.error()
                return found
            more = [name for name in self._without_wheel(code) if name not in wanted]
            if not more:
                raise self.error()
            wanted += more

    def lock(self) -> Lock:
        """What was resolved. Raises BuildError where something leads past the index."""
        told = [origin for origin, _wheel in self._made.values()]
        text = "".join(f"{line}\n" for line in self._checked(self._answer.read_text()))
        lock = restricted(Lock(self.wanted.name, text), self.wanted.asked.hashes)
        # Where a marker leaves what was made unused, an index may have given another file of that version.
        return lock.telling(
            each for each in told if lock.hashes.get((each.name, each.version)) == (each.sha256,)
        )

    def error(self, missing: Sequence[str] = ()) -> Exception:
        """What uv's last answer is; `missing` are packages that have no wheel and may not be built."""
        said = [line.strip().removeprefix("cause: ").removeprefix("error: ") for line in self._said]
        message = " ".join(filter(None, said))[:_LONGEST_MESSAGE] or "uv said nothing"
        if not self._is_unsolvable:
            return TemporaryError(f"{self.wanted.name} cannot be resolved now: {message}")
        hint = self._hint(message, missing)
        return BuildError("dependencies", f"{self.wanted.name} cannot be satisfied: {message} {hint}")

    @property
    def _answer(self) -> Path:
        return self._directory / "lock.txt"

    @property
    def _constraints(self) -> Path:
        return self._directory / "made.in"

    @property
    def _file(self) -> Path:
        """What uv is asked; only a project's file can say that one package is of one index, and no other is.

        https://docs.astral.sh/uv/concepts/indexes/#pinning-a-package-to-an-index.
        """
        return self._directory / ("pyproject.toml" if self.wanted.torch_index else "asked.in")

    def _write_asked(self) -> None:
        """What uv is asked; what was made is taken where something needs it."""
        direct = []
        for each in self.wanted.asked.directs:
            extras = f"[{','.join(each.extras)}]" if each.extras else ""
            marker = f" ; {each.marker}" if each.marker else ""
            direct.append(f"{each.name}{extras} @ {self._made[each.name][1].as_uri()}{marker}")
        packages, url = [*self.wanted.asked.packages, *direct, *self.wanted.needs], self.wanted.torch_index
        self._file.write_text(_project(packages, url) if url else "".join(f"{each}\n" for each in packages))
        markers = {each.name: f" ; {each.marker}" for each in self.wanted.asked.directs if each.marker}
        constraints = [
            f"{name} @ {wheel.as_uri()}{markers.get(name, '')}\n"
            for name, (_origin, wheel) in self._made.items()
        ]
        self._constraints.write_text("".join(constraints))

    def _extras(self, name: str) -> set[str]:
        """Of a package, what the upload's author and the server ask for."""
        asked = map(Requirement, (*self.wanted.asked.packages, *self.wanted.needs))
        found = {extra for each in asked if canonicalize_name(each.name) == name for extra in each.extras}
        return found | {
            extra for each in self.wanted.asked.directs if each.name == name for extra in each.extras
        }

    async def _ask(self, log: Log, *options: str) -> int:
        self._said = last_words()
        command = self._command(*options, str(self._file))
        code = await self._uv.run(command, directory=self._directory, on_line=heard(self._said, log))
        self._is_unsolvable = code == UNSOLVABLE
        return code

    def _without_wheel(self, code: int) -> list[str]:
        """The packages that stand in the way for want of a wheel alone, as uv says."""
        if code != UNSOLVABLE:
            return []
        found = {canonicalize_name(each["name"]) for each in _WITHOUT_WHEEL.finditer("\n".join(self._said))}
        return sorted(found - self._made.keys())

    def _found(self, answer: Path, names: Collection[str]) -> Iterator[Origin]:
        """The sources of packages that uv's answer, a `pylock.toml`, names."""
        for package in tomllib.loads(answer.read_text())["packages"]:
            if package["name"] in names and (sdist := package.get("sdist")):
                url = sdist.get("url") or (answer.parent / sdist["path"]).resolve().as_uri()
                yield _origin(
                    package["name"], package["version"], url, sdist.get("hashes", {}).get("sha256", "")
                )

    def _checked(self, text: str) -> Iterator[str]:
        """The lines of a lock, of pinned packages with hashes alone: what is required leads to no URL.

        A package that was made is pinned by its version, and by the hash of what it was made of.
        """
        made = {wheel.name: origin for origin, wheel in self._made.values()}
        is_made = False
        for line in text.splitlines():
            if (said := _MADE.match(line)) and (origin := made.get(unquote(said["wheel"]))):
                is_made = True
                yield f"{origin.pin} \\"
                yield f"    --hash=sha256:{origin.sha256}"
            elif not is_made or not _HASH.match(line):
                is_made = False
                require_pin(line)
                yield line

    def _hint(self, message: str, missing: Sequence[str]) -> str:
        """What its author can do, beside what uv says."""
        if "was not found in the package registry" in message:
            return "(Check its name; only the index that the builder's operator names is asked.)"
        if missing:
            places = self.wanted.asked.places
            who = " and ".join(f"{name} ({places.get(name, 'needed by others')})" for name in missing)
            return (
                f"(Only wheels are taken of {who}, as anything else runs its author's code to be built: "
                "choose a version that has one for this Python and platform, or ask the builder's operator, "
                "whose setting SO1S_SOURCE_ACCOUNTS names the accounts that have packages built from source.)"
            )
        if "no usable wheels" in message or "no wheels" in message:
            return "(Choose a version that has a wheel for this Python and platform.)"
        theirs = [need for need in self.wanted.needs if _name(need) in message]
        if theirs:
            return f"(The inference server itself needs {', '.join(theirs)}.)"
        return "(Loosen or remove one of the versions that are named.)"


def _project(packages: Sequence[str], torch_index: str) -> str:
    """A project's file whose PyTorch is of an index that nothing else is taken from."""
    # Strings and lists of JSON are TOML's, too.
    return _PROJECT.format(
        packages=json.dumps(packages), torch=TORCH, name=TORCH_INDEX, url=json.dumps(torch_index)
    )


def require_pin(line: str) -> None:
    """Refuse a line of a lock that is no pinned package and no hash. Raises BuildError."""
    if line and not _PIN.match(line) and not _HASH.match(line):
        message = f"a package leads to {line!r:.200}, which is no version of an index"
        raise BuildError("dependencies", message)


def _name(need: str) -> str:
    return canonicalize_name(re.split(r"[\s<>=!~;\[]", need)[0])


def _origin(name: str, version: str, url: str, sha256: str) -> Origin:
    """A source of an index. Raises BuildError where its URL is none that a lock can tell."""
    if not re.fullmatch(r"\S+", url) or not url.startswith(("https://", "http://", "file://")):
        raise BuildError("dependencies", f"{name} {version} lies at {url!r:.200}, which is no URL of a file")
    return Origin(canonicalize_name(name), version, url, sha256, of_index=True)
