"""The disk of a builder: what goes when there is a budget, and what never does."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.builder.adapters.cached_libraries import CachedLibraries
from services.builder.adapters.cached_wheels import CachedWheels
from services.builder.adapters.images_layout import LayoutImages
from services.builder.disk import Disk, size_of
from services.builder.domain.eviction import Kept, by_last_use
from services.builder.domain.lock import Lock
from services.builder.layers import pack
from services.builder.stop import Stop
from so1s.errors import TemporaryError
from so1s.events import ImageBuilt
from tests.builder.test_builder_dependencies import source
from tests.builder.test_builder_installing import file_name, link_to, served, wheel

LONG_AGO = 10**6


# --- the budget


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 9)), max_size=20))
def test_what_may_be_in_hand_never_goes_and_the_rest_by_last_use(said):
    kept = [Kept(Path(str(n)), size, used_at) for n, (used_at, size) in enumerate(said)]
    gone = list(by_last_use(kept, used_before=50))
    assert {each.path for each in gone} == {each.path for each in kept if each.used_at < 50}
    assert [each.used_at for each in gone] == sorted(each.used_at for each in gone)


def library(directory: Path, name: str, *, used_seconds_ago: float, size: int = 100_000) -> Path:
    home = directory / (name * 64)
    (home / "site-packages").mkdir(parents=True)
    (home / "site-packages/module.py").write_bytes(os.urandom(size))
    (home / "layer.json").touch()
    aged(home, used_seconds_ago)
    return home


def aged(path: Path, seconds: float) -> None:
    at = path.stat().st_mtime - seconds
    os.utime(path, (at, at))


@pytest.fixture
def images(tmp_path) -> LayoutImages:
    return LayoutImages(tmp_path / "images")


def disk(directory: Path, *caches, budget: int | None) -> Disk:
    return Disk([directory], directory / "builder/work", caches, budget, in_use_seconds=60)


async def test_libraries_go_by_last_use_until_all_is_within_the_budget(tmp_path):
    libraries = tmp_path / "libraries"
    homes = {
        name: library(libraries, name, used_seconds_ago=age)
        for name, age in {"a": 500, "b": 900, "c": 700, "d": 5}.items()
    }
    cache = CachedLibraries(libraries)
    in_all = sum(each.size_bytes for each in cache.kept())

    await disk(tmp_path, cache, budget=in_all).keep_budget()
    assert all(home.exists() for home in homes.values())
    await disk(tmp_path, cache, budget=in_all - 1).keep_budget()
    assert [name for name, home in homes.items() if home.exists()] == ["a", "c", "d"]
    await disk(tmp_path, cache, budget=1).keep_budget()
    assert [name for name, home in homes.items() if home.exists()] == ["d"]  # a build may have it in hand
    assert {path.name[0] for path in libraries.iterdir()} == {"d"}


async def test_work_in_progress_counts_and_is_not_touched(tmp_path):
    home = library(tmp_path / "libraries", "a", used_seconds_ago=500)
    work = tmp_path / "builder/work/one/model.bin"
    work.parent.mkdir(parents=True)
    work.write_bytes(bytes(300_000))
    await disk(tmp_path, CachedLibraries(tmp_path / "libraries"), budget=300_000).keep_budget()
    assert work.exists()
    assert not home.exists()


async def test_a_library_that_is_asked_for_while_it_is_looked_at_stays(tmp_path):
    home = library(tmp_path / "libraries", "a", used_seconds_ago=500)
    cache = CachedLibraries(tmp_path / "libraries")
    (kept,) = cache.kept()
    os.utime(home)
    assert not cache.remove(kept, used_before=home.stat().st_mtime - 60)
    assert home.exists()


def blobs(shop) -> set[str]:
    return {path.name for path in (shop.directory / "images/blobs/sha256").iterdir()}


async def built(shop, version: str, data: bytes, **said) -> ImageBuilt:
    await shop.say(shop.uploaded(version, data=data, **said))
    await shop.worker().work()
    return [each for each in await shop.emitted() if isinstance(each, ImageBuilt)][-1]


async def test_layers_of_no_image_go_and_those_of_images_stay_also_of_one_that_was_built_again(
    shop, skops_model
):
    first = await built(shop, "1", skops_model)
    of_first = blobs(shop)
    shop.world = replace(shop.world, runtime=shop.directory / "runtime-of-later")
    (shop.world.runtime / "so1s_runtime").mkdir(parents=True)
    (shop.world.runtime / "so1s_runtime/__init__.py").write_text("# later")
    again = await built(shop, "1", skops_model)
    assert again.image.digest != first.image.digest  # and replicas may run the first one
    of_images = blobs(shop)

    tree, packed = shop.directory / "tree", shop.directory / "orphan.tar.zst"
    tree.mkdir()
    (tree / "weights").write_bytes(os.urandom(100_000))
    orphan = pack(Stop(), tree, PurePosixPath("/opt/so1s/model"), packed)
    await shop.world.images.add(orphan, packed)
    for path in (shop.directory / "images/blobs/sha256").iterdir():
        aged(path, LONG_AGO)

    await disk(shop.directory, shop.world.images, budget=1).keep_budget()
    assert of_first <= of_images == blobs(shop)
    assert not await shop.world.images.has(orphan)


async def test_a_layer_that_a_build_found_there_stays_until_its_image_is_there(images, tmp_path):
    (tmp_path / "tree").mkdir()
    packed = tmp_path / "layer.tar.zst"
    layer = pack(Stop(), tmp_path / "tree", PurePosixPath("/opt"), packed)
    await images.add(layer, packed)
    aged(tmp_path / "images/blobs/sha256" / layer.digest[7:], LONG_AGO)

    assert await images.has(layer)
    await disk(tmp_path, images, budget=1).keep_budget()
    assert await images.has(layer)


async def test_an_image_is_not_published_without_a_layer_that_went_meanwhile(images, tmp_path):
    (tmp_path / "tree").mkdir()
    packed = tmp_path / "layer.tar.zst"
    layer = pack(Stop(), tmp_path / "tree", PurePosixPath("/opt"), packed)
    await images.add(layer, packed)
    (tmp_path / "images/blobs/sha256" / layer.digest[7:]).unlink()
    with pytest.raises(TemporaryError, match="removed meanwhile"):
        await images.publish("risk/fraud:1", {"rootfs": {}}, [layer])


def test_a_directory_that_goes_while_its_size_is_asked_for_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "goes/inner").mkdir(parents=True)
    (tmp_path / "stays").write_bytes(bytes(100_000))
    seen = Path.lstat

    def lstat(path: Path) -> os.stat_result:
        found = seen(path)
        if path.name == "inner":
            shutil.rmtree(path.parent)
        return found

    monkeypatch.setattr(Path, "lstat", lstat)

    assert size_of(tmp_path) >= 100_000


# --- wheels that uv's cache alone holds


def wheels_in(cache: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in cache.glob("archive-v*/*/*.dist-info")}


@pytest.fixture
def uv_cache(tmp_path, monkeypatch) -> Path:
    """An empty one."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return tmp_path / "uv"


