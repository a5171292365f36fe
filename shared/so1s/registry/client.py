"""A client for registries: the OCI distribution API, as far as images and what is attached to them need it.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from so1s.errors import TemporaryError
from so1s.registry.auth import RegistryAuth, TokenServerAway
from so1s.registry.documents import INDEX, MANIFEST, Document, digest_of

T = TypeVar("T")

Read = Callable[[int, int], Awaitable[bytes]]
"""Reads bytes of a blob: those from an offset on, at most so many."""

_TIMEOUT = httpx.Timeout(60, connect=5)
"""In seconds. A registry answers the last byte of a blob when it has verified the whole."""
_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.2
_JITTER = random.Random()  # noqa: S311 - it spreads load, and guards nothing
_CHUNK_BYTES = 32 * 1024 * 1024
"""Of an upload: what is lost at most when a connection breaks, and held in memory."""
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_MANIFESTS = f"{MANIFEST}, {INDEX}, {_DOCKER_MANIFEST}, {_DOCKER_INDEX}"
_LINKING = "MANIFEST_BLOB_UNKNOWN"
"""What a registry says of a blob that is there, while another builder mounts it into the same repository."""
_TOO_MANY = httpx.codes.TOO_MANY_REQUESTS


class Registry:
    """A registry and how to enter it."""

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: SecretStr | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Describe a registry.

        Args:
            url: `https://HOST` or `http://HOST`.
            user: whom it knows; nobody in particular where absent.
            password: theirs.
            ca_file: PEM file of a private authority; the system's where it is absent.
        """
        self.url = url
        self.host = httpx.URL(url).netloc.decode()
        """How references name it."""
        self._auth = RegistryAuth(self.host, user, password)
        self._verify = ssl.create_default_context(cafile=ca_file)

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session, None]:
        """Connections for some requests."""
        async with httpx.AsyncClient(
            base_url=self.url,
            auth=self._auth,
            verify=self._verify,
            timeout=_TIMEOUT,
            follow_redirects=True,  # blobs may lie in an object store
        ) as client:
            yield Session(client)


