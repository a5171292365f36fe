"""A builder on a full disk: what is put off, and done once there is room."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from services.builder.adapters.cached_libraries import CachedLibraries
from services.builder.adapters.images_layout import LayoutImages
from services.builder.bytecode import compile_tree
from services.builder.disk import Disk, is_full, size_of
from services.builder.stop import Stop
from so1s.errors import TemporaryError
from so1s.events import ImageBuilt
from so1s.supply_chain.description import describe
from so1s.supply_chain.places import Layout
from tests.builder.test_builder_dependencies import small_lock, source
from tests.builder.test_builder_disk import library
from tests.builder.test_builder_worker import tar_of
from tests.builder.working import until


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (TemporaryError("cannot be installed now: No space left on device (os error 28)"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (ValueError("No space left on device"), False),
    ],
)
def test_a_full_disk_is_known_in_whoevers_words(error, says):
    assert is_full(error) is says
    wrapped = TemporaryError("away")
    wrapped.__cause__ = error
    assert is_full(wrapped) is says


async def test_a_build_that_meets_a_full_disk_is_put_off_with_what_it_needs_and_how_to_give_it(
    shop, skops_model
):
    shop.inspector.error = OSError(errno.ENOSPC, "No space left on device")
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    assert await shop.state() == "queued"
    problem = next(line for line in await shop.log() if "put off" in line)
    assert "no space left: step model needs more than the " in problem
    assert "SO1S_DISK_BUDGET_BYTES" in problem


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of so many KiB, or gives it that size."""
    directory = tmp_path / "small"
    directory.mkdir()

    def mount(kib: int) -> Path:
        options = f"size={kib}k" + (",remount" if directory.is_mount() else "")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("a file system can be mounted by root alone")
        return directory

    yield mount
    if directory.is_mount():
        subprocess.run(["umount", str(directory)], check=True)


async def test_what_lies_on_another_disk_stays_as_it_would_make_no_room(tmp_path, small_disk):
    small, other = small_disk(600), tmp_path / "libraries"
    here = library(small / "libraries", "a", used_seconds_ago=900)
    there = library(other, "b", used_seconds_ago=900)
    caches = [CachedLibraries(small / "libraries"), CachedLibraries(other)]
    full = Disk([small, other], tmp_path / "work", caches, None, in_use_seconds=60)
    await full.explained(OSError(errno.ENOSPC, "No space left on device"), "model")
    assert (here.exists(), there.exists()) == (False, True)


@pytest.mark.parametrize("kib", [40, 80, 120, 200, 400, 560])
async def test_a_build_on_a_disk_that_fills_up_anywhere_is_put_off_and_done_once_there_is_room(
    shop, small_disk, onnx_model, kib
):
    """The artifact, its copy in the layer, and the image store all lie on the disk."""
    small = small_disk(kib)
    padding = os.urandom(150_000)
    archive = tar_of({"model.onnx": onnx_model, "notes.bin": padding})
    images = LayoutImages(small / "images")
    dependencies = replace(shop.world.dependencies, images=images)
    shop.world = replace(
        shop.world,
        images=images,
        dependencies=dependencies,
        disk=Disk([small], small / "work", [images], None, in_use_seconds=60),
    )
    await shop.say(shop.uploaded(data=archive, name="3.tar"))
    (shop.directory / "builder").symlink_to(small)
    worker = shop.worker(deadline_seconds=600)
    await worker.work()
    if await shop.state() == "queued":
        assert any("no space left: step" in line for line in await shop.log())
        left = [path for path in small.rglob("*") if path.is_file() and path.name.startswith(".")]
        assert left == []  # nothing half written stays
        small_disk(10_000)

    async def is_built() -> bool:
        await worker.work()
        return await shop.state() == "built"

    await until(is_built)
    image = next(each for each in await shop.emitted() if isinstance(each, ImageBuilt)).image
    assert sound(small / "images") >= 11  # a try that failed may have left provenance of its own
    found = await describe(Layout(small / "images"), image.digest, layers=True)
    assert found.sbom
    assert found.provenance
    assert image.reference.endswith(image.digest)


def sound(layout: Path) -> int:
    """How many blobs there are; each is what its name says."""
    found = list((layout / "blobs/sha256").iterdir())
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in found)
    return len(found)


@pytest.fixture
async def whole_layer(tmp_path):
    images = LayoutImages(tmp_path / "whole-images")
    found = await source(tmp_path / "whole", images).provide(small_lock(), lambda _line: None)
    return found.layer


@pytest.mark.parametrize("kib", [64, 400, 800, 1000, 1200, 1400])
async def test_libraries_on_a_disk_that_fills_up_anywhere_give_the_same_layer_or_none(
    small_disk, whole_layer, kib
):
    small = small_disk(kib)
    images = LayoutImages(small / "images")
    libraries = source(small / "libraries", images)
    try:
        found = await libraries.provide(small_lock(), lambda _line: None)
    except (OSError, TemporaryError) as error:
        assert is_full(error), repr(error)  # noqa: PT017 - it need not fail
        small_disk(20_000)
        found = await libraries.provide(small_lock(), lambda _line: None)
    assert found.layer == whole_layer
    assert sound(small / "images") == 1


def test_bytecode_that_the_disk_does_not_take_is_an_error_and_no_half_of_it(small_disk):
    tree = small_disk(600) / "tree"
    tree.mkdir()
    for number in range(20):
        text = "\n".join(f"def f{n}(a, b):\n    return a + b + {n}" for n in range(200))
        (tree / f"m{number}.py").write_text(text)
    assert size_of(tree) < 600 * 1024
    with pytest.raises(OSError, match="as bytecode was written"):
        compile_tree(Stop(), Path(sys.executable), tree, PurePosixPath("/opt"))
