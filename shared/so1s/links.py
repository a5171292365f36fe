"""Files under several names, which take no time and no room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link(source: str, target: str) -> None:
    """Give a file another name, in place of what had it; a `copy_function` of `shutil.copytree`.

    It is copied where that cannot be: on another file system, or one without links.
    """
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