class Session:
    """Requests to a registry; each is tried again while the registry is away.

    All of them raise TemporaryError where it stays away, or refuses: that is the operator's to mend, not the
    model's author's.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def blob_size(self, repository: str, digest: str) -> int | None:
        """The size of a blob in bytes; None where the repository does not have it."""
        response = await self._ask("HEAD", f"/v2/{repository}/blobs/{digest}", or_absent=True)
        return None if response.is_client_error else int(response.headers["Content-Length"])

    async def json(self, repository: str, digest: str, kind: str) -> dict[str, Any]:
        """A document by its digest, which its bytes are held against; `kind` is `manifests` or `blobs`."""
        url = f"/v2/{repository}/{kind}/{digest}"
        response = await self._ask("GET", url, headers={"Accept": _MANIFESTS} if kind == "manifests" else {})
        if digest_of(response.content) != digest:
            raise TemporaryError(f"{repository}@{digest} is broken: its bytes have another digest")
        return json.loads(response.content)

    async def manifest(self, repository: str, reference: str) -> bytes | None:
        """The bytes of a manifest by its digest or a tag, held against nothing; None where there is none."""
        url = f"/v2/{repository}/manifests/{reference}"
        response = await self._ask("GET", url, or_absent=True, headers={"Accept": _MANIFESTS})
        return None if response.is_client_error else response.content

    async def referrers(self, repository: str, digest: str) -> dict[str, Any] | None:
        """The index of what names an image as its subject; None where the registry keeps none."""
        response = await self._ask("GET", f"/v2/{repository}/referrers/{digest}", or_absent=True)
        return None if response.is_client_error else json.loads(response.content)

    async def blob(self, repository: str, digest: str) -> bytes:
        """A small blob, whole, not held against its digest."""
        return (await self._ask("GET", f"/v2/{repository}/blobs/{digest}")).content

    async def stream(self, repository: str, digest: str) -> AsyncGenerator[bytes, None]:
        """A blob of any size, in pieces; tried once."""
        url = f"/v2/{repository}/blobs/{digest}"
        try:
            async with self._client.stream("GET", url) as response:
                if not response.is_success:
                    problem = f"{self._client.base_url} refuses {url}: {response.status_code}"
                    raise _refusal(response.status_code, problem)
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx.TransportError as error:
            raise RegistryAway(f"{self._client.base_url} does not answer: {error!r}") from error

    async def put_manifest(self, repository: str, reference: str, manifest: Document) -> bool:
        """Store a manifest under its digest or a tag; tells whether the registry lists it by its subject."""
        url = f"/v2/{repository}/manifests/{reference}"
        headers = {"Content-Type": manifest.media_type}
        response = await self._ask("PUT", url, content=manifest.data, headers=headers)
        _require_digest(response, manifest.digest)
        return "OCI-Subject" in response.headers

    async def put_blob(self, repository: str, digest: str, size_bytes: int, read: Read) -> None:
        """Store a blob: in one piece, or a large one in chunks; goes on where a broken connection left it."""
        upload = _Upload(self, repository, digest, size_bytes, read)

        async def attempt() -> None:
            if await self.blob_size(repository, digest) != size_bytes:
                await upload.go_on()

        await _again_while_away(attempt)

    async def mount(self, repository: str, digest: str, size_bytes: int, *, source: str) -> None:
        """Let a repository have a blob of another one; where the registry does not do that, copy it."""
        if await self.blob_size(repository, digest) == size_bytes:
            return
        params = {"mount": digest, "from": source}
        response = await self._ask("POST", f"/v2/{repository}/blobs/uploads/", params=params)
        if response.status_code == httpx.codes.CREATED:
            return
        url = f"/v2/{source}/blobs/{digest}"

        async def read(offset: int, length: int) -> bytes:
            wanted = {"Range": f"bytes={offset}-{offset + length - 1}"}
            piece = await self._ask("GET", url, headers=wanted)
            return (
                piece.content if piece.status_code == httpx.codes.PARTIAL_CONTENT else piece.content[offset:]
            )

        await self.put_blob(repository, digest, size_bytes, read)

    async def _ask(
        self, method: str, url: str, *, or_absent: bool = False, **arguments: Any
    ) -> httpx.Response:
        async def attempt() -> httpx.Response:
            return await self.once(method, url, or_absent=or_absent, **arguments)

        return await _again_while_away(attempt)

    async def once(
        self, method: str, url: str, *, or_absent: bool = False, **arguments: Any
    ) -> httpx.Response:
        """One request, tried once.

        Raises:
            RegistryAway: another try may help.
            RegistryRefuses: the registry refuses it, except as absent where `or_absent` says so.
        """
        try:
            response = await self._client.request(method, url, **arguments)
        except (httpx.TransportError, TokenServerAway) as error:
            raise RegistryAway(f"{self._client.base_url} does not answer: {error!r}") from error
        if response.is_success or (or_absent and response.status_code == httpx.codes.NOT_FOUND):
            return response
        problem = f"{self._client.base_url} refuses {method} {response.url.path}: {_words(response)}"
        if response.is_server_error or response.status_code == _TOO_MANY or _LINKING in problem:
            raise RegistryAway(problem)
        raise _refusal(response.status_code, problem)


class RegistryAway(TemporaryError):
    """A registry does not answer, or says that it cannot now."""


class RegistryRefuses(TemporaryError):
    """A registry will not do what it is asked, until somebody changes something."""


class NotThere(RegistryRefuses):
    """A registry does not have what it is asked for."""


def _refusal(status: int, problem: str) -> RegistryRefuses:
    return NotThere(problem) if status == httpx.codes.NOT_FOUND else RegistryRefuses(problem)


class _Upload:
    """The upload of one blob, which outlives broken connections."""

    def __init__(self, session: Session, repository: str, digest: str, size_bytes: int, read: Read) -> None:
        self._session = session
        self._url = f"/v2/{repository}/blobs/uploads/"
        self._digest = digest
        self._size_bytes = size_bytes
        self._read = read
        self._location: str | None = None

    async def go_on(self) -> None:
        """Begin, or go on from what the registry has."""
        chunk_bytes = _CHUNK_BYTES
        offset = await self._received()
        if self._location is None:
            begun = await self._session.once("POST", self._url)
            chunk_bytes = max(_CHUNK_BYTES, int(begun.headers.get("OCI-Chunk-Min-Length", 0)))
            self._location, offset = _location(begun), 0
        while self._size_bytes - offset > chunk_bytes:
            offset = await self._send(offset, await self._read(offset, chunk_bytes))
        await self._finish(await self._read(offset, self._size_bytes - offset))

    async def _received(self) -> int:
        """How many bytes the registry has of an upload that was begun; it may have forgotten it."""
        if self._location is None:
            return 0
        status = await self._session.once("GET", self._location, or_absent=True)
        if status.status_code == httpx.codes.NOT_FOUND:
            self._location = None
            return 0
        self._location = _location(status)
        return _next_offset(status)

    async def _send(self, offset: int, chunk: bytes) -> int:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{offset}-{offset + len(chunk) - 1}",
        }
        assert self._location
        taken = await self._session.once("PATCH", self._location, content=chunk, headers=headers)
        self._location = _location(taken)
        return offset + len(chunk)

    async def _finish(self, rest: bytes) -> None:
        assert self._location
        url = httpx.URL(self._location).copy_merge_params({"digest": self._digest})
        headers = {"Content-Type": "application/octet-stream"}
        stored = await self._session.once("PUT", str(url), content=rest, headers=headers)
        _require_digest(stored, self._digest)


async def _again_while_away(attempt: Callable[[], Awaitable[T]]) -> T:
    for pause in range(_TRIES - 1):
        try:
            return await attempt()
        except RegistryAway:
            seconds = _FIRST_PAUSE_SECONDS * 2**pause
            await asyncio.sleep(seconds * _JITTER.uniform(0.5, 1))
    return await attempt()


def _location(response: httpx.Response) -> str:
    """Where an upload goes on; it may be relative."""
    return str(response.url.join(response.headers["Location"]))


def _next_offset(response: httpx.Response) -> int:
    """`Range: 0-9` are ten bytes; a registry that has none says `0-0`, as one that has one."""
    last = int(response.headers.get("Range", "0-0").rpartition("-")[2])
    return last + 1 if last else 0


def _require_digest(response: httpx.Response, digest: str) -> None:
    said = response.headers.get("Docker-Content-Digest", digest)
    if said != digest:
        raise TemporaryError(f"{response.url.host} stored {said} in place of {digest}")


def _words(response: httpx.Response) -> str:
    """What a registry says of an error: `401 UNAUTHORIZED: authentication required`."""
    try:
        errors = response.json()["errors"]
        said = "; ".join(f"{each['code']}: {each.get('message', '')}" for each in errors)
    except (ValueError, KeyError, TypeError):
        said = response.reason_phrase
    return f"{response.status_code} {said}"
