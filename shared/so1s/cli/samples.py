"""A body to try a model with: the sample of its author, or else a row of zeros.

Whatever the gateway answers is charged as a request. So a sample is looked for where that costs nothing, and
the model itself is asked only where there is none, once, and only after that was said.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from so1s.broker.reader import Reader, decoded
from so1s.cli import api
from so1s.cli.ask import run
from so1s.cli.bodies import Body
from so1s.cli.reach import NotWithToken
from so1s.content_types import ANY, JSON, content_type_of
from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.events import ImageBuilt, ModelUploaded, Tensor
from so1s.modelfile import FILE_NAME, ModelFile
from so1s.platform import ClientSettings
from so1s.ways import http as console

Version = tuple[str, str]
"""A model's name and its version's."""

_FORM = "multipart/form-data"


def find(
    settings: ClientSettings,
    account: str,
    endpoint: str,
    *,
    connect: str,
    host: str,
    hear: Callable[[str], None],
) -> Body:
    """A body that the version behind an endpoint takes; of several, the one with the largest weight.

    Args:
        settings: of the platform.
        account: whose endpoint it is.
        endpoint: its name.
        connect: the URL of the gateway to connect to.
        host: the endpoint's name on the gateway.
        hear: is told before the model itself is asked, as that is charged.

    Raises:
        InvalidInput: there is no such endpoint.
        So1sError: the model has no example of what it takes, or does not answer.
    """
    served = _served(settings, account, endpoint)
    body = _kept(settings, account, served) if served else None
    whose = "" if account == settings.account else f" --account {account}"
    return body or _of_the_model(connect, host, hear, command=f"so1s predict {endpoint}{whose}")


def _served(settings: ClientSettings, account: str, endpoint: str) -> Version | None:
    """The version that takes most of an endpoint's traffic; None where nobody tells."""
    endpoints = _endpoints(settings, account)
    if endpoints is None:
        return None
    names = {each["endpoint"]: each for each in endpoints if not each["removed"]}
    if endpoint not in names:
        allowed = f"allowed: an endpoint of {account}: {', '.join(names) or 'none yet'}"
        raise InvalidInput.of("endpoint", endpoint, allowed)
    serving = [each for each in names[endpoint]["variants"] if each["weight"] and each["model"]]
    if not serving:
        return None
    first = max(serving, key=lambda each: each["weight"])
    return first["model"], first["version"]


def _endpoints(settings: ClientSettings, account: str) -> list[dict[str, Any]] | None:
    try:
        if settings.router_url:
            return api.get(settings, "router", "v1", "endpoints", account=account)["endpoints"]
        said = console.status(settings) if settings.url else {}
    except So1sError:
        return None  # whatever keeps them from telling, the gateway may answer all the same
    return said["endpoints"] if said.get("account") == account else None


def _kept(settings: ClientSettings, account: str, version: Version) -> Body | None:
    """By the upload and the image, as Kafka keeps them; None where what was uploaded lies elsewhere."""
    try:
        uploaded, built = run(settings, _past(settings, account, version))
    except (NotWithToken, Unreachable):
        return None  # as in _endpoints
    if uploaded is None or not uploaded.artifact.uri.startswith("file://"):
        return None
    path = Path(unquote(urlsplit(uploaded.artifact.uri, allow_fragments=False).path))
    if not path.exists():
        return None
    return _of_the_author(path) or (_blank(built.signature.inputs) if built else None)


async def _past(
    settings: ClientSettings, account: str, version: Version
) -> tuple[ModelUploaded | None, ImageBuilt | None]:
    topics = [ModelUploaded.topic.name, ImageBuilt.topic.name]
    async with Reader(settings, topics) as reader:
        events = [each.event async for record in reader.past() if (each := decoded(record))]
    mine = [each for each in events if (each.account, each.model, each.version) == (account, *version)]
    uploads = [each for each in mine if isinstance(each, ModelUploaded)]
    images = [each for each in mine if isinstance(each, ImageBuilt)]
    return next(iter(uploads), None), next(reversed(images), None)


def _of_the_author(artifact: Path) -> Body | None:
    """The sample in an artifact, where that is a tar and names one."""
    try:
        with tarfile.open(artifact) as archive:
            described = ModelFile.parse(_member(archive, FILE_NAME))
            if described.sample is None:
                return None
            return Body(_member(archive, described.sample), content_type_of(described.sample))
    except (OSError, tarfile.TarError, KeyError, InvalidInput):
        return None  # a bare model, or one without a description


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        raise KeyError(name)
    return member.read()


def _blank(inputs: Sequence[Tensor]) -> Body | None:
    """A row of zeros and empty texts; None where these would mean nothing, as of a file."""
    if any(each.type not in _BLANKS for each in inputs):
        return None
    return Body(json.dumps({each.name: _BLANKS[each.type](each) for each in inputs}).encode())


def _zeros(zero: Any, shape: Sequence[int]) -> Any:
    for length in reversed(shape):
        zero = [zero] * (1 if length == -1 else length)
    return zero


def _zero(dtype: str) -> Any:
    return {"string": "", "bool": False}.get(dtype, 0)


_BLANKS: dict[str, Callable[[Tensor], Any]] = {
    "numpy": lambda each: _zeros(_zero(each.dtype), each.shape),
    "series": lambda each: [_zero(each.dtype)],
    "dataframe": lambda each: [{column.name: _zero(column.dtype) for column in each.columns}],
    "text": lambda each: _zeros("", each.shape),
}
"""By an input's type: its value in JSON, with one row."""


def _of_the_model(connect: str, host: str, hear: Callable[[str], None], *, command: str) -> Body:
    """The example of the model's own page, through the gateway."""
    hear(f"{host}/openapi.json is asked for a sample, which counts as a request")
    with api.client(connect) as http:
        page = http.get("/openapi.json", headers={"host": host})
    served = page.headers.get("x-model")
    if not served:
        raise So1sError(
            f"no model answers at {host} (HTTP {page.status_code}); so1s status shows what serves"
        )
    if page.is_error:
        raise So1sError(f"{host}/openapi.json answered HTTP {page.status_code}: {page.text.strip()}")
    takes = _taken(page)
    try:
        return Body(json.dumps(takes[JSON]["example"]).encode())
    except (KeyError, TypeError):  # as the author's sample is too long for a page, and zeros may mean nothing
        raise So1sError(
            f"the page of {served} has no example, such as for its length; {_ways(takes, command)}; "
            "FILE may be the sample that came with the model"
        ) from None


def _taken(page: httpx.Response) -> dict[str, Any]:
    """What a model takes, by content type, as its page says; nothing where that is no page."""
    try:
        content = page.json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    except (ValueError, KeyError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


def _ways(takes: Mapping[str, Any], command: str) -> str:
    """The commands that send a body of one's own."""
    types = [each for each in takes if each not in {JSON, _FORM}]
    said = f" --type {ANY}" if ANY in types else ""  # which the name of a file may not tell
    ways = [f"`{command} --file FILE{said}` sends {' or '.join(types)}"] if types else []
    if JSON in takes or not types:
        ways.append(f"`{command} --data @FILE` sends JSON{_named(takes.get(JSON))}")
    return ", ".join(ways)


def _named(takes: Any) -> str:
    try:
        names = ", ".join(takes["schema"]["properties"])
    except (KeyError, TypeError):
        return ""
    return f" with {names}" if names else ""
