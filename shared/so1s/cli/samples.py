"""A body to try a model with: the sample of its author, or else a row of zeros."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from so1s.broker.reader import Reader, decoded
from so1s.cli import api
from so1s.cli.ask import run
from so1s.cli.bodies import Body
from so1s.cli.reach import NotWithToken
from so1s.content_types import JSON, content_type_of
from so1s.errors import InvalidInput, So1sError
from so1s.events import ModelUploaded
from so1s.modelfile import FILE_NAME, ModelFile
from so1s.platform import ClientSettings


def find(settings: ClientSettings, account: str, connect: str, host: str) -> Body:
    """A body that the version behind an endpoint takes.

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
        if (example := _of_the_page(http.get("/openapi.json", headers={"host": host}))) is not None:
            return example
        described = http.get(f"/v2/models/{model}/versions/{version}", headers={"host": host})
    if described.is_error:
        raise So1sError(f"{host} does not describe {served}: HTTP {described.status_code}; give --data")
    return Body(json.dumps({each["name"]: _zeros(each) for each in described.json()["inputs"]}).encode())


def _of_the_page(answer: httpx.Response) -> Body | None:
    """The example of the model's own page: its author's sample, or zeros."""
    if answer.is_error:
        return None
    try:
        body = answer.json()["paths"]["/predict"]["post"]["requestBody"]["content"][JSON]["example"]
    except (ValueError, KeyError, TypeError):
        return None  # too long for a page, or no page of ours
    return Body(json.dumps(body).encode())


def _zeros(described: dict[str, Any]) -> Any:
    value: Any = {"BYTES": "", "BOOL": False}.get(described["datatype"], 0)
    for length in reversed(described["shape"]):
        value = [value] * (1 if length == -1 else length)
    return value


def _of_the_author(settings: ClientSettings, account: str, model: str, version: str) -> Body | None:
    """The sample in the uploaded artifact, where it is a tar on this machine."""
    try:
        uploaded = run(settings, _upload(settings, account, model, version))
    except NotWithToken:
        return None  # the model's own page has it, too
    if uploaded is None or not uploaded.artifact.uri.startswith("file://"):
        return None
    path = Path(unquote(urlsplit(uploaded.artifact.uri, allow_fragments=False).path))
    try:
        with tarfile.open(path) as archive:
            described = ModelFile.parse(_member(archive, FILE_NAME))
            if described.sample is None:
                return None
            return Body(_member(archive, described.sample), content_type_of(described.sample))
    except (OSError, tarfile.TarError, KeyError, InvalidInput):
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
