"""`requirements.txt`: the packages that a model's code needs, by name and version, and nothing else.

Of pip's format (https://pip.pypa.io/en/stable/reference/requirements-file-format/) names, versions, extras,
markers and hashes are taken. Whatever would reach past the index that the operator names is refused: options,
URLs, version control, paths, variables. What is taken is written anew, so that who installs it reads what was
checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from so1s.errors import InvalidInput, Problem, shown, without_credentials

FILE_NAME = "requirements.txt"
MAX_BYTES = 64 * 1024
MAX_PACKAGES = 500

_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)")
_REFUSED = {
    re.compile(r"(^|\s)-"): "options are not taken, as packages come from the index that the operator names",
    re.compile(r"\$\{"): "variables are not read",
    re.compile(r"\b(git|hg|svn|bzr)\+|\.git\b", re.IGNORECASE): "packages are not taken from version control",
    re.compile(r"://|@"): "packages are not taken from a URL",
    re.compile("==="): "versions are not compared as text, which may be any",
    re.compile(r"^[./~\\]|^[A-Za-z]:|\.(whl|zip|tar\.\w+|tgz)$"): "packages are not taken from a path",
}
"""What would reach past the index, and why it is refused."""
_OURS = frozenset({"so1s-runtime"})
_ALLOWED = "allowed: NAME with versions, such as numpy>=2.1 or numpy==2.1.3"


@dataclass(frozen=True, slots=True)
class Requirements:
    """Checked requirements."""

    packages: tuple[str, ...]
    """In one spelling, sorted: two files that ask for the same are the same."""
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By normalised name, the sha256 of the files that are allowed; of a name that is absent, any file is."""

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a `requirements.txt`.

        Raises:
            InvalidInput: each line that is refused, and why.
        """
        if len(text) > MAX_BYTES:
            raise InvalidInput.of(FILE_NAME, f"{len(text)} bytes", f"allowed: at most {MAX_BYTES} bytes")
        try:
            lines = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput.of(FILE_NAME, str(error), "allowed: UTF-8") from error
        return cls.of((f"{FILE_NAME} line {number}", line) for number, line in _lines(lines))

    @classmethod
    def of(cls, lines: Iterable[tuple[str, str]]) -> Self:
        """Check requirements, each after the place where it stands.

        Raises:
            InvalidInput: each that is refused, and why.
        """
        packages: set[str] = set()
        hashes: dict[str, frozenset[str]] = {}
        problems: list[Problem] = []
        for place, line in lines:
            try:
                requirement = _requirement(line)
            except ValueError as error:
                problems.append(Problem(place, shown(without_credentials(line)), str(error)))
                continue
            packages.add(str(requirement))
            if allowed := frozenset(_HASH.findall(line)):
                name = canonicalize_name(requirement.name)
                hashes[name] = hashes.get(name, frozenset()) | allowed
        if len(packages) > MAX_PACKAGES:
            problems.append(
                Problem(FILE_NAME, f"{len(packages)} packages", f"allowed: at most {MAX_PACKAGES}")
            )
        if problems:
            raise InvalidInput(problems[:20])
        return cls(tuple(sorted(packages)), hashes)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """What each line says without its comment, and its number; one that ends with a backslash goes on."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first if begun else number
        said = begun + _COMMENT.sub("", line)
        if said.endswith("\\"):
            begun = said[:-1] + " "
            continue
        if said.strip():
            yield first, said.strip()
        begun = ""
    if begun.strip():
        yield first, begun.strip()


def _requirement(line: str) -> Requirement:
    """A line as what it asks for. Raises ValueError, which says why it is refused."""
    if not line.replace("\t", " ").isprintable():
        raise ValueError("allowed: printable characters")
    bare = _HASH.sub("", line).strip()
    for pattern, why in _REFUSED.items():
        if pattern.search(bare):
            raise ValueError(f"{why}; {_ALLOWED}")
    try:
        requirement = Requirement(bare)
    except InvalidRequirement as error:
        raise ValueError(f"{str(error).splitlines()[0]}; {_ALLOWED}") from error
    assert not requirement.url, "an @ is refused above"
    if canonicalize_name(requirement.name) in _OURS:
        raise ValueError("it is part of every image; leave it out")
    return requirement
