"""Where uv's configuration lets packages come from: its indexes, and the proxies on the way to them."""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

Address = tuple[str, int]
"""A host in lower case, and a port."""

_PYPI = "https://pypi.org/simple"
_FILES = {("pypi.org", 443): ("files.pythonhosted.org", 443)}
"""Where an index has its files, if that is elsewhere."""
_PORTS = {"http": 80, "https": 443}
_DEFAULT_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
_MORE = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_NAMED = re.compile(r"^[\w.-]+=(?=\S+://)")
"""`NAME=` of an index."""


@dataclass(frozen=True, slots=True)
class IndexAccess:
    """What uv needs to reach its indexes."""

    hosts: frozenset[Address]
    files: tuple[Path, ...]
    """Of this machine: configuration, credentials of indexes, and indexes that are directories."""
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those that their URLs have: `HOST:PORT` to `USER:PASSWORD`."""


def index_access(
    environment: Mapping[str, str], more: Sequence[str], indexes: Sequence[str] = ()
) -> IndexAccess:
    """What uv needs to reach the indexes of its environment, of its configuration and of its command.

    https://docs.astral.sh/uv/concepts/configuration-files says where configuration lies.

    Args:
        environment: uv's.
        more: hosts that the indexes send uv to, as `HOST` or `HOST:PORT`.
        indexes: URLs of those that its command names.
    """
    files = [file for file in _configuration(environment) if file.is_file()]
    said = [*_of_environment(environment), *(each for file in files for each in _of_file(file))]
    urls = [*indexes, *(url for _is_default, url in said)]
    if not any(is_default for is_default, _url in said):
        urls.append(_PYPI)
    hosts = {address for url in urls if (address := _address(url))}
    hosts |= {files_of for index, files_of in _FILES.items() if index in hosts}
    hosts |= {address for host in more if (address := _address(f"https://{host}"))}
    local = [path for url in urls if (path := _path(url))]
    logins = {
        f"{address[0]}:{address[1]}": login
        for url in urls
        if (address := _address(url)) and (login := _login(url))
    }
    return IndexAccess(frozenset(hosts), (*files, *_credentials(environment), *local), logins)


def access_below(prefixes: Sequence[str], environment: Mapping[str, str]) -> IndexAccess:
    """What it takes to fetch what lies below some URLs, and nothing of an index."""
    hosts = {address for prefix in prefixes if (address := _address(prefix))}
    return IndexAccess(frozenset(hosts), (*_credentials(environment),))


def proxy_to(scheme: str, address: Address) -> str | None:
    """The URL of the proxy that this process's environment has for an address; None for none."""
    proxies = getproxies()
    host, port = address
    if proxy_bypass(f"{host}:{port}"):
        return None
    return proxies.get(scheme) or proxies.get("all")


def _of_environment(environment: Mapping[str, str]) -> Iterator[tuple[bool, str]]:
    """The URLs that it has, and whether each takes the place of the public index."""
    for name in (*_DEFAULT_INDEX, *_MORE):
        for each in re.split(r"[\s,]+", environment.get(name, "").strip()):
            yield name in _DEFAULT_INDEX and each != "", _NAMED.sub("", each)


def _of_file(file: Path) -> Iterator[tuple[bool, str]]:
    """The same of a `uv.toml`; uv itself says what is wrong with one that cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        said = tomllib.loads(file.read_text())
        for table in (said, said.get("pip", {})):
            yield from _of_table(table)


def _of_table(table: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    if "index-url" in table:
        yield True, table["index-url"]
    for index in table.get("index", []):
        yield bool(index.get("default")), index["url"]
    for name in ("extra-index-url", "find-links"):
        for url in table.get(name, []):
            yield False, url


def _configuration(environment: Mapping[str, str]) -> Iterator[Path]:
    if "UV_CONFIG_FILE" in environment:
        yield Path(environment["UV_CONFIG_FILE"]).absolute()
        return
    yield Path(environment.get("XDG_CONFIG_HOME") or _home(environment) / ".config", "uv/uv.toml")
    for directory in (*environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":"), "/etc"):
        yield Path(directory, "uv/uv.toml")


def _credentials(environment: Mapping[str, str]) -> Iterator[Path]:
    home = _home(environment)
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    named = environment.get("UV_CREDENTIALS_DIR")
    for path in (
        Path(environment.get("NETRC") or home / ".netrc"),
        Path(named) if named else data / "uv/credentials",
    ):
        if path.exists():
            yield path.absolute()


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - which does not raise


def _address(url: str) -> Address | None:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.hostname and (port := parts.port or _PORTS.get(parts.scheme)):
            return parts.hostname.rstrip("."), port
    return None


def _login(url: str) -> str | None:
    parts = urlsplit(url)
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None


def _path(url: str) -> Path | None:
    """An index, or a file of links, on this machine."""
    if "://" in url and not url.startswith("file://"):
        return None
    path = Path(unquote(urlsplit(url).path) if url.startswith("file://") else url)
    return path if url and path.is_absolute() and path.exists() else None
