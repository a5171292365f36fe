"""What a registry is told of what is attached to an image, whether it keeps lists of that or not."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest

from services.builder.adapters.images_registry import RegistryImages
from services.builder.domain.attachment import Attachment
from services.builder.domain.failure import AttachmentRefused, Unlisted
from so1s.errors import TemporaryError
from so1s.registry import Registry, digest_of
from so1s.supply_chain.formats import referrers_tag, tag_of
from tests.builder.fake_registry import URL, FakeRegistry, away
from tests.builder.test_builder_images_port import CONFIG

SBOM, PROVENANCE = Attachment.sbom(b"{}"), Attachment.provenance(b"{}")


@pytest.fixture
def images(session, monkeypatch) -> RegistryImages:
    registry = Registry(URL)

    @asynccontextmanager
    async def opened():
        yield session

    monkeypatch.setattr(registry, "session", opened)
    return RegistryImages(registry, prefix="so1s")


@pytest.fixture
async def image(images):
    return await images.publish("risk/fraud:3", CONFIG, [])


def listed(fake: FakeRegistry, image) -> list[dict]:
    """What is attached to an image, in a registry that keeps no list of that by itself."""
    return json.loads(fake.manifests[referrers_tag(image.digest)])["manifests"]


async def test_a_registry_that_keeps_no_list_of_what_is_attached_is_given_one(fake, images, image):
    await images.attach(image, {"sbom": [SBOM], "provenance": [PROVENANCE]})

    types = {each["artifactType"] for each in listed(fake, image)}
    assert types == {"application/vnd.cyclonedx+json", "application/vnd.in-toto+json"}
    stored = {digest_of(each) for each in fake.manifests.values()}
    assert {each["digest"] for each in listed(fake, image)} <= stored


async def test_what_is_attached_anew_takes_its_place_in_the_list_and_what_others_listed_stays(
    fake, images, image
):
    await images.attach(image, {"sbom": [SBOM], "provenance": [PROVENANCE]})
    theirs = {"mediaType": "application/x", "digest": f"sha256:{'e' * 64}", "size": 1}
    index = {"manifests": [*listed(fake, image), theirs]}
    fake.manifests[referrers_tag(image.digest)] = json.dumps(index).encode()

    await images.attach(image, {"provenance": [Attachment.provenance(b"[]")]})

    assert len(listed(fake, image)) == 3
    assert theirs in listed(fake, image)


async def test_a_registry_that_keeps_lists_by_itself_is_given_none(fake, images, image):
    fake.lists = True
    await images.attach(image, {"sbom": [SBOM], "provenance": [PROVENANCE]})
    assert referrers_tag(image.digest) not in fake.manifests


async def test_one_that_is_refused_keeps_no_other_from_being_attached_and_listed(fake, images, image):
    fake.refuses = tag_of(image.digest, "sbom")
    with pytest.raises(AttachmentRefused, match="MANIFEST_INVALID"):
        await images.attach(image, {"sbom": [SBOM], "provenance": [PROVENANCE]})
    assert tag_of(image.digest, "provenance") in fake.manifests
    assert [each["artifactType"] for each in listed(fake, image)] == ["application/vnd.in-toto+json"]


async def test_a_list_that_is_refused_is_told_apart_from_what_is_attached(fake, images, image):
    fake.refuses = referrers_tag(image.digest)
    with pytest.raises(Unlisted, match="MANIFEST_INVALID"):
        await images.attach(image, {"sbom": [SBOM]})
    assert tag_of(image.digest, "sbom") in fake.manifests


async def test_what_a_registry_refuses_is_told_apart_from_a_registry_that_is_away(fake, images, image):
    fake.fail("PUT", httpx.Response(400, json={"errors": [{"code": "MANIFEST_INVALID", "message": "no"}]}))
    with pytest.raises(AttachmentRefused, match="MANIFEST_INVALID"):
        await images.attach(image, {"sbom": [SBOM]})
    fake.fail("PUT", *[away()] * 100)
    with pytest.raises(TemporaryError) as error:
        await images.attach(image, {"sbom": [SBOM]})
    assert not isinstance(error.value, AttachmentRefused)
