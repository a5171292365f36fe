"""Artifacts: one suite for files on disk and for S3.

S3 is moto's server: it speaks the protocol, but accepts wrong checksums and signatures, so it proves neither.
"""

import hashlib
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
from pydantic import SecretStr

from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.artifacts_s3 import S3Artifacts
from services.builder.domain.archive import Limits
from services.builder.domain.failure import BuildError, Hostile
from services.builder.domain.location import Location
from services.builder.ports import Artifacts
from services.builder.settings import S3Settings
from so1s.errors import TemporaryError

LIMITS = Limits(artifact_bytes=5_000_000, unpacked_bytes=1, files=5, ratio=1)
BUCKET = "models"


class Place(Protocol):
    """Where a test puts what the adapter shall find."""

    artifacts: Artifacts
    prefix: str

    def put(self, name: str, data: bytes) -> None: ...


@dataclass
class Disk:
    directory: Path
    artifacts: Artifacts

    @property
    def prefix(self) -> str:
        return f"file://{self.directory}/risk/"

    def put(self, name: str, data: bytes) -> None:
        path = self.directory / "risk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@dataclass
class Bucket:
    client: Any
    artifacts: Artifacts
    prefix: str

    def put(self, name: str, data: bytes) -> None:
        key = f"{self.prefix.removeprefix(f's3://{BUCKET}/')}{name}"
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)


def s3_settings(url: str) -> S3Settings:
    return S3Settings(
        s3_endpoint_url=url, s3_access_key_id=SecretStr("key"), s3_secret_access_key=SecretStr("secret")
    )


@pytest.fixture(params=["file", "s3"])
def place(request, tmp_path) -> Place:
    if request.param == "file":
        return Disk(tmp_path / "disk", FileArtifacts())
    url = request.getfixturevalue("s3_url")
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket=BUCKET)
    return Bucket(client, S3Artifacts(s3_settings(url)), f"s3://{BUCKET}/{tmp_path.name}/")


@pytest.fixture
def into(tmp_path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


async def test_one_object_comes_under_its_own_name_with_its_checksum(place, into):
    data = b"model" * 500_000
    place.put("fraud/3.skops", data)

    fetched = await place.artifacts.fetch(
        Location(f"{place.prefix}fraud/3.skops", place.prefix), into, LIMITS
    )

    assert (into / "3.skops").read_bytes() == data
    assert (fetched.sha256, fetched.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))


async def test_a_directory_comes_as_a_tree_whose_checksum_covers_names_and_bytes(place, into):
    place.put("out/so1s.yaml", b"a")
    place.put("out/deep/model.onnx", b"b")
    place.put("other/model", b"c")

    fetched = await place.artifacts.fetch(Location(f"{place.prefix}out/", place.prefix), into, LIMITS)

    assert sorted(str(p.relative_to(into)) for p in into.rglob("*") if p.is_file()) == [
        "deep/model.onnx",
        "so1s.yaml",
    ]
    a, b = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()
    lines = f"{b}  deep/model.onnx\n{a}  so1s.yaml\n"
    assert fetched.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert fetched.files == 2


@pytest.mark.parametrize("name", ["absent", "absent/"])
async def test_an_absent_artifact_is_a_failed_build(place, into, name):
    place.put("present", b"x")

    with pytest.raises(BuildError, match="does not exist") as error:
        await place.artifacts.fetch(Location(f"{place.prefix}{name}", place.prefix), into, LIMITS)

    assert error.value.reason == "artifact"


async def test_an_artifact_above_its_limit_is_refused_before_all_of_it_is_read(place, into):
    place.put("large", bytes(9_000_000))

    with pytest.raises(Hostile, match="5000000 bytes"):
        await place.artifacts.fetch(Location(f"{place.prefix}large", place.prefix), into, LIMITS)

    assert (into / "large").stat().st_size <= LIMITS.artifact_bytes


async def test_a_directory_of_too_many_files_is_refused(place, into):
    for number in range(6):
        place.put(f"many/{number}", b"")

    with pytest.raises(Hostile, match="5 files"):
        await place.artifacts.fetch(Location(f"{place.prefix}many/", place.prefix), into, LIMITS)


