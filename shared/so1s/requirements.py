"""`requirements.txt`: the packages that a model's code needs, by name and version, or from an https URL.

Of pip's format (https://pip.pypa.io/en/stable/reference/requirements-file-format/) names, versions, extras,
markers, hashes and `NAME @ https://…/FILE` are taken; which URLs are fetched, the builder's operator says.
Whatever else would reach past the index that the operator names is refused: options, version control, paths,
variables. What is taken is written anew, so that who installs it reads what was checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from so1s.errors import InvalidInput, Problem, shown, without_credentials

FILE_NAME = "requirements.txt"
MAX_BYTES = 64 * 1024
MAX_PACKAGES = 500

_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)")
_SHA256 = re.compile(r"(?:--hash=sha256:|#sha256=)([0-9a-f]{64})(?=[\s;]|$)")
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
_FROM_URL = re.compile(r"^[\w.-]+\s*(\[[^\]]*\])?\s*@\s*https://", re.IGNORECASE)
_URL = re.compile(
    r"https://(?P<host>[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?)"
    r"(/(?!\.{1,2}/)([A-Za-z0-9._~+!-]|%2[Bb])+)+"
    r"(#sha256=(?P<sha256>[0-9a-f]{64}))?"
)
"""Plain enough that what begins with a prefix lies below it, whoever reads it."""
_ALLOWED_URL = (
    "allowed: NAME @ https://HOST/PATH/FILE with the file name of a wheel (.whl) or a source distribution "
    "(.tar.gz, .zip) of that name, without user, query or fragment but #sha256=…, below a place that the "
    "builder's operator names by SO1S_PACKAGE_URLS"
)


@dataclass(frozen=True, slots=True)
class Direct:
    """A package from a URL instead of an index."""

    name: str
    """Normalised."""
    version: str
    """As the file's name says it."""
    url: str
    """https, without user, query and fragment."""
    extras: tuple[str, ...] = ()
    marker: str | None = None
    """Where it is needed; None for everywhere."""

    @property
    def is_wheel(self) -> bool:
        """Whether it is installed as it is, rather than built from source."""
        return self.url.endswith(".whl")

    @property
    def file_name(self) -> str:
        """The last part of its URL, decoded."""
        return _file_name(self.url)

    def __str__(self) -> str:
        """As a line of `requirements.txt`."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{extras} @ {self.url}{marker}"


@dataclass(frozen=True, slots=True)
class Requirements:
    """Checked requirements."""

    packages: tuple[str, ...]
    """Of an index, in one spelling, sorted: two files that ask for the same are the same."""
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By normalised name, the sha256 of the files that are allowed; of a name that is absent, any file is."""
    directs: tuple[Direct, ...] = ()
    """Of URLs, sorted by name."""
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    """By normalised name, where it is asked for first, such as `requirements.txt line 3`."""

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
        directs: dict[str, Direct] = {}
        hashes: dict[str, frozenset[str]] = {}
        places: dict[str, str] = {}
        problems: list[Problem] = []
        for place, line in lines:
            try:
                requirement = _requirement(line)
                name = canonicalize_name(requirement.name)
                if requirement.url is None:
                    packages.add(str(requirement))
                elif directs.setdefault(name, direct := _direct(requirement)) != direct:
                    raise ValueError(f"{places[name]} has another URL of it; allowed: one")  # noqa: TRY301 - a problem of this line
            except ValueError as error:
                problems.append(Problem(place, shown(without_credentials(line)), str(error)))
                continue
            places.setdefault(name, place)
            if allowed := frozenset(_SHA256.findall(line)):
                hashes[name] = hashes.get(name, frozenset()) | allowed
        if (number := len(packages) + len(directs)) > MAX_PACKAGES:
            problems.append(Problem(FILE_NAME, f"{number} packages", f"allowed: at most {MAX_PACKAGES}"))
        if problems:
            raise InvalidInput(problems[:20])
        return cls(tuple(sorted(packages)), hashes, tuple(directs[name] for name in sorted(directs)), places)


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
    checked = _without_url(bare) if _FROM_URL.match(bare) else bare
    allowed = _ALLOWED_URL if "@" in bare or "://" in bare else _ALLOWED
    for pattern, why in _REFUSED.items():
        if pattern.search(checked):
            raise ValueError(f"{why}; {allowed}")
    try:
        requirement = Requirement(bare)
    except InvalidRequirement as error:
        raise ValueError(f"{str(error).splitlines()[0]}; {allowed}") from error
    if canonicalize_name(requirement.name) in _OURS:
        raise ValueError("it is part of every image; leave it out")
    return requirement


def _without_url(bare: str) -> str:
    """`NAME[EXTRAS] MARKER` of `NAME[EXTRAS] @ URL MARKER`."""
    name, _, rest = bare.partition("@")
    return f"{name.strip()} {' '.join(rest.split()[1:])}"


def _direct(requirement: Requirement) -> Direct:
    """What a requirement with a URL asks for. Raises ValueError, which says why it is refused."""
    url, name = requirement.url or "", canonicalize_name(requirement.name)
    if not _URL.fullmatch(url):
        raise ValueError(f"packages are not taken from this URL; {_ALLOWED_URL}")
    url = url.partition("#")[0]
    try:
        of_file, version = _parsed(_file_name(url))
    except ValueError as error:
        raise ValueError(f"{error}; {_ALLOWED_URL}") from error
    if of_file != name:
        raise ValueError(f"its file is one of {of_file}; {_ALLOWED_URL}")
    marker = str(requirement.marker) if requirement.marker else None
    return Direct(name, version, url, tuple(sorted(requirement.extras)), marker)


def _file_name(url: str) -> str:
    return unquote(url.rpartition("/")[2])


def _parsed(file_name: str) -> tuple[str, str]:
    """The normalised name and the version of a distribution's file."""
    if file_name.endswith(".whl"):
        name, version, _build, _tags = parse_wheel_filename(file_name)
    else:
        name, version = parse_sdist_filename(file_name)
    return name, str(version)
