r"""Lock files as uv exports them: a line `NAME==VERSION ; MARKER`, and `--hash=sha256:…` for each file.

Below them stands where a file is from that is no wheel of an index, and what builds it if that is its source,
as comments to an installer:

    # NAME==VERSION from URL            or, where an index has it: # NAME==VERSION of an index, from URL
    #| setuptools==80.9.0 \
    #|     --hash=sha256:…
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from services.builder.domain.failure import BuildError

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:(?P<sha256>[0-9a-f]{64})")
_ORIGIN = re.compile(
    r"^# (?P<name>[a-z0-9-]+)==(?P<version>[^\s,]+)(?P<index> of an index,)? from (?P<url>\S+)$"
)
_OF_TOOLS = "#| "


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a package is from whose file is no wheel of an index."""

    name: str
    """Normalised."""
    version: str
    url: str
    sha256: str = ""
    """Of the file there, in hexadecimal; nothing where that is not known yet."""
    of_index: bool = False
    """Whether an index has it, which then has no wheel of it."""
    tools: str = ""
    """What builds it, as the text of a lock; of a wheel, and where its source brings that along, nothing."""

    @property
    def is_built(self) -> bool:
        """Whether it is built from source here."""
        return not self.file_name.endswith(".whl")

    @property
    def pin(self) -> str:
        """As the line of a lock begins."""
        return f"{self.name}=={self.version}"

    @property
    def file_name(self) -> str:
        """The last part of its URL, decoded."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def place(self) -> str:
        """Its URL as people see it: without a query, in which some indexes have a password."""
        return self.url.partition("?")[0]

    @property
    def built_by(self) -> tuple[tuple[str, str], ...]:
        """The normalised names and the versions of what builds it, sorted."""
        return tuple(sorted(Lock(self.pin, self.tools).hashes))


@dataclass(frozen=True, slots=True)
class Lock:
    """A set of libraries, to the last byte: what a layer is made of and known by."""

    name: str
    """What people call it, such as the format that it serves. Locks of one text are the same libraries."""
    text: str
    torch_index: str | None = None
    """The URL of the index that its PyTorch lies on; None for where the others lie."""

    @property
    def sha256(self) -> str:
        """Of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def hashes(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """The sha256 of each file that it allows, by normalised name and version, sorted."""
        found: dict[tuple[str, str], list[str]] = {}
        present: list[str] = []
        for line in self.text.splitlines():
            if pin := _PIN.match(line):
                present = found.setdefault((normalised(pin["name"]), pin["version"]), [])
            if not line.startswith("#"):
                present.extend(each["sha256"] for each in _HASH.finditer(line))
        return {pin: tuple(sorted(each)) for pin, each in found.items()}

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Of the packages whose files are no wheels of an index, sorted by name."""
        hashes, found = self.hashes, list[Origin]()
        for line in self.text.splitlines():
            if said := _ORIGIN.match(line):
                (sha256,) = hashes[said["name"], said["version"]]
                of_index = said["index"] is not None
                found.append(Origin(said["name"], said["version"], said["url"], sha256, of_index))
            elif line.startswith(_OF_TOOLS):
                tools = f"{found[-1].tools}{line.removeprefix(_OF_TOOLS)}\n"
                found[-1] = replace(found[-1], tools=tools)
        return tuple(found)

    def telling(self, origins: Iterable[Origin]) -> Lock:
        """The lock that says where these packages of it are from."""
        told = [line for each in sorted(origins, key=lambda each: each.name) for line in _told(each)]
        return replace(self, text=self.text + "".join(f"{line}\n" for line in told))


def _told(origin: Origin) -> Iterator[str]:
    yield f"# {origin.pin}{' of an index,' if origin.of_index else ''} from {origin.url}"
    yield from (_OF_TOOLS + line for line in origin.tools.splitlines())


def merged(lock: Lock, more: Lock) -> Lock:
    """A lock of the libraries of two; where both have one, it is the first one's.

    Of two locks that one resolution made, it is what that would have made of both together.
    """
    entries = {**_entries(more.text), **_entries(lock.text)}
    return Lock(f"{lock.name} with {more.name}", "".join(entries[name] for name in sorted(entries)))


def _entries(text: str) -> dict[str, str]:
    """The lines of each library, by its normalised name."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if pin := _PIN.match(line):
            name = normalised(pin["name"])
        found[name] = found.get(name, "") + line
    return found


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def restricted(lock: Lock, allowed: Mapping[str, Collection[str]]) -> Lock:
    """A lock without the files that its author does not allow.

    Args:
        lock: of all files of each version.
        allowed: the sha256 of files by normalised name; of a name that is absent, any file is.

    Raises:
        BuildError: of a package, no file is left.
    """
    lines: list[str] = []
    for line in lock.text.splitlines():
        if pin := _PIN.match(line):
            lines.append(line.rstrip(" \\"))
            name = normalised(pin["name"])
            _require_one(name, pin["version"], lock, allowed.get(name))
        elif (file := _HASH.search(line)) and file["sha256"] in allowed.get(name, {file["sha256"]}):
            lines[-1] += " \\"
            lines.append(f"    --hash=sha256:{file['sha256']}")
    return replace(lock, text="\n".join([*lines, ""]))


def _require_one(name: str, version: str, lock: Lock, allowed: Collection[str] | None) -> None:
    if allowed is not None and not set(allowed) & set(lock.hashes[name, version]):
        message = f"{name} {version} has no file with a hash that the requirements allow"
        raise BuildError("dependencies", message)
