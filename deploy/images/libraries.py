"""Libraries as uv installs them from what uv.lock pins: wheels alone, each by its hash."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path

import uv

_GLIBC = "2_36"
"""The base's C library, Debian 12's: the newest that a wheel may ask for."""
_SCRIPTS = ("bin/", "../../bin/")


def install(requirements: str, platform: str, into: Path) -> None:
    """Install into a new directory, whichever machine this is.

    Args:
        requirements: lines with hashes, as pip reads them.
        platform: what they shall run on, such as `linux-x86_64-cp311`.
        into: the directory.

    Raises:
        subprocess.CalledProcessError: uv refuses; it has printed why.
    """
    _system, machine, abi = platform.split("-", 2)
    version = abi.removeprefix("cp")
    command = [
        *(uv.find_uv_bin(), "pip", "install", "--quiet", "--require-hashes", "--no-deps"),
        "--no-build",  # a source distribution would run its author's code here
        "--link-mode=copy",  # what follows shall not change uv's cache
        *("--python-version", f"{version[0]}.{version[1:]}"),
        *("--python-platform", f"{machine}-manylinux_{_GLIBC}"),
        *("--target", str(into), "--requirement", "-"),
    ]
    subprocess.run(command, input=requirements, text=True, check=True)  # noqa: S603 - uv and its own export
    _drop_scripts(into)


def _drop_scripts(tree: Path) -> None:
    """Keep programs, such as uv itself; scripts begin with the path of this machine's interpreter."""
    (tree / ".lock").unlink(missing_ok=True)
    for path in tree.glob("bin/*"):
        with path.open("rb") as file:
            is_script = file.read(2) == b"#!"
        if is_script:
            path.unlink()
    for record in tree.glob("*.dist-info/RECORD"):
        record.write_text(_without_scripts(record.read_text()))


def _without_scripts(record: str) -> str:
    kept = sorted(row for row in csv.reader(io.StringIO(record)) if not row[0].startswith(_SCRIPTS))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    return text.getvalue()
