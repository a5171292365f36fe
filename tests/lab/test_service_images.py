"""Images of services: the same bytes wherever they are made, and what they say of themselves."""

import base64
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard

from deploy.images import base
from deploy.images.credentials import Credentials
from deploy.images.pushing import Destination
from so1s_lab import CHECKOUT, LAB_DIR

SERVICE = "billing"


@pytest.fixture(scope="module")
def layout(base_image) -> Path:
    return LAB_DIR / "images" / f"base-{base.fingerprint()}"


def make(directory: Path, layout: Path, *, umask: int = 0o022, **environment: str) -> Path:
    """Make the image of a service; answers the layout that has it."""
    line = [sys.executable, "-m", "deploy.images", SERVICE, "--tag", "1"]
    subprocess.run(
        [*line, "--directory", str(directory), "--base", str(layout)],
        cwd=CHECKOUT,
        env=os.environ | environment,
        umask=umask,
        check=True,
    )
    return directory / "layout"


def manifest(layout: Path) -> dict:
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    return entry | json.loads(blob(layout, entry["digest"]).read_bytes())


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


@pytest.fixture(scope="module")
def made(layout, tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("images"), layout)


def test_an_image_is_the_same_whoever_makes_it(made, layout, tmp_path):
    again = make(tmp_path, layout, umask=0o077, TZ="Asia/Seoul", LC_ALL="C", PYTHONHASHSEED="7")
    assert manifest(again)["layers"] == manifest(made)["layers"]
    assert manifest(again)["digest"] == manifest(made)["digest"]


def test_an_image_is_the_base_the_locked_libraries_and_the_code(made, layout):
    layers = manifest(made)["layers"]
    assert layers[:-2] == manifest(layout)["layers"]
    config = json.loads(blob(made, manifest(made)["config"]["digest"]).read_bytes())
    assert len(config["rootfs"]["diff_ids"]) == len(layers)
    said = config["config"]
    assert said["User"] == "65532:65532"
    assert said["Entrypoint"] == ["python3", "-P", "-m", f"services.{SERVICE}"]
    assert said["Labels"]["org.opencontainers.image.base.digest"] == manifest(layout)["digest"]


def test_an_image_brings_bytecode_of_its_own_interpreter(made):
    for layer in manifest(made)["layers"][-2:]:
        names = _names(blob(made, layer["digest"]))
        sources = [name for name in names if name.endswith(".py") and "/test" not in name]
        compiled = [name for name in names if name.endswith(".cpython-311.pyc")]
        assert len(compiled) > 0.95 * len(sources) > 50


def _names(layer: Path) -> list[str]:
    with layer.open("rb") as packed:
        plain = zstandard.ZstdDecompressor().stream_reader(packed)
        with tarfile.open(fileobj=plain, mode="r|") as archive:
            return archive.getnames()


def test_libraries_are_packed_once(made, layout):
    libraries = blob(made, manifest(made)["layers"][-2]["digest"])
    before = libraries.stat().st_ino
    make(made.parent, layout)
    assert libraries.stat().st_ino == before, "what is written anew is another file, which takes the name"


@pytest.mark.parametrize(
    ("text", "url", "prefix"),
    [
        ("registry.example/so1s", "https://registry.example", "so1s/"),
        ("http://127.0.0.1:5000/a/b/", "http://127.0.0.1:5000", "a/b/"),
        ("registry.example", "https://registry.example", ""),
    ],
)
def test_a_registry_speaks_tls_unless_it_is_told_otherwise(text, url, prefix):
    destination = Destination.parse(text)
    assert (destination.url, destination.prefix) == (url, prefix)


@pytest.mark.parametrize("text", ["https://me:secret@registry.example/so1s", "ftp://registry.example", ""])
def test_a_registry_is_no_place_for_credentials(text):
    with pytest.raises(ValueError, match="HOST/PREFIX") as refused:
        Destination.parse(text)
    assert "secret" not in str(refused.value)


def test_a_password_is_found_where_docker_keeps_it(tmp_path, monkeypatch):
    auth = base64.b64encode(b"me:se:cret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"registry.example": {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    user, password = Credentials().of("registry.example")
    assert (user, password.get_secret_value()) == ("me", "se:cret")
    assert Credentials().of("another.example") == (None, None)


def test_the_environment_comes_before_what_docker_keeps(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("broken")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(ValueError, match=r"config\.json"):
        Credentials().of("registry.example")
    monkeypatch.setenv("SO1S_IMAGE_REGISTRY_USER", "you")
    monkeypatch.setenv("SO1S_IMAGE_REGISTRY_PASSWORD", "other")
    user, password = Credentials().of("registry.example")
    assert (user, password.get_secret_value()) == ("you", "other")


def test_a_credential_helper_is_asked(tmp_path, monkeypatch):
    helper = tmp_path / "docker-credential-made"
    helper.write_text('#!/bin/sh\nread host\necho \'{"Username": "\'$host\'", "Secret": "its"}\'\n')
    (tmp_path / "config.json").write_text('{"credHelpers": {"registry.example": "made"}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(ValueError, match="docker-credential-made"):
        Credentials().of("registry.example")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    user, password = Credentials().of("registry.example")
    assert (user, password.get_secret_value()) == ("registry.example", "its")


def test_what_no_image_needs_any_more_is_removed(made, layout):
    garbage = blob(made, "sha256:" + "0" * 64)
    garbage.write_bytes(b"an older layer")
    (made.parent / "making-killed").mkdir()
    make(made.parent, layout)
    assert sorted(path.name for path in made.parent.iterdir()) == ["layout", "libraries", "lock"]
    assert not garbage.exists()
    assert all(blob(made, each["digest"]).exists() for each in manifest(made)["layers"])
