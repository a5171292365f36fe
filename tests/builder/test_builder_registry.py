"""The client for registries, against one that fails when it is told to."""

import itertools
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from services.builder.adapters.base_image import resolve
from services.builder.domain.reference import Reference
from so1s.errors import TemporaryError
from so1s.registry import MANIFEST, Document, Session, digest_of
from so1s.registry import client as client_module
from so1s.registry.auth import RegistryAuth

URL = "https://registry.example"
DATA = bytes(range(95))
DIGEST = digest_of(DATA)


class FakeRegistry:
    """Keeps blobs by repository and digest; `fail` says what happens in place of its next answers."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.mounts = True
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
        _v2, repository, kind, reference = request.url.path.strip("/").split("/", 3)
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
            self.manifests[reference] = request.content
            return httpx.Response(201, headers={"Docker-Content-Digest": digest_of(request.content)})
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


@pytest.fixture
def fake() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
async def session(fake, monkeypatch) -> AsyncIterator[Session]:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_SECONDS", 0)
    monkeypatch.setattr(client_module, "_CHUNK_BYTES", 10)
    async with httpx.AsyncClient(transport=httpx.MockTransport(fake), base_url=URL) as client:
        yield Session(client)


async def read(offset: int, length: int) -> bytes:
    return DATA[offset : offset + length]


def away() -> httpx.Response:
    return httpx.Response(503)


@pytest.mark.parametrize(
    "failures",
    [[away(), away()], [httpx.ConnectError("refused")], [httpx.Response(429)], [httpx.ReadTimeout("slow")]],
)
async def test_a_registry_that_is_away_for_a_moment_is_asked_again(fake, session, failures):
    fake.fail("HEAD", *failures)
    assert await session.blob_size("a", DIGEST) is None
    assert fake.count("HEAD") == len(failures) + 1


async def test_a_registry_that_stays_away_is_named_and_the_build_is_put_off(fake, session):
    fake.fail("HEAD", *[httpx.ConnectError("refused")] * 100)
    with pytest.raises(TemporaryError, match=r"https://registry\.example does not answer.*refused"):
        await session.blob_size("a", DIGEST)


async def test_a_refusal_is_told_in_the_registrys_words_and_not_repeated(fake, session):
    errors = {"errors": [{"code": "DENIED", "message": "quota exceeded"}]}
    fake.fail("POST", httpx.Response(403, json=errors))
    with pytest.raises(TemporaryError, match="403 DENIED: quota exceeded"):
        await session.put_blob("a", DIGEST, len(DATA), read)
    assert fake.count("POST") == 1


async def test_a_small_blob_goes_in_one_piece_and_a_large_one_in_chunks(fake, session):
    small = digest_of(DATA[:10])
    await session.put_blob("a", small, 10, read)
    assert fake.count("PATCH") == 0

    await session.put_blob("a", DIGEST, len(DATA), read)

    assert fake.count("PATCH") == 9  # and five bytes with the PUT
    assert fake.blobs == {("a", small): DATA[:10], ("a", DIGEST): DATA}


async def test_a_registry_may_ask_for_larger_chunks(fake, session):
    headers = {"Location": "/v2/a/blobs/uploads/x", "OCI-Chunk-Min-Length": "50"}
    fake.uploads["x"] = b""
    fake.fail("POST", httpx.Response(202, headers=headers))
    await session.put_blob("a", DIGEST, len(DATA), read)
    assert fake.count("PATCH") == 1


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_an_upload_goes_on_where_a_broken_connection_left_it(fake, session, method):
    reads = []

    async def noted(offset: int, length: int) -> bytes:
        reads.append(offset)
        return await read(offset, length)

    fake.take_and_fail("PATCH", httpx.ReadError("cut"))
    if method == "PUT":
        fake.fail("PUT", away())
    await session.put_blob("a", DIGEST, len(DATA), noted)

    assert fake.blobs["a", DIGEST] == DATA
    assert fake.count("POST") == 1
    assert sorted(set(reads)) == list(range(0, 95, 10))
    assert reads.count(0) == 1  # what the registry has is not sent again


async def test_an_upload_that_the_registry_forgot_begins_anew(fake, session):
    fake.fail("PATCH", away())
    fake.fail("GET", httpx.Response(404))
    await session.put_blob("a", DIGEST, len(DATA), read)

    assert fake.blobs["a", DIGEST] == DATA
    assert fake.count("POST") == 2


async def test_a_blob_that_arrived_though_its_answer_was_lost_is_not_sent_again(fake, session):
    fake.take_and_fail("PUT", httpx.ReadError("cut"))
    await session.put_blob("a", DIGEST, len(DATA), read)
    assert fake.count("POST") == fake.count("PUT") == 1


async def test_bytes_that_changed_on_their_way_are_refused(session):
    async def damaged(offset: int, length: int) -> bytes:
        return bytes(length)

    with pytest.raises(TemporaryError, match="DIGEST_INVALID"):
        await session.put_blob("a", DIGEST, len(DATA), damaged)


async def test_a_blob_is_mounted_without_its_bytes(fake, session):
    fake.blobs["layers", DIGEST] = DATA
    await session.mount("a", DIGEST, len(DATA), source="layers")
    assert fake.blobs["a", DIGEST] == DATA
    assert fake.count("PATCH") == fake.count("PUT") == 0


async def test_a_registry_that_mounts_nothing_gets_a_copy(fake, session):
    fake.blobs["layers", DIGEST] = DATA
    fake.mounts = False
    await session.mount("a", DIGEST, len(DATA), source="layers")
    assert fake.blobs["a", DIGEST] == DATA


async def test_a_manifest_that_is_stored_as_another_one_is_not_taken_for_stored(fake, session):
    fake.fail("PUT", httpx.Response(201, headers={"Docker-Content-Digest": digest_of(b"other")}))
    with pytest.raises(TemporaryError, match="in place of"):
        await session.put_manifest("a", "3", Document.of(MANIFEST, {}))


async def test_a_blob_that_another_builder_mounts_at_this_moment_is_waited_for(fake, session):
    errors = {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}]}
    fake.fail("PUT", httpx.Response(400, json=errors))
    await session.put_manifest("a", "3", Document.of(MANIFEST, {}))
    assert fake.count("PUT") == 2


async def test_a_document_whose_bytes_have_another_digest_is_refused(fake, session):
    fake.manifests[DIGEST] = b"{}"
    with pytest.raises(TemporaryError, match="is broken"):
        await session.json("base", DIGEST, "manifests")


# --- the base image


def put_base(fake: FakeRegistry, *, python: str, architecture: str = "amd64") -> Reference:
    """A base in an index of two, as Docker's tools write it."""
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": {"Env": [f"PYTHON_VERSION={python}"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:plain"]},
    }
    document = json.dumps(config).encode()
    fake.blobs["base", digest_of(document)] = document
    layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    manifest = json.dumps(
        {
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"digest": digest_of(document)},
            "layers": [{"mediaType": layer_type, "digest": DIGEST, "size": len(DATA)}],
        }
    ).encode()
    platforms = [{"os": "linux", "architecture": each} for each in ("s390x", architecture)]
    digests = [digest_of(b"another machine's"), digest_of(manifest)]
    index = json.dumps(
        {
            "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
            "manifests": [
                {"digest": digest, "platform": platform}
                for digest, platform in zip(digests, platforms, strict=True)
            ],
        }
    ).encode()
    fake.manifests |= {digest_of(manifest): manifest, digest_of(index): index}
    return Reference("registry.example", "base", digest_of(index))


