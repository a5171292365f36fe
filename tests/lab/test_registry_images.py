"""Images in a real registry."""

import uuid
from dataclasses import dataclass

import httpx
import pytest
from pydantic import SecretStr

from services.builder.adapters.images_registry import RegistryImages
from services.builder.ports import Images
from so1s.registry import MANIFEST, Registry

# ruff: noqa: F401 - pytest collects what is imported
from tests.builder.test_builder_images_port import (
    Place,
    added,
    model,
    packed,
    test_a_layer_is_fetched_as_it_was_added,
    test_a_layer_is_there_once_it_was_added_and_may_be_added_again,
    test_a_layer_that_another_model_has_need_not_be_added_again,
    test_a_layer_that_is_not_there_cannot_be_fetched,
    test_a_name_moves_to_the_newest_image_and_all_others_stay,
    test_an_image_has_its_layers_in_order_and_every_digest_verifies,
    test_an_image_stands_on_the_host_unless_it_is_told_of_a_base,
    test_builders_that_add_the_same_layer_at_once_all_succeed,
    test_builders_that_publish_at_once_lose_nothing,
)


@dataclass
class Repositories:
    """A prefix of a registry, as one who pulls sees it."""

    part: object
    prefix: str

    @property
    def images(self) -> Images:
        client = Registry(
            self.part.url,
            user=self.part.username,
            password=SecretStr(self.part.password),
            ca_file=self.part.ca_file,
        )
        return RegistryImages(client, prefix=self.prefix)

    async def digest(self, name: str) -> str:
        repository, _, tag = name.partition(":")
        return (await self._get(f"{repository}/manifests/{tag}")).headers["Docker-Content-Digest"]

    async def blob(self, name: str, digest: str) -> bytes:
        repository = name.partition(":")[0]
        found = await self._get(f"{repository}/blobs/{digest}")
        if found.status_code == 404:
            found = await self._get(f"{repository}/manifests/{digest}")
        return found.raise_for_status().content

    async def _get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(auth=(self.part.username, self.part.password)) as client:
            url = f"{self.part.url}/v2/{self.prefix}/{path}"
            return await client.get(url, headers={"Accept": MANIFEST})


@pytest.fixture
def place(registry) -> Place:
    return Repositories(registry, f"so1s/{uuid.uuid4().hex[:8]}")
