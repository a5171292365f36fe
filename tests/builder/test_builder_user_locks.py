"""What models ask for is resolved once, to a lock that others share."""

import sys
import tempfile
from pathlib import Path

import pytest

from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock, restricted
from services.builder.locks import FORMATS, shipped
from services.builder.packages import runtime_needs
from so1s.requirements import Requirements
from tests.builder.test_builder_dependencies import small_lock


def source(directory: Path) -> UvDependencies:
    images = LayoutImages(directory / "images")
    return UvDependencies(
        directory / "libraries", images, python=Path(sys.executable), platform="linux-x86_64-cp311"
    )


async def lock_of(directory: Path, *packages: str, **said) -> tuple[Lock, list[str]]:
    lines: list[str] = []
    asked = Requirements(packages, **said)
    return await locked(source(directory), asked, lines.append), lines


async def locked(libraries: UvDependencies, asked: Requirements, log=lambda _line: None) -> Lock:
    return await libraries.lock(asked, runtime_needs(["python"]), shipped("python"), log, on_cpu=True)


@pytest.mark.parametrize("model_format", FORMATS)
def test_what_a_server_needs_is_in_the_lock_of_its_format(model_format):
    names = {need.partition(">")[0] for need in runtime_needs([model_format])}
    assert names >= {"numpy", "orjson", "uvicorn"}
    assert names <= {name for name, _version in shipped(model_format).hashes}


async def test_a_configuration_in_a_directory_above_does_not_choose_the_index(tmp_path, monkeypatch):
    (tmp_path / "uv.toml").write_text('[[index]]\nurl = "http://127.0.0.1:1/simple"\n')
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # anybody writes to /tmp
    libraries = source(tmp_path)

    lock = await locked(libraries, Requirements(["attrs==25.3.0"]))
    provided = await libraries.provide(small_lock(), lambda _line: None)

    assert ("attrs", "25.3.0") in lock.hashes
    assert not provided.cached


async def test_two_models_with_the_same_requirements_share_a_layer(tmp_path):
    libraries = source(tmp_path)
    one = await locked(libraries, Requirements.parse(b"attrs==25.3.0 # one"))
    lines: list[str] = []
    other = await locked(libraries, Requirements.parse(b"\nattrs == 25.3.0\n"), lines.append)
    assert any("resolved before" in line for line in lines)

    first = await libraries.provide(one, lambda _line: None)
    second = await libraries.provide(other, lambda _line: None)

    assert (first.cached, second.cached) == (False, True)
    assert first.layer == second.layer
    assert (first.site_packages / "attr/__init__.py").exists()
    assert (first.site_packages / "uvicorn/__init__.py").exists()


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("so1s-no-such-package-at-all", r"was not found in the package registry.*Check its name"),
        ("numpy<2", r"numpy<2.*The inference server itself needs numpy>=2\.1"),
        ("attrs==25.3.0.1", r"attrs==25\.3\.0\.1.*Loosen"),
        ("docopt==0.6.2", r"no usable wheels.*Only wheels are taken"),
    ],
)
async def test_what_cannot_be_had_is_a_failed_build_with_uvs_words_and_a_hint(tmp_path, package, said):
    with pytest.raises(BuildError, match=rf"requirements\.txt cannot be satisfied: .*{said}") as error:
        await lock_of(tmp_path, package)
    assert error.value.reason == "dependencies"


A, B, C = (f"--hash=sha256:{each * 64}" for each in "abc")
LOCK = Lock("l", f"a==1 \\\n    {A} \\\n    {B}\nc==2 \\\n    {C}\n")


def test_of_a_package_with_hashes_only_those_files_are_taken():
    kept = restricted(LOCK, {"a": {"b" * 64}})
    assert kept.hashes == {("a", "1"): ("b" * 64,), ("c", "2"): ("c" * 64,)}
    assert restricted(LOCK, {}) == LOCK


def test_a_package_of_which_no_file_is_allowed_is_a_failed_build():
    with pytest.raises(BuildError, match="a 1 has no file with a hash"):
        restricted(LOCK, {"a": {"d" * 64}})


# --- the whole build
