"""What every place for images promises: one suite, for the layout on disk here, for a registry in the lab."""

import asyncio
import hashlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import pytest

from services.builder.adapters.images_layout import LayoutImages
from services.builder.domain.image import Layer
from services.builder.layers import pack, unpack
from services.builder.ports import Images
from services.builder.stop import Stop
from so1s.errors import TemporaryError

CONFIG = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}


class Place(Protocol):
    """A place for images, and how one who runs them finds them there."""

    images: Images

    async def digest(self, name: str) -> str: ...

    async def blob(self, name: str, digest: str) -> bytes: ...


@dataclass
class Directory:
    path: Path

    @property
    def images(self) -> Images:
        return LayoutImages(self.path)

    async def digest(self, name: str) -> str:
        entries = json.loads((self.path / "index.json").read_bytes())["manifests"]
        return next(
            each["digest"]
            for each in entries
            if each.get("annotations", {}).get("org.opencontainers.image.ref.name") == name
        )

    async def blob(self, _name: str, digest: str) -> bytes:
        return (self.path / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


@pytest.fixture
def place(tmp_path) -> Place:
    return Directory(tmp_path / "images")


@pytest.fixture
def model() -> str:
    """A model that no other test has."""
    return f"risk/m-{uuid.uuid4().hex[:8]}"


def packed(directory: Path, content: bytes) -> tuple[Layer, Path]:
    tree = directory / f"tree-{uuid.uuid4().hex}"
    tree.mkdir()
    (tree / "model").write_bytes(content)
    file = directory / f"{tree.name}.tar.zst"
    return pack(Stop(), tree, PurePosixPath("/opt/so1s/model"), file), file


async def added(place: Place, directory: Path, content: bytes) -> Layer:
    layer, file = packed(directory, content)
    await place.images.add(layer, file)
    return layer


async def test_a_layer_is_there_once_it_was_added_and_may_be_added_again(place, tmp_path):
    content = uuid.uuid4().bytes
    layer, file = packed(tmp_path, content)
    assert not await place.images.has(layer)

    await place.images.add(layer, file)
    assert await place.images.has(layer)

    assert await added(place, tmp_path, content) == layer
    assert await place.images.has(layer)


async def test_a_layer_is_fetched_as_it_was_added(place, tmp_path):
    content = uuid.uuid4().bytes * 100_000
    layer, file = packed(tmp_path, content)
    before = file.read_bytes()
    await place.images.add(layer, file)

    await place.images.fetch(layer, tmp_path / "fetched")
    unpack(Stop(), layer, tmp_path / "fetched", PurePosixPath("/opt/so1s/model"), tmp_path / "unpacked")

    assert (tmp_path / "fetched").read_bytes() == before
    assert (tmp_path / "unpacked/model").read_bytes() == content


async def test_a_layer_that_is_not_there_cannot_be_fetched(place, tmp_path):
    layer, _file = packed(tmp_path, uuid.uuid4().bytes)
    with pytest.raises(TemporaryError):
        await place.images.fetch(layer, tmp_path / "fetched")


async def test_builders_that_add_the_same_layer_at_once_all_succeed(place, tmp_path):
    content = uuid.uuid4().bytes * 100_000

    layers = await asyncio.gather(*(added(place, tmp_path, content) for _ in range(4)))

    assert len(set(layers)) == 1
    assert await place.images.has(layers[0])


async def test_an_image_has_its_layers_in_order_and_every_digest_verifies(place, model, tmp_path):
    layers = [await added(place, tmp_path, uuid.uuid4().bytes * size) for size in (1, 1000, 100_000)]
    name = f"{model}:3"

    image = await place.images.publish(name, CONFIG, layers)

    async def blob(digest: str) -> bytes:
        data = await place.blob(name, digest)
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
        return data

    assert image.reference.endswith(f"@{image.digest}")
    assert await place.digest(name) == image.digest
    manifest_data = await blob(image.digest)
    manifest = json.loads(manifest_data)
    config = await blob(manifest["config"]["digest"])
    assert json.loads(config) == CONFIG
    described = manifest["layers"]
    assert [each["digest"] for each in described] == [layer.digest for layer in layers]
    assert {each["mediaType"] for each in described} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    sizes = [len(await blob(each["digest"])) for each in described]
    assert sizes == [each["size"] for each in described]
    assert image.size_bytes == len(manifest_data) + len(config) + sum(sizes)


async def test_a_layer_that_another_model_has_need_not_be_added_again(place, tmp_path):
    layer = await added(place, tmp_path, uuid.uuid4().bytes)
    for name in (f"risk/a-{uuid.uuid4().hex[:8]}:1", f"fraud/b-{uuid.uuid4().hex[:8]}:1"):
        await place.images.publish(name, CONFIG, [layer])
        assert len(await place.blob(name, layer.digest)) == layer.size_bytes


async def test_a_name_moves_to_the_newest_image_and_all_others_stay(place, model):
    first = await place.images.publish(f"{model}:1", CONFIG, [])
    other = await place.images.publish(f"{model}:2", CONFIG, [])
    moved = await place.images.publish(f"{model}:1", CONFIG | {"author": "x"}, [])

    assert first.digest == other.digest != moved.digest
    assert await place.digest(f"{model}:1") == moved.digest
    assert await place.digest(f"{model}:2") == other.digest
    assert await place.blob(f"{model}:1", first.digest)  # who runs it goes on


async def test_builders_that_publish_at_once_lose_nothing(place, model, tmp_path):
    layer = await added(place, tmp_path, uuid.uuid4().bytes)
    configs = [CONFIG | {"author": str(number)} for number in range(12)]

    images = await asyncio.gather(
        *(place.images.publish(f"{model}:{number}", config, [layer]) for number, config in enumerate(configs))
    )

    found = [await place.digest(f"{model}:{number}") for number in range(12)]
    assert found == [image.digest for image in images]
    assert len(set(found)) == 12


async def test_an_image_stands_on_the_host_unless_it_is_told_of_a_base(place):
    base = await place.images.base("linux-x86_64-cp311")
    assert (base.name, base.platform, base.layers) == ("host", "linux-x86_64-cp311", ())
