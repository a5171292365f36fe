"""Libraries: installed once, locked, packed the same every time."""

import asyncio
import json
import os
import platform
import re
import sys
from pathlib import Path

import pytest

from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock, merged
from services.builder.locks import FORMATS, NEEDS, ON_GPU, compiling, export, export_compiling, needs, shipped
from so1s.events import Signature, Tensor
from so1s.events.model import COMPILABLE


@pytest.mark.parametrize("name", [*FORMATS, *ON_GPU, *NEEDS])
def test_the_committed_locks_are_those_of_the_workspace(name):
    assert shipped(name).text == export(name), "uv.lock has changed: python -m services.builder.locks"


@pytest.mark.parametrize("name", COMPILABLE)
def test_the_committed_locks_of_the_compiler_are_those_of_the_workspace(name):
    said = "uv.lock has changed: python -m services.builder.locks"
    assert compiling(name).text == export_compiling(name), said


@pytest.mark.parametrize("need", NEEDS)
def test_a_lock_of_a_format_and_a_need_is_what_uv_makes_of_both(need):
    assert merged(shipped("skops"), shipped(need)).text == export("skops", need)


def test_a_dataframe_needs_pandas_where_a_format_takes_it_as_such():
    rows = Tensor(name="rows", dtype="string", shape=[-1, 1], type="dataframe", columns=[])
    array = Tensor(name="x", dtype="float64", shape=[-1, 1])
    taken = Signature(inputs=[rows], outputs=[array])
    assert (needs("skops", taken), needs("xgboost", taken), needs("python", taken)) == (["dataframe"], [], [])
    assert needs("skops", Signature(inputs=[array], outputs=[array])) == needs("skops", None) == []


def test_what_two_locks_have_in_different_versions_is_the_first_ones():
    first, second = Lock("own", "A==2\nc==1\n"), Lock("more", "a==1 \\\n    --hash=sha256:0\nB-x==1\n")
    assert merged(first, second) == Lock("own with more", "A==2\nB-x==1\nc==1\n")


def small_lock(*, damaged: bool = False, library: str = "uvicorn") -> Lock:
    """A lock of one small library; uvicorn has a script."""
    lines = shipped("onnx").text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{library}=="))
    end = next(n for n in range(start + 1, len(lines)) if not lines[n].startswith(" "))
    text = "\n".join(lines[start:end])
    if damaged:
        text = re.sub("sha256:[0-9a-f]{4}", "sha256:0000", text)
    return Lock("onnx", text)


def source(directory: Path, images: LayoutImages) -> UvDependencies:
    python = Path(sys.executable)
    return UvDependencies(directory, images, python=python, platform="linux-x86_64-cp311")


async def test_scripts_which_name_this_machines_interpreter_are_left_out(tmp_path):
    found = await source(tmp_path / "d", LayoutImages(tmp_path / "images")).provide(small_lock(), print)
    assert (found.site_packages / "uvicorn/__init__.py").exists()
    assert not (found.site_packages / "bin").exists()
    assert not any("bin/uvicorn" in path.read_text() for path in found.site_packages.glob("*/RECORD"))


async def test_builders_that_want_the_same_libraries_wait_for_the_first(tmp_path):
    images, lock = LayoutImages(tmp_path / "images"), small_lock()
    builders = [source(tmp_path / "d", images) for _ in range(3)]

    found = await asyncio.gather(*(builder.provide(lock, lambda _line: None) for builder in builders))

    assert sorted(each.cached for each in found) == [False, True, True]
    assert len({each.layer.digest for each in found}) == 1


async def test_the_layer_is_the_same_on_another_machine(tmp_path):
    digests = set()
    for number, umask in enumerate((0o022, 0o077)):
        old = os.umask(umask)
        images = LayoutImages(tmp_path / f"images{number}")
        lock = small_lock()
        found = await source(tmp_path / f"d{number}", images).provide(lock, lambda _line: None)
        os.umask(old)
        digests.add(found.layer.digest)

    assert len(digests) == 1


async def test_a_lost_layer_is_packed_again_from_what_is_installed(tmp_path):
    images, lock = LayoutImages(tmp_path / "images"), small_lock()
    libraries = source(tmp_path / "d", images)
    first = await libraries.provide(lock, lambda _line: None)
    (tmp_path / "images/blobs/sha256" / first.layer.digest.removeprefix("sha256:")).unlink()
    (first.site_packages / "uvicorn/__pycache__").mkdir(exist_ok=True)
    (first.site_packages / "uvicorn/__pycache__/x.pyc").write_bytes(b"written by a server")

    lines: list[str] = []
    again = await libraries.provide(lock, lines.append)

    assert again.layer == first.layer
    assert lines == []  # nothing was installed
    assert await images.has(again.layer)


async def test_libraries_that_are_asked_for_bear_the_time(tmp_path):
    images, lock = LayoutImages(tmp_path / "images"), small_lock()
    libraries = source(tmp_path / "d", images)
    home = (await libraries.provide(lock, lambda _line: None)).site_packages.parent
    os.utime(home, (0, 0))

    await libraries.provide(lock, lambda _line: None)

    assert home.stat().st_mtime > 0


async def test_libraries_that_cannot_be_installed_are_a_failed_build_with_uvs_words_in_the_log(tmp_path):
    lock = small_lock(damaged=True)
    lines: list[str] = []

    with pytest.raises(BuildError) as error:
        await source(tmp_path / "d", LayoutImages(tmp_path / "images")).provide(lock, lines.append)

    assert error.value.reason == "dependencies"
    assert any("hash" in line.lower() for line in lines)
    assert not [path for path in (tmp_path / "d").iterdir() if path.is_dir()]  # no half of it is left


async def test_libraries_for_a_base_are_those_for_its_python_and_not_for_this_machines(tmp_path):
    images, lock = LayoutImages(tmp_path / "images"), small_lock(library="httptools")
    other = "cp312" if sys.version_info.minor != 12 else "cp313"
    libraries = UvDependencies(
        tmp_path / "d",
        images,
        python=Path(sys.executable),
        platform=f"linux-{platform.machine()}-{other}",
        glibc="2.28",
    )

    found = await libraries.provide(lock, lambda _line: None)

    (wheel,) = found.site_packages.glob("*.dist-info/WHEEL")
    tags = re.findall(r"^Tag: (\S+)", wheel.read_text(), re.MULTILINE)
    assert tags
    assert all(tag.startswith(f"{other}-{other}-manylinux") for tag in tags)


async def test_another_platform_has_a_layer_of_its_own(tmp_path):
    images, lock = LayoutImages(tmp_path / "images"), small_lock()
    here = source(tmp_path / "d", images)
    there = UvDependencies(tmp_path / "d", images, python=Path(sys.executable), platform="linux-x86_64-cp399")
    await here.provide(lock, lambda _line: None)

    assert not (await there.provide(lock, lambda _line: None)).cached
    assert len(list((tmp_path / "d").glob("*/layer.json"))) == 2
    assert all(json.loads(p.read_bytes())["digest"] for p in (tmp_path / "d").glob("*/layer.json"))
