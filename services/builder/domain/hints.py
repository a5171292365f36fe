"""What to do about errors that libraries and installers put in their own words."""

from __future__ import annotations

import re
from collections.abc import Iterable

_COMPILERS = r"\S*\b(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|gfortran)"
_NO_COMPILER = (
    rf"'?{_COMPILERS}'? failed: No such file|No such file or directory: '{_COMPILERS}'|Unknown compiler"
    r"|No CMAKE_C\w*_COMPILER|can't find Rust compiler|cargo, the Rust package manager, is not installed"
)
"""In the words of setuptools, Meson, CMake, setuptools-rust and maturin."""

_FROM_SOURCE = r"(?P<what>\S+) cannot be built from source(?:.|\n)*"

_HINTS: tuple[tuple[str, str], ...] = (
    (
        rf"{_FROM_SOURCE}(?:{_NO_COMPILER})",
        (
            "{what} has parts that a compiler builds (C, C++, Fortran, Rust), and this builder has none: "
            "choose a version with a wheel, put a wheel on the index, or ask for a builder with a compiler"
        ),
    ),
    (
        rf"{_FROM_SOURCE}No module named '(?P<module>[\w.]+)'",
        (
            "to be built, {what} imports {module}, which its pyproject.toml does not ask for: choose a "
            "version with a wheel, or one whose build-system.requires names it"
        ),
    ),
    (
        rf"{_FROM_SOURCE}(?:MemoryError|[Cc]annot allocate memory|MiB of memory)",
        "{what} needs more memory to be built than a builder gives it: SO1S_SOURCE_MEMORY_MIB",
    ),
    (
        rf"{_FROM_SOURCE}No space left on device",
        "{what} writes more while it is built than a builder lets it: SO1S_SOURCE_TEMPORARY_MIB",
    ),
    (
        r"No module named '(?P<what>[\w.]+)'",
        "the model's code imports {what}, which is not among its libraries: add it to requirements.txt",
    ),
    (
        r"[Hh]ash mismatch",
        "the index has other bytes than the lock names: a mirror changes files, or a release was replaced",
    ),
    (
        r"MemoryError|[Cc]annot allocate memory|MiB of memory",
        "the model needs more memory than a builder gives it to be tried: SO1S_INSPECT_MEMORY_MIB",
    ),
    (
        r"ended by SIGKILL",
        "the kernel ends what takes most memory where there is no more: a builder needs twice a model's size",
    ),
    (
        r"did not load within",
        "the model needs more time than a builder gives it to be tried: SO1S_INSPECT_SECONDS",
    ),
)


def hint(lines: Iterable[str]) -> str | None:
    """What the first known error among the lines of a failed build asks for; None where none is known."""
    text = "\n".join(lines)
    for pattern, advice in _HINTS:
        if found := re.search(pattern, text):
            return advice.format_map(found.groupdict())
    return None
