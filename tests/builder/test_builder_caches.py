"""What every `Cache` on a builder's disk promises to who makes room there."""

import os
import shutil
import time
from pathlib import Path
from typing import Protocol

import pytest

from services.builder.adapters.cached_libraries import CachedLibraries
from services.builder.adapters.cached_wheels import CachedWheels
from services.builder.adapters.images_layout import LayoutImages
from services.builder.disk import size_of
from services.builder.domain.eviction import Kept
from services.builder.ports import Cache
from tests.builder.test_builder_disk import aged, installed, library, uv_cache  # noqa: F401 - a fixture

SIZE = 300_000
AGE_SECONDS = 900.0


class Shelf(Protocol):
    """A cache with one thing in it that no build has in hand."""

    directory: Path

    def cache(self) -> Cache:
        """As a builder has it that starts now."""
        ...


class Libraries:
    def __init__(self, directory: Path) -> None:
        self.directory, self.cache = directory, lambda: CachedLibraries(directory)
        library(directory, "a", used_seconds_ago=AGE_SECONDS, size=SIZE)


class Layers:
    def __init__(self, directory: Path) -> None:
        self.directory, self.cache = directory, lambda: LayoutImages(directory)
        blob = directory / "blobs/sha256" / ("a" * 64)
        blob.parent.mkdir(parents=True)
        blob.write_bytes(os.urandom(SIZE))
        aged(blob, AGE_SECONDS)


class Wheels:
    def __init__(self, directory: Path) -> None:
        self.directory, self.cache = directory, lambda: CachedWheels(directory)


@pytest.fixture(params=["libraries", "layers", "wheels"])
async def shelf(request, tmp_path, monkeypatch) -> Shelf:
    match request.param:
        case "libraries":
            return Libraries(tmp_path / "libraries")
        case "layers":
            return Layers(tmp_path / "images")
    cache = request.getfixturevalue("uv_cache")
    async with installed(tmp_path, monkeypatch, "old") as sets:
        shutil.rmtree(sets["old"])  # so that uv's cache alone has its wheel
    return Wheels(cache)


def test_what_is_kept_is_told_with_the_room_that_it_takes_and_its_last_use(shelf):
    (kept,) = shelf.cache().kept()
    assert SIZE <= kept.size_bytes <= size_of(shelf.directory)
    assert kept.used_at <= time.time() - AGE_SECONDS / 2


def test_what_was_removed_takes_no_room_and_is_kept_no_more(shelf):
    before = size_of(shelf.directory)
    (kept,) = shelf.cache().kept()
    assert shelf.cache().remove(kept, used_before=time.time())
    assert [*shelf.cache().kept()] == []
    assert size_of(shelf.directory) <= before - SIZE


def test_what_is_gone_already_is_not_removed_again(shelf):
    (kept,) = shelf.cache().kept()
    assert shelf.cache().remove(kept, used_before=time.time())
    assert not shelf.cache().remove(kept, used_before=time.time())


def test_what_is_anothers_stays(shelf, tmp_path):
    other = tmp_path / "others" / ("a" * 64)
    other.mkdir(parents=True)
    assert not shelf.cache().remove(Kept(other, SIZE, used_at=0), used_before=time.time())
    assert other.exists()


def test_a_place_that_nothing_was_put_into_keeps_nothing(shelf):
    shutil.rmtree(shelf.directory)
    assert [*shelf.cache().kept()] == []
