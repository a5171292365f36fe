"""Uploads that the console of a platform allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from so1s.errors import Unreachable
from so1s.platform import ClientSettings
from so1s.ways.http import ask, check, client_options
from so1s.ways.parts import PartSender
from so1s.ways.sending import TIMEOUT, place, refused


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
        with httpx.Client(**self._options) as console:
            answer = ask(self._settings, console, "POST", "/v1/artifacts", json=upload).json()
            offered = answer["upload"]
            if offered and "upload_id" in offered:
                PartSender(self._settings, console, upload, offered).send(file)
            elif offered:
                self._send(file, offered)
        return answer["artifact"]["uri"]

    def _send(self, file: Path, offered: dict[str, Any]) -> None:
        """Send the bytes to the console, or to where it says; that place never sees the token."""
        url, is_console = offered["url"], offered["url"].startswith("/")
        options: dict[str, Any] = (self._options if is_console else {}) | {"timeout": TIMEOUT}
        with httpx.Client(**options) as http, file.open("rb") as body:
            try:
                answer = http.request(offered["method"], url, content=body, headers=offered["headers"])
            except httpx.TransportError as error:
                raise Unreachable(f"{file.name} cannot be sent to {place(url)}: {error}") from error
        if is_console:
            check(self._settings, answer)
        elif answer.is_error:
            raise refused(file.name, url, answer)
