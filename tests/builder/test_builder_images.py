"""The image layout on disk, beside what every place for images promises."""

import json

from services.builder.adapters.images_layout import LayoutImages
from tests.builder.test_builder_images_port import CONFIG, packed


async def test_a_published_image_is_a_layout_as_the_specification_has_it(tmp_path):
    root = tmp_path / "images"

    image = await LayoutImages(root).publish("risk/fraud:3", CONFIG, [])

    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert image.reference == f"oci:{root}@{image.digest}"
    (entry,) = json.loads((root / "index.json").read_bytes())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "risk/fraud:3"}


async def test_a_layer_that_was_cut_short_is_not_taken_for_whole(tmp_path):
    images = LayoutImages(tmp_path / "images")
    layer, file = packed(tmp_path, b"one")
    await images.add(layer, file)
    path = tmp_path / "images/blobs/sha256" / layer.digest.removeprefix("sha256:")
    path.write_bytes(path.read_bytes()[:-1])

    assert not await images.has(layer)
