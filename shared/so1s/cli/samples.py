"""A body to try a model with: the sample of its author, or else a row of zeros."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from so1s.broker.reader import Reader, decoded
from so1s.cli import api
from so1s.cli.ask import run
from so1s.errors import InvalidInput, So1sError
from so1s.events import ModelUploaded
from so1s.modelfile import FILE_NAME, ModelFile
from so1s.platform import ClientSettings


def find(settings: ClientSettings, account: str, connect: str, host: str) -> str:
    """A JSON body that the version behind an endpoint takes.

    Args:
        settings: of the platform.
        account: whose endpoint it is.
        connect: the URL to connect to.
        host: the endpoint's name on the gateway.

    Raises:
        So1sError: the endpoint does not say what it takes.
    """
    with api.client(connect) as http:
        served = http.get("/v2", headers={"host": host}).headers.get("x-model", "")
        model, at, version = served.partition("@")
        if not at:
            raise So1sError(f"no model answers at {host}; so1s status shows what serves")
        sample = _of_the_author(settings, account, model, version)
        if sample is not None:
            return sample
        described = http.get(f"/v2/models/{model}/versions/{version}", headers={"host": host})
    if described.is_error:
        raise So1sError(f"{host} does not describe {served}: HTTP {described.status_code}; give --data")
    return json.dumps({each["name"]: _zeros(each) for each in described.json()["inputs"]})


def _zeros(described: dict[str, Any]) -> Any:
    value: Any = {"BYTES": "", "BOOL": False}.get(described["datatype"], 0)
    for length in reversed(described["shape"]):
        value = [value] * (1 if length == -1 else length)
    return value


def _of_the_author(settings: ClientSettings, account: str, model: str, version: str) -> str | None:
    """The sample in the uploaded artifact, where it is a tar on this machine."""
    uploaded = run(settings, _upload(settings, account, model, version))
    if uploaded is None or not uploaded.artifact.uri.startswith("file://"):
        return None
    path = Path(unquote(urlsplit(uploaded.artifact.uri, allow_fragments=False).path))
    try:
        with tarfile.open(path) as archive:
            described = ModelFile.parse(_member(archive, FILE_NAME))
            return _member(archive, described.sample).decode() if described.sample else None
    except (OSError, tarfile.TarError, KeyError, InvalidInput, UnicodeDecodeError):
        return None  # a bare model, or an artifact that is gone


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        raise KeyError(name)
    return member.read()


async def _upload(settings: ClientSettings, account: str, model: str, version: str) -> ModelUploaded | None:
    wanted = (account, model, version)
    async with Reader(settings, [ModelUploaded.topic.name]) as reader:
        uploads = [each.event async for record in reader.past() if (each := decoded(record))]
    return next((each for each in uploads if (each.account, each.model, each.version) == wanted), None)
