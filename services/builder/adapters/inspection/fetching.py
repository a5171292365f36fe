"""Fetches one file over HTTP; no code of it runs.

    python fetching.py URL INTO MOST_BYTES [PREFIX…]

A redirect leads below one of the prefixes, where any is given. The environment's LOGINS are of indexes, in
JSON: `HOST:PORT` to `USER:PASSWORD`; those of other hosts are netrc's. The last line says why it failed.
"""

import base64
import json
import netrc
import os
import sys
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

REFUSED = 3
"""The exit code where another try would be in vain."""
LOGINS = "SO1S_INDEX_LOGINS"
_CHUNK_BYTES = 2**20
_SECONDS = 60
"""Without a byte."""
_VAIN = {400, 401, 403, 404, 405, 410, 451}
_PORTS = {"http": 80, "https": 443}


class _RefusedError(Exception):
    """What is asked for cannot be had."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where the prefixes allow it, and logs in anew there."""

    def __init__(self, prefixes: list[str]) -> None:
        self._prefixes = prefixes

    def redirect_request(  # noqa: PLR0917 - as urllib calls it
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse what leads elsewhere, or from TLS to none."""
        parts = urlsplit(newurl)
        host = parts.netloc.rpartition("@")[2]  # without a login of its own
        place = f"{parts.scheme}://{host}{parts.path}"
        is_left = self._prefixes and not place.startswith(tuple(self._prefixes))
        path = unquote(parts.path)
        is_odd = "@" in parts.netloc or "\\" in path or ".." in path.split("/")
        if is_left or is_odd or (req.type == "https" and parts.scheme != "https"):
            raise _RefusedError(f"it leads to {place}, which is not allowed")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None:
            made.headers.pop("Authorization", None)
            _log_in(made)
        return made


def main(url: str, into: Path, most_bytes: int, prefixes: list[str]) -> None:
    """Fetch the file."""
    opener = urllib.request.build_opener(_Redirects(prefixes))
    request = urllib.request.Request(url, headers={"User-Agent": "so1s", "Accept-Encoding": "identity"})  # noqa: S310 - of the caller
    _log_in(request)
    with opener.open(request, timeout=_SECONDS) as answer, into.open("xb") as file:
        size = 0
        while data := answer.read(_CHUNK_BYTES):
            size += len(data)
            if size > most_bytes:
                raise _RefusedError(f"it has more than {most_bytes} bytes")
            file.write(data)
        if (said := answer.headers["Content-Length"]) and int(said) != size:
            raise OSError(f"{size} bytes came of {said}")


def _log_in(request: urllib.request.Request) -> None:
    parts = urlsplit(request.full_url)
    known = json.loads(os.environ.get(LOGINS, "{}"))
    login = known.get(f"{parts.hostname}:{parts.port or _PORTS.get(parts.scheme)}") or _of_netrc(
        parts.hostname
    )
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")


def _of_netrc(host: str | None) -> str | None:
    # Named even where it is the user's own: else netrc wants an owner of it whom a sandbox does not have.
    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")  # noqa: PTH111 - which does not raise
    try:
        found = netrc.netrc(path).hosts.get(host or "")  # not its default: that is for any host
    except OSError:
        return None
    except netrc.NetrcParseError as error:  # whose own words may be a password
        print(f"netrc cannot be read (line {error.lineno}), so that it has no login")  # noqa: T201 - read there
        return None
    return f"{found[0]}:{found[2]}" if found else None


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except _RefusedError as error:
        print(error)  # noqa: T201 - read there
        sys.exit(REFUSED)
    except urllib.error.HTTPError as error:
        # urllib's words on a redirect have its URL, and that may have a login.
        reason = "with a redirect that is not followed" if 300 <= error.code < 400 else error.reason  # noqa: PLR2004 - HTTP's
        print(f"its host answers {error.code} {reason}")  # noqa: T201 - read there
        sys.exit(REFUSED if error.code in _VAIN else 1)
    except (HTTPException, ValueError) as error:  # likewise
        print(f"its host does not answer as HTTP has it: {type(error).__name__}")  # noqa: T201 - read there
        sys.exit(1)
    except OSError as error:
        print(getattr(error, "reason", None) or error)  # noqa: T201 - read there
        sys.exit(1)
