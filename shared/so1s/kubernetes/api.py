"""The calls that So1s makes of the Kubernetes API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes_asyncio import client, config

from so1s.errors import Unreachable
from so1s.kubernetes.errors import NotFound, failure
from so1s.kubernetes.mirror import Mirror
from so1s.kubernetes.paths import path

Object = dict[str, Any]

_CALL_SECONDS = 30.0
_PARALLEL_CALLS = 32
_APPLY = "application/apply-patch+yaml"


class Api:
    """An API server, by one connection pool."""

    def __init__(self, http: client.ApiClient) -> None:
        self._http = http

    async def apply(self, manifest: Mapping[str, Any], *, manager: str) -> Object:
        """Make an object have the manifest's fields; other managers' fields stay.

        This is server-side apply, forced: a field that another hand took is taken back. Unknown fields
        are refused. A resource version in the manifest makes it a write of that state alone.

        Returns:
            The object as it is then.

        Raises:
            Refused: it breaks a rule.
            Conflict: it is not any more at the manifest's resource version.
            TemporaryError: it can't be taken now.
        """
        meta = manifest["metadata"]
        where = path(manifest["apiVersion"], manifest["kind"], meta.get("namespace"), meta["name"])
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        return await self._call("PATCH", where, query, body=manifest, content_type=_APPLY)

    async def replace(self, manifest: Mapping[str, Any], *, manager: str) -> Object:
        """Make an object have the manifest's fields and no others; the manifest has its resource version.

        Returns and raises as `apply` does.
        """
        meta = manifest["metadata"]
        where = path(manifest["apiVersion"], manifest["kind"], meta.get("namespace"), meta["name"])
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        return await self._call("PUT", where, query, body=manifest)

    async def delete(self, api_version: str, kind: str, namespace: str | None, name: str) -> None:
        """Let an object go, and what it owns after it; one that is not there is no error."""
        await self.find("DELETE", path(api_version, kind, namespace, name))

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Object | None:
        """An object, if it is there."""
        return await self.find("GET", path(api_version, kind, namespace, name))

    async def find(self, method: str, where: str) -> Object | None:
        """What a call on one object answers; None where there is no such object."""
        with contextlib.suppress(NotFound):
            return await self._call(method, where)
        return None

    async def read(self, where: str, query: Mapping[str, str]) -> Object:
        """What is at a path, such as a list of objects."""
        return await self._call("GET", where, query)

    async def text(self, where: str, query: Mapping[str, str]) -> str:
        """What is at a path that has no JSON, such as a log."""
        async with self._open("GET", where, query) as answer:
            return await answer.text()

    @contextlib.asynccontextmanager
    async def stream(
        self, where: str, query: Mapping[str, str], silent_seconds: float
    ) -> AsyncGenerator[aiohttp.StreamReader]:
        """The lines of a watch; it ends where nothing came for a while."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=silent_seconds)
        async with self._open("GET", where, query, timeout=timeout) as answer:
            try:
                yield answer.content
            finally:
                _hang_up(answer)

    def mirror(
        self, api_version: str, kind: str, *, label_selector: str = "", namespace: str | None = None
    ) -> Mirror:
        """A copy of all objects of a kind that have the labels, kept up to date while it is entered."""
        return Mirror(self, path(api_version, kind, namespace), label_selector)

    async def _call(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        async with self._open(method, where, query or {}, body=body, content_type=content_type) as answer:
            return await answer.json()

    @contextlib.asynccontextmanager
    async def _open(
        self,
        method: str,
        where: str,
        query: Mapping[str, str],
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout = aiohttp.ClientTimeout(total=_CALL_SECONDS),  # noqa: ASYNC109, B008 - aiohttp's own, immutable
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Make a call; the generated client gives the address, TLS and a token that is renewed."""
        try:
            answer = await self._http.call_api(
                where,
                method,
                query_params=list(query.items()),
                header_params={"Content-Type": content_type, "Accept": "application/json"},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=timeout,
                _return_http_data_only=True,
            )
            async with answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise failure(answer.status, await answer.text())
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(
                f"the Kubernetes API does not answer: {type(error).__name__} {error}"
            ) from error


def _hang_up(answer: aiohttp.ClientResponse) -> None:
    """End a connection in the middle of an answer; closing it politely would outlast the event loop."""
    if answer.connection and answer.connection.transport:
        answer.connection.transport.abort()


@contextlib.asynccontextmanager
async def connect(kubeconfig: Path | None) -> AsyncGenerator[Api]:
    """An API server.

    Args:
        kubeconfig: says where it is; None for the one of the cluster that this pod runs in.
    """
    configuration = client.Configuration()
    configuration.connection_pool_maxsize = _PARALLEL_CALLS
    if kubeconfig:
        await config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    else:
        config.load_incluster_config(client_configuration=configuration)
    async with client.ApiClient(configuration) as http:
        yield Api(http)
