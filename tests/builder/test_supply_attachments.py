"""What every place for images promises of attachments; the lab holds a registry to the same."""

import uuid

from services.builder.domain.attachment import Attachment, merged

# ruff: noqa: F401, F811 - fixtures
from tests.builder.test_builder_images_port import CONFIG, model, place


def attachment(said: bytes, kind: str = "https://slsa.dev/provenance/v1") -> Attachment:
    return Attachment.attestation(said, kind)


async def test_what_is_attached_is_there_as_it_was_given_and_the_image_is_the_same(place, model):
    image = await place.images.publish(f"{model}:1", CONFIG | {"author": uuid.uuid4().hex}, [])
    assert await place.images.attachments(image, "att") == []

    given = [attachment(b"one"), Attachment.signature(b"two", "c2ln")]
    await place.images.attach(image, {"att": given})

    assert await place.images.attachments(image, "att") == given
    assert await place.images.attachments(image, "sig") == []
    assert await place.digest(f"{model}:1") == image.digest


async def test_what_is_attached_later_takes_the_place_of_what_was_there(place, model):
    image = await place.images.publish(f"{model}:1", CONFIG | {"author": uuid.uuid4().hex}, [])
    for said in (b"one", b"two"):
        await place.images.attach(image, {"att": [attachment(said)]})
    assert [each.data for each in await place.images.attachments(image, "att")] == [b"two"]


async def test_an_image_that_is_published_again_keeps_what_is_attached(place, model):
    config = CONFIG | {"author": uuid.uuid4().hex}
    image = await place.images.publish(f"{model}:1", config, [])
    await place.images.attach(image, {"sig": [attachment(b"one")]})
    again = await place.images.publish(f"{model}:1", config, [])
    assert len(await place.images.attachments(again, "sig")) == 1


def test_the_newest_of_a_topic_stands_for_ours_before_and_what_others_attached_stays():
    old, other_topic, theirs = attachment(b"old"), attachment(b"sbom", "https://sbom"), attachment(b"theirs")
    new = attachment(b"new")
    kept = merged([old, other_topic, theirs], [new], lambda each: each is not theirs)
    assert kept == [other_topic, theirs, new]
