"""What every adapter of the `DependencySource` port promises to a build.

A module that makes a `shelf` runs them: an index, and builders that install from it.
"""

from typing import Protocol

import pytest

from services.builder.adapters.images_layout import LayoutImages
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock
from services.builder.ports import DependencySource
from so1s.errors import TemporaryError
from so1s.requirements import Requirements

NOTHING = Lock("nothing", "")


class Shelf(Protocol):
    """An index of packages that are one module each, and the image store of its builders."""

    images: LayoutImages

    def offer(self, name: str, *versions: str) -> None:
        """Have a package in these versions, the newest last."""

    def offer_torch_for_the_cpu(self, version: str) -> None:
        """Have it in an index of its own, which builders that start later know."""

    def go_away(self) -> None:
        """Let no index answer until it is back."""

    def come_back(self) -> None: ...

    def libraries(self, machine: str = "one") -> DependencySource:
        """Those of a builder that starts now, on a machine with a disk of its own."""
        ...


async def locked(
    shelf: Shelf, *asked: str, needed: tuple[str, ...] = (), base: Lock = NOTHING, **said
) -> Lock:
    return await shelf.libraries().lock(Requirements(asked), needed, base, print, **said)


async def test_a_lock_has_what_is_asked_for_and_what_the_server_needs(shelf):
    shelf.offer("tiny", "1.0")
    shelf.offer("leaf", "1.0", "2.0")
    lock = await locked(shelf, "tiny", needed=("leaf>=1",))
    assert lock.hashes.keys() == {("tiny", "1.0"), ("leaf", "2.0")}
    assert all(lock.hashes.values())


async def test_versions_that_the_server_is_tested_with_are_taken_unless_others_are_asked_for(shelf):
    shelf.offer("tiny", "1.0")
    shelf.offer("leaf", "1.0", "2.0")
    base = await locked(shelf, "leaf==1.0")
    beside = await locked(shelf, "tiny", needed=("leaf",), base=base)
    other = await locked(shelf, "tiny", "leaf>=2", needed=("leaf",), base=base)
    assert beside.hashes == (await locked(shelf, "tiny")).hashes | base.hashes
    assert other.hashes.keys() == {("tiny", "1.0"), ("leaf", "2.0")}


async def test_the_same_is_given_the_same_lock_whatever_the_index_has_by_then(shelf):
    shelf.offer("tiny", "1.0")
    first = await locked(shelf, "tiny>=1")
    shelf.offer("tiny", "1.0", "2.0")
    shelf.go_away()
    assert await locked(shelf, "tiny>=1") == first


@pytest.mark.parametrize("asked", ["stranger", "leaf==9", "leaf<2"])
async def test_libraries_that_there_are_not_together_are_a_failed_build_that_names_them(shelf, asked):
    shelf.offer("leaf", "1.0", "2.0")
    with pytest.raises(
        BuildError, match=r"requirements\.txt cannot be satisfied: .*(stranger|leaf)"
    ) as error:
        await locked(shelf, asked, needed=("leaf>=2",))
    assert error.value.reason == "dependencies"


async def test_an_index_that_is_away_puts_a_lock_off(shelf):
    shelf.offer("tiny", "1.0")
    shelf.go_away()
    with pytest.raises(TemporaryError, match=r"requirements\.txt cannot be resolved now: .*[Cc]onnect"):
        await locked(shelf, "tiny")
    shelf.come_back()
    assert (await locked(shelf, "tiny")).hashes.keys() == {("tiny", "1.0")}


async def test_an_index_that_is_away_puts_an_installation_off(shelf):
    shelf.offer("tiny", "1.0")
    lock = await locked(shelf, "tiny")
    shelf.go_away()
    for way in (shelf.libraries().provide, shelf.libraries().install):
        with pytest.raises(TemporaryError, match=r"libraries of .* cannot be installed now: "):
            await way(lock, print)
    shelf.come_back()
    assert ((await shelf.libraries().install(lock, print)).site_packages / "tiny.py").exists()


async def test_libraries_are_installed_once_and_the_image_store_has_their_layer(shelf):
    shelf.offer("tiny", "1.0")
    lock = await locked(shelf, "tiny")
    first = await shelf.libraries().provide(lock, print)
    shelf.go_away()
    second = await shelf.libraries().provide(lock, print)
    assert (first.cached, second.cached) == (False, True)
    assert (first.lock, first.layer, first.site_packages) == (lock, second.layer, second.site_packages)
    assert (first.site_packages / "tiny.py").exists()
    assert await shelf.images.has(first.layer)


async def test_the_libraries_of_a_lock_are_the_same_layer_on_every_machine_and_others_are_another(shelf):
    shelf.offer("tiny", "1.0")
    shelf.offer("leaf", "1.0")
    lock, other = await locked(shelf, "tiny"), await locked(shelf, "leaf")
    layers = [(await shelf.libraries(name).provide(lock, print)).layer for name in ("one", "two")]
    assert layers[0] == layers[1]
    assert (await shelf.libraries().provide(other, print)).layer.digest != layers[0].digest


async def test_libraries_that_no_image_has_are_on_this_machine_alone(shelf):
    shelf.offer("tiny", "1.0")
    lock = await locked(shelf, "tiny")
    tools = await shelf.libraries().install(lock, print)
    assert (tools.lock, (tools.site_packages / "tiny.py").exists()) == (lock, True)
    shelf.go_away()
    assert await shelf.libraries().install(lock, print) == tools
    provided = await shelf.libraries().provide(lock, print)
    assert (provided.cached, await shelf.images.has(provided.layer)) == (False, True)


async def test_pytorch_for_the_cpu_takes_the_place_of_the_other_beside_the_same_libraries(shelf):
    shelf.offer("torch", "1.0", "2.0")
    shelf.offer("leaf", "1.0", "2.0")
    shelf.offer_torch_for_the_cpu("1.0+cpu")
    lock = await locked(shelf, "torch==1.0", "leaf==1.0")
    on_cpu = await shelf.libraries().on_cpu(lock, ("torch", "leaf"), print)
    assert on_cpu.hashes.keys() == {("torch", "1.0+cpu"), ("leaf", "1.0")}
    assert (await shelf.libraries().provide(on_cpu, print)).site_packages.joinpath("torch.py").exists()


async def test_libraries_stay_where_there_is_no_pytorch_and_where_no_index_has_it_for_the_cpu(shelf):
    shelf.offer("torch", "1.0")
    shelf.offer("leaf", "1.0")
    with_torch, without = await locked(shelf, "torch"), await locked(shelf, "leaf")
    assert await shelf.libraries().on_cpu(with_torch, ("torch",), print) == with_torch
    shelf.offer_torch_for_the_cpu("1.0+cpu")
    assert (await locked(shelf, "leaf", on_cpu=True)).torch_index is None
    shelf.go_away()
    assert await shelf.libraries().on_cpu(without, ("leaf",), print) == without


async def test_pytorch_that_an_author_names_is_the_one_for_the_cpu_where_that_is_wanted(shelf):
    shelf.offer("torch", "1.0")
    shelf.offer_torch_for_the_cpu("1.0+cpu")
    on_cpu, other = [await locked(shelf, "torch", on_cpu=wanted) for wanted in (True, False)]
    assert (on_cpu.hashes.keys(), other.hashes.keys()) == ({("torch", "1.0+cpu")}, {("torch", "1.0")})
