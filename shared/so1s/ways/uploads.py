"""Uploads that the console of a platform allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from so1s.errors import So1sError, Unreachable
from so1s.platform import ClientSettings
from so1s.ways.http import ask, check, client_options

_UPLOAD_SECONDS = 3600.0
"""For a file; each of its parts is sent within a minute."""
_PART_SECONDS = 60.0
_SHOWN_CHARACTERS = 300


class ConsoleTarget:
    """Where the console says that bytes go; see `so1s.artifacts.Target`."""

    def __init__(self, settings: ClientSettings) -> None:
        """See `client_options` for errors."""
        self._settings = settings
        self._options = client_options(settings)

    def put(self, file: Path, prefix: str, sha256: str) -> str:
        """See `Target`."""
        account, model, version = prefix.split("/")
        upload = {
            "account": account,
            "model": model,
            "version": version,
            "file": file.name,
            "sha256": sha256,
            "size_bytes": file.stat().st_size,
        }
        with httpx.Client(**self._options) as http:
            answer = ask(self._settings, http, "POST", "/v1/artifacts", json=upload).json()
        if answer["upload"]:
            self._send(file, answer["upload"])
        return answer["artifact"]["uri"]

    def _send(self, file: Path, upload: dict[str, Any]) -> None:
        """Send the bytes to the console, or to where it says; that place never sees the token."""
        url, is_console = upload["url"], upload["url"].startswith("/")
        options: dict[str, Any] = dict(self._options) if is_console else {}
        options["timeout"] = httpx.Timeout(_UPLOAD_SECONDS, connect=_PART_SECONDS, write=_PART_SECONDS)
        with httpx.Client(**options) as http, file.open("rb") as body:
            try:
                answer = http.request(upload["method"], url, content=body, headers=upload["headers"])
            except httpx.TransportError as error:
                raise Unreachable(f"{file.name} cannot be sent to {_place(url)}: {error}") from error
        if is_console:
            check(self._settings, answer)
        elif answer.is_error:
            said = f"HTTP {answer.status_code}: {answer.text[:_SHOWN_CHARACTERS]}"
            raise So1sError(f"{file.name} cannot be sent to {_place(url)}: {said}")


def _place(url: str) -> str:
    """A URL as it may be shown: its query is a credential."""
    return url.partition("?")[0]
