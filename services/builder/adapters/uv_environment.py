"""What uv is told by its environment: its own settings, proxies and authorities, and nothing else of ours."""

from __future__ import annotations

import os

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
