"""Replicas with disks of their own install a set of libraries once, and share its layer."""

import asyncio
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.domain.image import Layer
from services.builder.packed import StoredLayers
from so1s.errors import TemporaryError
from tests.builder.test_builder_dependencies import small_lock
from tests.builder.working import both_databases, until

LAYER = Layer(f"sha256:{'0' * 64}", f"sha256:{'1' * 64}", 3 * 2**32)


@dataclass
class Replica:
    """A builder with a disk of its own."""

    libraries: UvDependencies
    lines: list[str]

    @classmethod
    def of(cls, tmp_path: Path, store, name: str) -> "Replica":
        libraries = UvDependencies(
            tmp_path / name,
            LayoutImages(tmp_path / "images"),
            python=Path(sys.executable),
            platform="linux-x86_64-cp311",
            packed=StoredLayers(store, name, lease_seconds=5),
        )
        return cls(libraries, [])

    async def provide(self):
        return await self.libraries.provide(small_lock(), self.lines.append)

    @property
    def installed(self) -> bool:
        return any("uvicorn==" in line for line in self.lines)


def content(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(each.relative_to(directory)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


@both_databases
async def test_of_two_replicas_one_installs_and_the_other_takes_the_layer_from_the_image_store(
    tmp_path, store
):
    one, two = (Replica.of(tmp_path, store, name) for name in ("one", "two"))

    first, second = await asyncio.gather(one.provide(), two.provide())

    assert sorted([one.installed, two.installed]) == [False, True]
    assert sorted([first.cached, second.cached]) == [False, True]
    assert first.layer == second.layer
    assert first.site_packages != second.site_packages
    assert content(first.site_packages) == content(second.site_packages)
    waiting = two if one.installed else one
    assert any("waiting for it" in line for line in waiting.lines)
    assert any(f"{first.layer.digest} was taken from the image store" in line for line in waiting.lines)


async def test_a_layer_that_the_image_store_lost_is_installed_again(tmp_path, store):
    one, two = (Replica.of(tmp_path, store, name) for name in ("one", "two"))
    layer = (await one.provide()).layer
    (tmp_path / "images/blobs/sha256" / layer.digest.removeprefix("sha256:")).unlink()

    assert not (await two.provide()).cached
    assert two.installed


async def test_a_layer_with_other_bytes_puts_the_build_off_and_leaves_nothing(tmp_path, store):
    one, two = (Replica.of(tmp_path, store, name) for name in ("one", "two"))
    layer = (await one.provide()).layer
    blob = tmp_path / "images/blobs/sha256" / layer.digest.removeprefix("sha256:")
    blob.write_bytes(bytes(layer.size_bytes))

    with pytest.raises(TemporaryError, match="its bytes have another digest"):
        await two.provide()

    assert not [path for path in (tmp_path / "two").iterdir() if path.is_dir()]


@both_databases
async def test_a_replica_that_is_dead_is_waited_for_no_longer_than_its_lease(store):
    dead, alive = (
        StoredLayers(store, "dead", lease_seconds=0.5),
        StoredLayers(store, "alive", lease_seconds=60),
    )
    assert await dead._hold("libraries/k")

    async with alive.turn("k", print):
        assert not await dead._hold("libraries/k")
    assert await dead._hold("libraries/k")


async def test_a_turn_lasts_as_long_as_its_libraries_take(store, monkeypatch):
    one, two = (StoredLayers(store, name, lease_seconds=1.5) for name in ("one", "two"))
    order: list[str] = []
    tries: list[bool] = []
    hold = two._hold

    async def counted(name: str) -> bool:
        tries.append(await hold(name))
        return tries[-1]

    monkeypatch.setattr(two, "_hold", counted)

    async def second() -> None:
        async with two.turn("k", order.append):
            order.append("two")

    async with one.turn("k", print):
        waiting = asyncio.create_task(second())

        async def tried_for_longer_than_a_lease() -> bool:
            return len(tries) > 7  # four times a second

        await until(tried_for_longer_than_a_lease)
        order.append("one")
    await waiting

    assert order == ["another builder installs these libraries: waiting for it", "one", "two"]


@both_databases
async def test_what_was_packed_last_is_what_the_others_know(store):
    layers = StoredLayers(store, "one", lease_seconds=5)
    assert await layers.known("k") is None
    for each in (Layer("sha256:a", "sha256:b", 1), LAYER):
        await layers.tell("k", each)
    assert await layers.known("k") == LAYER
