"""Libraries by uv, in a sandbox and without, from an index of the test's own; and those of other tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.uv_command import PlainUv
from services.builder.adapters.uv_enclosed import EnclosedUv, InstallBounds
from tests.builder.dependencies_conformance import (  # noqa: F401 - the port's conformance suite
    Shelf,
    test_a_lock_has_what_is_asked_for_and_what_the_server_needs,
    test_an_index_that_is_away_puts_a_lock_off,
    test_an_index_that_is_away_puts_an_installation_off,
    test_libraries_are_installed_once_and_the_image_store_has_their_layer,
    test_libraries_stay_where_there_is_no_pytorch_and_where_no_index_has_it_for_the_cpu,
    test_libraries_that_no_image_has_are_on_this_machine_alone,
    test_libraries_that_there_are_not_together_are_a_failed_build_that_names_them,
    test_pytorch_for_the_cpu_takes_the_place_of_the_other_beside_the_same_libraries,
    test_pytorch_that_an_author_names_is_the_one_for_the_cpu_where_that_is_wanted,
    test_the_libraries_of_a_lock_are_the_same_layer_on_every_machine_and_others_are_another,
    test_the_same_is_given_the_same_lock_whatever_the_index_has_by_then,
    test_versions_that_the_server_is_tested_with_are_taken_unless_others_are_asked_for,
)
from tests.builder.shop import EmptyDependencies
from tests.builder.sources import index_of
from tests.builder.test_builder_installing import PYTHON, Web, file_name, served, wheel

AWAY = "http://127.0.0.1:1/simple"


class Fake:
    """What the tests of a build install."""

    def __init__(self, directory: Path) -> None:
        self.images = LayoutImages(directory / "images")
        self._directory = directory
        self._index: dict[str, tuple[str, ...]] = {}
        self._machines: dict[str, EmptyDependencies] = {}
        self._is_away = self._has_torch = False

    def offer(self, name: str, *versions: str) -> None:
        self._index[name] = versions

    def offer_torch_for_the_cpu(self, version: str) -> None:
        self._has_torch = bool(version)

    def go_away(self) -> None:
        self._is_away = True

    def come_back(self) -> None:
        self._is_away = False

    def libraries(self, machine: str = "one") -> EmptyDependencies:
        new = EmptyDependencies(self.images, self._directory / machine, self._index)
        made = self._machines.setdefault(machine, new)
        made.is_away, made.torch_is_on_cpu = self._is_away, self._has_torch
        return made


class Served:
    """Two indexes that answer by HTTP, and uv."""

    def __init__(self, directory: Path, index: Web, torch: Web, sandbox, environment) -> None:
        self.images = LayoutImages(directory / "images")
        self._directory, self._index, self._torch = directory, index, torch
        self._sandbox, self._environment = sandbox, environment
        self._files: dict[str, bytes] = {}
        self.come_back()

    def offer(self, name: str, *versions: str) -> None:
        self._files |= {file_name(name, each): wheel(name, version=each) for each in versions}
        self._index.files |= index_of(self._files)

    def offer_torch_for_the_cpu(self, version: str) -> None:
        strangers = {file_name("leaf", "9.0"): wheel("leaf", version="9.0")}  # which nobody asks it for
        self._torch.files |= index_of(
            {file_name("torch", version): wheel("torch", version=version)} | strangers
        )

    def go_away(self) -> None:
        self._environment.setenv("UV_DEFAULT_INDEX", AWAY)
        self._environment.setenv("UV_CACHE_DIR", str(self._directory / "empty"))

    def come_back(self) -> None:
        self._environment.setenv("UV_DEFAULT_INDEX", f"{self._index.url}/simple")
        self._environment.setenv("UV_CACHE_DIR", str(self._directory / "cache"))

    def libraries(self, machine: str = "one") -> UvDependencies:
        torch = f"{self._torch.url}/simple" if self._torch.files else None
        enclosed = self._sandbox and EnclosedUv(self._sandbox, InstallBounds(), (), [torch] if torch else [])
        return UvDependencies(
            self._directory / machine,
            self.images,
            python=PYTHON,
            platform="linux-x86_64-cp311",
            uv=enclosed or PlainUv(),
            torch_cpu_index=torch,
        )


@pytest.fixture(params=["fake", "plain", "enclosed"])
async def shelf(request, tmp_path, monkeypatch) -> AsyncIterator[Shelf]:
    if request.param == "fake":
        yield Fake(tmp_path)
        return
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    sandbox = request.getfixturevalue("sandbox") if request.param == "enclosed" else None
    async with AsyncExitStack() as stack:
        index, torch = [await stack.enter_async_context(served({})) for _ in range(2)]
        yield Served(tmp_path, index, torch, sandbox, monkeypatch)
