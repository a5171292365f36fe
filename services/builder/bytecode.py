"""Bytecode of an image's libraries: a replica imports in a fifth of the time, and writes nothing."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath

from services.builder.stop import Stop

_FAULT = re.compile(r"OSError: \[Errno (?P<errno>\d+)\]")
_CHECK = f"""
import marshal, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.pyc"):
    try:
        marshal.loads(path.read_bytes()[16:])
    except (EOFError, ValueError, TypeError):
        sys.exit("OSError: [Errno {errno.ENOSPC}] " + str(path))
"""
"""Python writes a file in one call, and some releases do not look whether the disk took all of it."""

# Frozen sets are written in the order of their hashes.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PATH": os.defpath}


def compile_tree(_stop: Stop, python: Path, tree: Path, root: PurePosixPath) -> None:
    """Compile all modules below a directory, the same to the last byte wherever it lies.

    Args:
        python: the interpreter that will run them.
        tree: the directory; bytecode that is there is replaced.
        root: where an image has it, as tracebacks shall say.

    Raises:
        OSError: the disk did not take all of it.
    """
    for cache in [*tree.rglob("__pycache__")]:
        shutil.rmtree(cache)
    command = [
        *(str(python), "-S", "-s", "-m", "compileall", "-q", "-j0"),
        # Valid whatever the source's modification time, which an image does not keep.
        *("--invalidation-mode", "unchecked-hash"),
        *("-x", "/tests?/"),  # a third of a library's files, which no server imports
        *("-s", str(tree), "-p", str(root), str(tree)),
    ]
    # A file that does not compile is a library's test or template: its import would fail all the same.
    for words in (command, [str(python), "-S", "-s", "-c", _CHECK, str(tree)]):
        said = subprocess.run(words, env=_ENVIRONMENT, check=False, capture_output=True, text=True)  # noqa: S603 - no input in it
        if found := _FAULT.search(said.stdout + said.stderr):
            raise OSError(int(found["errno"]), f"{os.strerror(int(found['errno']))} as bytecode was written")
