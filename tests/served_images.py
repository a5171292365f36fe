"""From an upload to a server, with the builder's real adapters and without a broker."""

import hashlib
import json
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import zstandard
from pydantic import SecretStr

from services.builder import app
from services.builder.handlers import consumer
from services.builder.settings import Settings
from services.builder.worker import Workers
from so1s.events import Artifact, Event, ModelUploaded
from so1s.store import Store
from so1s.testing import run
from tests.builder.shop import emitted
from tests.tables import make_tables

PYTHON = (sys._base_executable, "-S")
"""The interpreter, without what is installed for it."""
_CHUNK_BYTES = 1024 * 1024


def settings_in(directory: Path, **said) -> Settings:
    return Settings(
        database_url=SecretStr(f"sqlite+aiosqlite:///{directory}/builder.db"),
        artifact_prefixes=[f"file://{directory}/artifacts/{{account}}/"],
        image_dir=directory / "images",
        build_dir=directory / "work",
        libraries_dir=directory / "libraries",
        **said,
    )


def uploaded(directory: Path, name: str, data: bytes, model: str) -> ModelUploaded:
    path = directory / "artifacts/risk" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ModelUploaded(account="risk", model=model, version="3", artifact=Artifact(uri=f"file://{path}"))


async def built(directory: Path, name: str, data: bytes, model: str, **said) -> list[Event]:
    """Upload a file to a builder with real adapters; the events that its build says."""
    return await build_of(settings_in(directory, **said), uploaded(directory, name, data, model))


async def build_of(settings: Settings, event: ModelUploaded) -> list[Event]:
    """The events that the build of an upload says."""
    store = Store(settings.database_url.get_secret_value(), producer="builder")
    await make_tables(store, "services.builder.migrations")
    await run(consumer, event, store=store, provide=[settings, Workers([], poll_seconds=1)])
    await app.make_workers(settings, store, app.make_world(settings))[0].work()
    events = [each.event for each in await emitted(store)]
    await store.close()
    return events


def blob(layout: Path, digest: str) -> bytes:
    data = (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


def unpacked(layout: Path, digest: str, into: Path) -> dict:
    """Unpack an image's layers, with each digest held against its bytes; the image's configuration."""
    manifest = json.loads(blob(layout, digest))
    config = json.loads(blob(layout, manifest["config"]["digest"]))
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        _unpack_layer(layout / "blobs/sha256", layer, diff_id, into)
    return config["config"]


def _unpack_layer(blobs: Path, layer: dict, diff_id: str, into: Path) -> None:
    """As a stream: the libraries of some formats are larger than the memory."""
    digest, is_compressed = layer["digest"], layer["mediaType"].endswith("+zstd")
    with (blobs / digest.removeprefix("sha256:")).open("rb") as file:
        packed = _Hashing(file)
        plain = _Hashing(zstandard.ZstdDecompressor().stream_reader(packed) if is_compressed else packed)
        with tarfile.open(fileobj=plain, mode="r|") as tar:
            tar.extractall(into, filter="data")
        while plain.read(_CHUNK_BYTES):
            pass
        while packed.read(_CHUNK_BYTES):
            pass
    assert (packed.digest, plain.digest) == (digest, diff_id)


class _Hashing:
    """Passes on what is read, and hashes it."""

    def __init__(self, file) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def environment_in(config: dict, root: Path) -> dict[str, str]:
    """The variables of an unpacked image's processes."""
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    return environment | {"PYTHONPATH": environment["PYTHONPATH"].replace("/opt", f"{root}/opt")}


@contextmanager
def served(config: dict, root: Path, *, log: int | None = None, host: str = "127.0.0.1") -> Iterator[str]:
    """The server of an unpacked image, started as its configuration says; `log` is where it writes to.

    `host` is the address that it listens on; this machine's loopback is among them.
    """
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    _python, *arguments = config["Entrypoint"]
    command = [*PYTHON, *(argument.replace("/opt", f"{root}/opt") for argument in arguments)]
    process = subprocess.Popen(
        [*command, "--host", host, "--port", str(port)],
        env=environment_in(config, root),
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def ask(url: str, path: str, body: object, *, seconds: float = 60) -> dict:
    """Post to a server that may still be loading, for so long."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = httpx.post(f"{url}{path}", json=body, timeout=60)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
            continue
        if answer.status_code != 503 or time.monotonic() > deadline:
            return answer.raise_for_status().json()
        time.sleep(0.05)