@asynccontextmanager
async def installed(directory: Path, monkeypatch, *names: str) -> AsyncIterator[dict[str, Path]]:
    """Sets of one library each, by real uv from a small index, which goes at the end."""
    wheels = {name: wheel(name, os.urandom(300_000)) for name in names}
    pages = {f"/simple/{name}/": link_to(name, data) for name, data in wheels.items()}
    files = {f"/files/{file_name(name)}": data for name, data in wheels.items()}
    async with served(pages | files) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        libraries = source(directory / "libraries", LayoutImages(directory / "images"))
        found = {}
        for name, data in wheels.items():
            lock = Lock(name, f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(data).hexdigest()}\n")
            found[name] = (await libraries.install(lock, lambda _line: None)).site_packages.parent
        yield found


async def test_libraries_that_go_take_their_wheels_in_uvs_cache_along(tmp_path, monkeypatch, uv_cache):
    async with installed(tmp_path, monkeypatch, "old", "new") as sets:
        assert wheels_in(uv_cache) == {"old", "new"}
    for home, age in ((sets["old"], 900), (sets["new"], 500)):
        aged(home, age)
    caches = CachedLibraries(tmp_path / "libraries"), CachedWheels(uv_cache)
    in_all = sum(each.size_bytes for cache in caches for each in cache.kept())
    before = size_of(uv_cache)

    await disk(tmp_path, *caches, budget=in_all - 100_000).keep_budget()

    assert not sets["old"].exists()
    assert wheels_in(uv_cache) == {"new"}
    assert size_of(uv_cache) < before - 300_000
    assert (sets["new"] / "site-packages/new.py").stat().st_nlink == 2


async def test_a_wheel_that_no_libraries_are_linked_to_counts_and_goes_before_any_libraries(
    tmp_path, monkeypatch, uv_cache
):
    async with installed(tmp_path, monkeypatch, "old", "new") as sets:
        shutil.rmtree(sets["old"])
    aged(sets["new"], 900)
    wheels = CachedWheels(uv_cache)
    (kept,) = wheels.kept()
    assert 300_000 < kept.size_bytes < 400_000

    await disk(tmp_path, CachedLibraries(tmp_path / "libraries"), wheels, budget=500_000).keep_budget()

    assert wheels_in(uv_cache) == {"new"}
    assert sets["new"].exists()
    assert not list(wheels.kept())


async def test_wheels_stay_while_uv_installs(tmp_path, monkeypatch, uv_cache):
    async with installed(tmp_path, monkeypatch, "old") as sets:
        shutil.rmtree(sets["old"])
    monkeypatch.setenv("UV_LOCK_TIMEOUT", "0")
    wheels = CachedWheels(uv_cache)
    with (uv_cache / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as uv holds it while it installs
        await disk(tmp_path, wheels, budget=1).keep_budget()
        assert wheels_in(uv_cache) == {"old"}
    await disk(tmp_path, wheels, budget=1).keep_budget()

    assert wheels_in(uv_cache) == set()


def test_a_wheel_of_a_strange_name_is_no_option_of_uv(tmp_path, uv_cache):
    for name in ("--force-1.0", "-1.0", "unknown-1.0"):
        wheel = uv_cache / "archive-v0/x" / f"{name}.dist-info"
        wheel.mkdir(parents=True)
        (wheel / "METADATA").write_text("x")
    wheels = CachedWheels(uv_cache)
    (kept,) = wheels.kept()

    assert not wheels.remove(kept, used_before=0)  # uv knows none of them
    assert len(list(uv_cache.glob("archive-v0/x/*"))) == 3
