"""`so1s verify`."""

import asyncio
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.builder.signing import new_key, sign
from tests.builder.test_builder_images_port import CONFIG, Directory, added

KEY = new_key()
LONG = "d" * 200
"""A directory whose name is wider than a terminal."""
WITHOUT = """
import sys
sys.modules["cryptography"] = None
from so1s.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


async def made(directory) -> str:
    directory.mkdir(parents=True)
    place = Directory(directory)
    layer = await added(place, directory.parent, uuid.uuid4().bytes)
    image = await place.images.publish("risk/fraud:3", CONFIG, [layer])
    await sign(place.images, image, KEY)
    return image.reference


@pytest.fixture
def image(tmp_path) -> str:
    """A signed one, in a layout."""
    with ThreadPoolExecutor() as thread:  # the main thread's loop belongs to pytest-asyncio
        return thread.submit(asyncio.run, made(tmp_path / LONG / "images")).result()


@pytest.fixture
def key(tmp_path) -> str:
    path = tmp_path / "so1s.pub"
    path.write_bytes(KEY.public.to_pem())
    return str(path)


def test_it_prints_who_built_the_image_from_what(so1s, image, key):
    result = so1s("verify", image, "--key", key)
    assert result.code == 0
    assert result.lines[0] == f"✓ {image}"
    said = {line[:11].strip(): line[12:] for line in result.lines[1:]}
    assert said["signed by"] == KEY.public.fingerprint
    assert said["built by"] == "https://builder.example"
    assert said["model"] == "risk/fraud@3, onnx"
    assert said["uploaded by"] == "airflow:risk_daily"
    assert said["from"] == "s3://ml/risk/fraud/3.tar.gz"
    assert said["bytes"] == f"sha256:{'b' * 64}"
    assert (said["commit"], said["data"]) == ("4f1c2ab", "s3://data/rows")
    assert said["contains"].startswith("2 packages")


def test_programs_get_all_of_it_as_json(so1s, image, key):
    report = so1s("verify", image, "--key", key, "-o", "json").json
    assert image.endswith(report["digest"])
    assert report["sbom"]["bomFormat"] == "CycloneDX"
    assert report["provenance"]["buildDefinition"]["externalParameters"]["model"] == "fraud"


def test_a_signature_by_another_key_fails_with_the_reason(so1s, image, tmp_path):
    other = tmp_path / "other.pub"
    other.write_bytes(new_key().public.to_pem())
    result = so1s("verify", image, "--key", str(other))
    assert result.code == 1
    assert "wrong_key: no signature of sha256:" in result.err


def test_a_changed_layer_fails_where_layers_are_read(so1s, image, key, tmp_path):
    blobs = tmp_path / LONG / "images/blobs/sha256"
    largest = max(blobs.iterdir(), key=lambda path: path.read_bytes().startswith(b"\x28\xb5\x2f\xfd"))
    largest.write_bytes(largest.read_bytes() + b"!")
    assert so1s("verify", image, "--key", key).code == 0
    result = so1s("verify", image, "--key", key, "--layers")
    assert result.code == 1
    assert "changed" in result.err


def test_an_image_without_a_signature_fails_with_the_reason(so1s, image, key, tmp_path):
    index = tmp_path / LONG / "images/index.json"
    index.write_text(index.read_text().replace(".sig", ".gone"))
    result = so1s("verify", image, "--key", key)
    assert result.code == 1
    assert "unsigned: no signature is attached" in result.err


def test_a_version_is_verified_by_its_name(so1s, laptop, http, image, key):
    build = {"model": "fraud", "version": "3", "image": image}
    http.answers["/v1/builds"] = {"builds": [build, {"model": "fraud", "version": "4", "image": None}]}
    assert so1s("verify", "fraud@3", "--key", key).code == 0
    assert "a version that was built" in so1s("verify", "fraud@4", "--key", key).err


@pytest.mark.parametrize("wrong", ["registry/fraud", "oci:/images", "oci:/images@sha256:12", "fraud"])
def test_what_is_no_image_is_refused(so1s, key, wrong):
    assert so1s("verify", wrong, "--key", key).code == 2


def test_what_is_no_key_is_refused(so1s, image, tmp_path):
    for path in (tmp_path / "gone.pub", tmp_path):
        assert so1s("verify", image, "--key", str(path)).code == 2
    assert so1s("verify", image).code == 2


def test_without_its_extra_it_says_what_to_install(image, key):
    program = [sys.executable, "-c", WITHOUT, "verify", image, "--key", key]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'so1s[verify]'" in done.stderr
