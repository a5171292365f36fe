"""Builds a package from its source, by its author's code, in an enclosure of its own without a network.

    python -m so1s_inspection.building LIMITS ANSWER STEP

LIMITS are those of the enclosure, in JSON. The source is the one file of MODEL, an archive; what builds it
lies in DEPENDENCIES, and no other package is found. The file descriptor ANSWER takes what the step asks for,
see `backend`; without an answer, the words on the way there are the reason.

What a build sees of its surroundings is the same each time: paths, user, host name, environment, umask, and
the times of its files.
"""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from functools import partial
from pathlib import Path

from . import enclosure
from .places import CODE, DEPENDENCIES, MODEL, TEMPORARY

SOURCE = "source"
"""The directory that is lent."""
_EPOCH = 315_532_800
"""1980-01-01, in seconds: the first day that a wheel can tell."""
_ENVIRONMENT = {
    "HOME": f"{TEMPORARY}/home",
    "LC_ALL": "C.UTF-8",
    "PATH": f"{TEMPORARY}/environment/bin:{DEPENDENCIES}/bin:{os.defpath}",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": DEPENDENCIES,  # of scripts there, which start with the interpreter alone
    "SOURCE_DATE_EPOCH": str(_EPOCH),
    "TZ": "UTC",
}


def main(limits: enclosure.Limits, answer: int, step: str) -> None:
    """Take a step."""
    enclosure.become_nobody()
    enclosure.run(partial(_build, answer, step), SOURCE, limits, sys.stdout.fileno())


def _build(answer: int, step: str) -> None:
    os.umask(0o022)
    for name in ("home", "source", "wheel"):
        Path(TEMPORARY, name).mkdir()
    (archive,) = Path(MODEL).iterdir()
    try:
        source = _unpacked(archive, Path(TEMPORARY, "source"))
    except Exception as error:  # noqa: BLE001 - broken archives raise whatever there is
        reason = " ".join(str(error).split())
        print(f"{archive.name} is no archive of one directory: {reason}", flush=True)  # noqa: T201 - read there
        return
    command = [str(_interpreter()), "-P", f"{CODE}/so1s_inspection/backend.py", str(answer), step]
    subprocess.run(command, cwd=source, env=_ENVIRONMENT, pass_fds=[answer], check=False)  # noqa: S603 - ours


def _unpacked(archive: Path, into: Path) -> Path:
    """The directory that the archive holds, with the times of all files set."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(into)  # noqa: S202 - it goes with the enclosure, and names are made safe
    else:
        with tarfile.open(archive) as packed:
            if hasattr(tarfile, "data_filter"):  # since Python 3.11.4; without, the enclosure is what holds
                packed.extraction_filter = tarfile.data_filter
            packed.extractall(into)  # noqa: S202 - likewise
    for path in into.rglob("*"):
        os.utime(path, (_EPOCH, _EPOCH), follow_symlinks=False)
    (directory,) = (path for path in into.iterdir() if path.is_dir())
    return directory


def _interpreter() -> Path:
    """That of a virtual environment whose packages are DEPENDENCIES, and no other ones of this machine."""
    environment = Path(TEMPORARY, "environment")
    packages = environment / f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    for directory in (environment / "bin", packages):
        directory.mkdir(parents=True)
    (packages / "site-packages").symlink_to(DEPENDENCIES)
    python = environment / "bin/python"
    python.symlink_to(sys.executable)
    (environment / "bin/python3").symlink_to("python")
    home = f"home = {Path(sys.executable).parent}\ninclude-system-site-packages = false\n"
    (environment / "pyvenv.cfg").write_text(home)
    return python


if __name__ == "__main__":
    main(enclosure.Limits(**json.loads(sys.argv[1])), int(sys.argv[2]), sys.argv[3])
