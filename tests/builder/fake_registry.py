"""A registry that fails when it is told to."""

import itertools
import json
import re

import httpx

from so1s.registry import digest_of

URL = "https://registry.example"

DATA = bytes(range(95))

DIGEST = digest_of(DATA)

_PATH = re.compile(r"/v2/(.+?)/(manifests|blobs)/(.*)")


class FakeRegistry:
    """Keeps blobs by repository and digest; `fail` says what happens in place of its next answers."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.mounts = True
        self.lists = False
        """Whether it lists manifests by their subject."""
        self.refuses = ""
        """The tag that no manifest may have."""
        self.requests: list[tuple[str, str]] = []
        self._failures: dict[str, list] = {}
        self._numbers = itertools.count()

    def fail(self, method: str, *answers: httpx.Response | Exception) -> None:
        """The next requests of a method do not reach it."""
        self._failures[method] = [*answers]

    def take_and_fail(self, method: str, error: Exception) -> None:
        """The next request of a method is done, and its answer lost."""
        self._failures[method] = [("lost", error)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.path))
        failure = failures.pop(0) if (failures := self._failures.get(request.method)) else None
        if isinstance(failure, httpx.Response):
            return failure
        if isinstance(failure, Exception):
            raise failure
        answer = self._answer(request)
        if failure:
            raise failure[1]
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if (path := _PATH.fullmatch(request.url.path)) is None:  # the API of referrers, say
            return httpx.Response(404)
        repository, kind, reference = path.groups()
        if kind == "manifests":
            return self._manifest(request, reference)
        if reference.startswith("uploads"):
            return self._upload(request, repository, reference.removeprefix("uploads").strip("/"))
        data = self.blobs.get((repository, reference))
        if data is None:
            return httpx.Response(404)
        if wanted := request.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            return httpx.Response(206, content=data[int(first) : int(last) + 1])
        return httpx.Response(200, content=data)

    def _manifest(self, request: httpx.Request, reference: str) -> httpx.Response:
        if request.method == "PUT":
            if reference == self.refuses:
                return httpx.Response(400, json={"errors": [{"code": "MANIFEST_INVALID", "message": "no"}]})
            self.manifests[reference] = self.manifests[digest_of(request.content)] = request.content
            headers = {"Docker-Content-Digest": digest_of(request.content)}
            if self.lists and (subject := json.loads(request.content).get("subject")):
                headers["OCI-Subject"] = subject["digest"]
            return httpx.Response(201, headers=headers)
        data = self.manifests.get(reference)
        return httpx.Response(200, content=data) if data else httpx.Response(404)

    def _upload(self, request: httpx.Request, repository: str, name: str) -> httpx.Response:
        if request.method == "POST":
            return self._begin(request, repository)
        if name not in self.uploads:
            return httpx.Response(404)
        if request.method == "PATCH":
            first = int(request.headers["Content-Range"].partition("-")[0])
            if first != len(self.uploads[name]):
                return httpx.Response(416)
        self.uploads[name] += request.content
        if request.method == "PUT":
            digest = request.url.params["digest"]
            data = self.uploads.pop(name)
            if digest_of(data) != digest:
                return httpx.Response(400, json={"errors": [{"code": "DIGEST_INVALID", "message": "no"}]})
            self.blobs[repository, digest] = data
            return httpx.Response(201, headers={"Docker-Content-Digest": digest})
        received = len(self.uploads[name])
        headers = {"Location": request.url.path, "Range": f"0-{max(0, received - 1)}"}
        return httpx.Response(204 if request.method == "GET" else 202, headers=headers)

    def _begin(self, request: httpx.Request, repository: str) -> httpx.Response:
        mount, source = request.url.params.get("mount", ""), request.url.params.get("from", "")
        if self.mounts and (source, mount) in self.blobs:
            self.blobs[repository, mount] = self.blobs[source, mount]
            return httpx.Response(201)
        name = str(next(self._numbers))
        self.uploads[name] = b""
        return httpx.Response(202, headers={"Location": f"/v2/{repository}/blobs/uploads/{name}"})

    def count(self, method: str) -> int:
        return sum(each == method for each, _path in self.requests)


async def read(offset: int, length: int) -> bytes:
    return DATA[offset : offset + length]


def away() -> httpx.Response:
    return httpx.Response(503)