async def test_of_an_index_the_base_for_the_platform_is_taken_in_the_words_of_oci(fake, session):
    base = await resolve(session, put_base(fake, python="3.11.9"), "linux-x86_64-cp311")

    assert base.name.startswith("registry.example/base@sha256:")
    (layer,) = base.layers
    assert (layer.digest, layer.diff_id, layer.size_bytes) == (DIGEST, "sha256:plain", len(DATA))
    assert layer.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"


async def test_a_base_with_another_python_is_refused_with_both_named(fake, session):
    reference = put_base(fake, python="3.12.1")
    with pytest.raises(TemporaryError, match=r"has linux amd64 cp312, but .* need linux amd64 cp311"):
        await resolve(session, reference, "linux-x86_64-cp311")


async def test_a_base_for_other_machines_is_refused(fake, session):
    reference = put_base(fake, python="3.11.1", architecture="arm64")
    with pytest.raises(TemporaryError, match="no variant for linux amd64"):
        await resolve(session, reference, "linux-x86_64-cp311")


# --- how the builder proves itself


class Guarded:
    """A registry that wants tokens, and the server that gives them."""

    def __init__(self, realm: str = "https://auth.example/token") -> None:
        self.realm = realm
        self.tokens: list[str] = []
        self.asked: list[httpx.Request] = []
        self.answers: list[httpx.Response] = []
        self.expires_in = 300
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            return self._give(request)
        self.seen.append(request)
        if request.headers.get("Authorization") in [f"Bearer {token}" for token in self.tokens]:
            return httpx.Response(200, headers={"Content-Length": "1"})
        scope = "repository:a:pull repository:layers:pull"
        challenge = f'Bearer realm="{self.realm}",service="registry.example",scope="{scope}"'
        return httpx.Response(401, headers={"WWW-Authenticate": challenge})

    def _give(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.answers:
            return self.answers.pop(0)
        self.tokens.append(f"token-{len(self.tokens)}")
        return httpx.Response(200, json={"token": self.tokens[-1], "expires_in": self.expires_in})


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()


@pytest.fixture
async def user(guarded, monkeypatch) -> AsyncIterator[Session]:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_SECONDS", 0)
    auth = RegistryAuth("registry.example", "robot", SecretStr("secret"))
    transport = httpx.MockTransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url=URL, auth=auth) as client:
        yield Session(client)


