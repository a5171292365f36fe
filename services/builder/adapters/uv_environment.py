"""Where uv runs, and what it is told there: its own settings, proxies and authorities, and nothing else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_NAMES = frozenset(
    {
        *("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"),
        *("HOME", "LANG", "LC_ALL", "NETRC", "PATH", "TMPDIR", "USER"),
        *("SSL_CERT_DIR", "SSL_CERT_FILE", "SSL_CLIENT_CERT"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    }
)


def uv_environment() -> dict[str, str]:
    """This process's own, so far as it is uv's business: secrets have many names, and uv's few."""
    known = {
        name: value for name, value in os.environ.items() if name.upper() in _NAMES or name.startswith("UV_")
    }
    return known | {"UV_NO_PROGRESS": "1"}


@contextmanager
def uv_directory(parent: Path | None, prefix: str) -> Generator[Path, None, None]:
    """A directory for one command of uv's, which goes with it; None for the parent of all such ones.

    uv reads the nearest configuration of the directories above, and whoever writes one would choose the
    index: an empty one here is nearer. The user's and the system's are read as ever.
    """
    with tempfile.TemporaryDirectory(dir=parent, prefix=prefix) as temporary:
        directory = Path(temporary)
        (directory / "uv.toml").touch()
        yield directory
