"""The image layout on disk."""

import asyncio
import hashlib
import json
from pathlib import Path, PurePosixPath

from services.builder.adapters.images_layout import LayoutImages
from services.builder.layers import Layer, pack
from services.builder.stop import Stop

CONFIG = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}


def packed(directory: Path, content: bytes) -> tuple[Layer, Path]:
    tree = directory / content.decode()
    tree.mkdir()
    (tree / "model").write_bytes(content)
    file = directory / f"{content.decode()}.tar.zst"
    return pack(Stop(), tree, PurePosixPath("/opt/so1s/model"), file), file


def blob(directory: Path, digest: str) -> bytes:
    data = (directory / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


async def test_a_published_image_is_a_valid_layout_whose_digests_verify(tmp_path):
    images = LayoutImages(tmp_path / "images")
    layer, file = packed(tmp_path, b"one")
    assert not await images.has(layer)
    await images.add(layer, file)
    assert await images.has(layer)

    image = await images.publish("risk/fraud:3", CONFIG, [layer])

    root = tmp_path / "images"
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert image.reference == f"oci:{root}@{image.digest}"
    (entry,) = json.loads((root / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == image.digest
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "risk/fraud:3"}
    manifest = json.loads(blob(root, image.digest))
    assert json.loads(blob(root, manifest["config"]["digest"])) == CONFIG
    (described,) = manifest["layers"]
    assert described["mediaType"] == "application/vnd.oci.image.layer.v1.tar+zstd"
    assert len(blob(root, described["digest"])) == described["size"] == layer.size_bytes
    assert image.size_bytes == entry["size"] + manifest["config"]["size"] + layer.size_bytes


async def test_a_name_moves_to_the_newest_image_and_other_names_stay(tmp_path):
    images = LayoutImages(tmp_path / "images")
    first = await images.publish("risk/fraud:1", CONFIG, [])
    other = await images.publish("risk/fraud:2", CONFIG, [])
    moved = await images.publish("risk/fraud:1", CONFIG | {"author": "x"}, [])

    entries = json.loads((tmp_path / "images/index.json").read_bytes())["manifests"]
    names = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in entries}
    assert names == {"risk/fraud:1": moved.digest, "risk/fraud:2": other.digest}
    assert first.digest == other.digest


async def test_a_layer_that_was_cut_short_is_not_taken_for_whole(tmp_path):
    images = LayoutImages(tmp_path / "images")
    layer, file = packed(tmp_path, b"one")
    await images.add(layer, file)
    path = tmp_path / "images/blobs/sha256" / layer.digest.removeprefix("sha256:")
    path.write_bytes(path.read_bytes()[:-1])

    assert not await images.has(layer)


async def test_builders_that_publish_at_once_lose_nothing(tmp_path):
    builders = [LayoutImages(tmp_path) for _ in range(8)]

    await asyncio.gather(
        *(images.publish(f"risk/fraud:{number}", CONFIG, []) for number, images in enumerate(builders * 3))
    )

    entries = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    assert len(entries) == 24