async def test_a_token_is_asked_for_with_the_password_once_for_many_requests(guarded, user):
    for _ in range(3):
        assert await user.blob_size("a", DIGEST) == 1

    (asked,) = guarded.asked
    assert asked.url.params["service"] == "registry.example"
    assert asked.url.params.get_list("scope") == ["repository:a:pull", "repository:layers:pull"]
    assert asked.headers["Authorization"].startswith("Basic ")
    assert not any("Basic" in request.headers.get("Authorization", "") for request in guarded.seen)


async def test_a_token_that_is_good_no_more_is_replaced(guarded, user):
    await user.blob_size("a", DIGEST)
    guarded.tokens.clear()

    assert await user.blob_size("a", DIGEST) == 1
    assert len(guarded.asked) == 2


async def test_a_token_is_not_used_to_the_last_second_of_its_life(guarded, user, monkeypatch):
    now = 0.0
    monkeypatch.setattr("so1s.registry.auth.time.monotonic", lambda: now)
    await user.blob_size("a", DIGEST)
    now = 250.0
    await user.blob_size("a", DIGEST)
    assert len(guarded.asked) == 2
    assert len(guarded.seen) == 3  # the second was not refused first


async def test_a_token_server_that_is_away_for_a_moment_is_asked_again(guarded, user):
    guarded.answers = [away(), away()]
    assert await user.blob_size("a", DIGEST) == 1


async def test_credentials_that_are_refused_are_said_to_be_without_being_shown(guarded, user):
    guarded.answers = [httpx.Response(401)]
    with pytest.raises(TemporaryError, match="refuses the credentials") as error:
        await user.blob_size("a", DIGEST)
    assert "secret" not in str(error.value)
    assert len(guarded.asked) == 1


async def test_a_password_is_not_sent_in_the_clear_on_behalf_of_an_encrypted_registry(guarded, user):
    guarded.realm = "http://auth.example/token"
    with pytest.raises(TemporaryError, match="401"):
        await user.blob_size("a", DIGEST)
    assert guarded.asked == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_store_that_a_registry_lets_bytes_lie_in_sees_no_credentials(method):
    data = b"{}"
    seen: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "store.example":
            return httpx.Response(200, content=data)
        if "Authorization" not in request.headers:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        if request.method == "HEAD":
            return httpx.Response(404)
        status = 202 if request.method == "POST" else 307
        return httpx.Response(status, headers={"Location": "https://store.example/v2/a/blobs/x"})

    async def whole(_offset: int, _length: int) -> bytes:
        return data

    auth = RegistryAuth("registry.example", "robot", SecretStr("secret"))
    transport = httpx.MockTransport(serve)
    async with httpx.AsyncClient(
        transport=transport, base_url=URL, auth=auth, follow_redirects=True
    ) as client:
        if method == "GET":
            await Session(client).json("a", digest_of(data), "blobs")
        else:
            await Session(client).put_blob("a", digest_of(data), len(data), whole)

    assert (seen[-1].method, seen[-1].url.host) == (method, "store.example")
    assert "Authorization" not in seen[-1].headers