async def test_a_link_out_of_the_accounts_prefix_is_refused(tmp_path, into):
    disk = Disk(tmp_path / "disk", FileArtifacts())
    disk.put("model", b"x")
    (tmp_path / "secret").write_bytes(b"another account's")
    (disk.directory / "risk/link").symlink_to(tmp_path / "secret")
    (disk.directory / "risk/up").symlink_to(tmp_path)

    for name in ("link", "up/secret", "%2e%2e/../secret"):
        with pytest.raises(BuildError):
            await disk.artifacts.fetch(Location(f"{disk.prefix}{name}", disk.prefix), into, LIMITS)
    assert not list(into.iterdir())


async def test_a_link_within_a_directory_is_refused(tmp_path, into):
    disk = Disk(tmp_path / "disk", FileArtifacts())
    disk.put("out/model", b"x")
    (disk.directory / "risk/out/link").symlink_to("/etc/passwd")

    with pytest.raises(Hostile, match="link"):
        await disk.artifacts.fetch(Location(f"{disk.prefix}out/", disk.prefix), into, LIMITS)


async def test_an_empty_directory_is_no_artifact_but_may_lie_in_one(tmp_path, into):
    disk = Disk(tmp_path / "disk", FileArtifacts())
    disk.put("out/model", b"x")
    (disk.directory / "risk/out/assets").mkdir()
    (disk.directory / "risk/none/assets").mkdir(parents=True)

    found = await disk.artifacts.fetch(Location(f"{disk.prefix}out/", disk.prefix), into, LIMITS)

    assert found.files == 1
    with pytest.raises(BuildError, match="none is empty"):
        await disk.artifacts.fetch(Location(f"{disk.prefix}none/", disk.prefix), into, LIMITS)


async def test_a_directory_without_a_slash_is_named_as_the_mistake(tmp_path, into):
    disk = Disk(tmp_path / "disk", FileArtifacts())
    disk.put("out/model", b"x")

    with pytest.raises(BuildError, match="end the URI with '/'"):
        await disk.artifacts.fetch(Location(f"{disk.prefix}out", disk.prefix), into, LIMITS)


async def test_a_key_that_leaves_the_directory_is_refused(s3_url, into):
    client = boto3.client("s3", endpoint_url=s3_url, aws_access_key_id="k", aws_secret_access_key="s")
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="up/../../escaped", Body=b"x")

    with pytest.raises(Hostile):
        await S3Artifacts(s3_settings(s3_url)).fetch(
            Location("s3://models/up/", "s3://models/"), into, LIMITS
        )


@pytest.mark.parametrize("second", ["a/b", "./a"], ids=["below", "dot"])
async def test_keys_that_cannot_be_files_beside_each_other_are_refused_by_name(s3_url, into, second):
    client = boto3.client("s3", endpoint_url=s3_url, aws_access_key_id="k", aws_secret_access_key="s")
    client.create_bucket(Bucket=BUCKET)
    for key in ("both/a", f"both/{second}"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")

    with pytest.raises(Hostile, match=r"two files of one name.*'a(/b)?'"):
        await S3Artifacts(s3_settings(s3_url)).fetch(
            Location("s3://models/both/", "s3://models/"), into, LIMITS
        )


async def test_a_store_that_does_not_answer_is_tried_again_later(into):
    s3 = S3Artifacts(s3_settings("http://127.0.0.1:1"))

    with pytest.raises(TemporaryError):
        await s3.fetch(Location("s3://models/risk/3", "s3://models/risk/"), into, LIMITS)


@pytest.fixture
def refusing():
    """An S3 that refuses whatever is asked of it, with the code in the bucket's name."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"<Error><Code>{self.path.split('/')[1]}</Code><Message>no</Message></Error>".encode()
            self.send_response(403)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDenied", BuildError),
        ("InvalidAccessKeyId", TemporaryError),
        ("SignatureDoesNotMatch", TemporaryError),
    ],
)
async def test_a_builder_whose_own_keys_are_wrong_tries_again_later(refusing, into, code, error):
    artifacts = S3Artifacts(s3_settings(refusing))
    with pytest.raises(error, match=code):
        await artifacts.fetch(Location(f"s3://{code}/3.skops", f"s3://{code}/"), into, LIMITS)
