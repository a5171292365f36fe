"""A builder without a key describes what it builds; nobody vouches for that, and everybody can read it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from dirty_equals import IsPartialDict
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.builder import app
from services.builder.adapters.images_layout import LayoutImages
from services.builder.attestor import Attestor
from services.builder.domain.failure import AttachmentRefused, Unlisted
from services.builder.settings import Settings
from so1s.events import Image, ImageBuilt, Lineage
from so1s.supply_chain.access import RegistryAccess
from so1s.supply_chain.description import Description, describe
from so1s.supply_chain.formats import Kind, tag_of
from so1s.supply_chain.places import Reference, opened
from tests.builder.signing import new_key
from tests.builder.test_builder_worker import tar_of

DESCRIBED = b"""\
schema: so1s/v1
data: [{name: transactions, uri: "s3://ml/transactions/2029/", license: proprietary}]
"""


async def built(shop, data: bytes, **said) -> ImageBuilt:
    await shop.say(shop.uploaded(data=data, **said))
    await shop.worker().work()
    event = (await shop.emitted())[-1]
    assert isinstance(event, ImageBuilt), event
    return event


async def description(image: Image) -> Description:
    reference = Reference.parse(image.reference)
    async with opened(reference, RegistryAccess()) as source:
        return await describe(source, reference.name)


def layout(image: Image) -> Path:
    return Path(image.reference.removeprefix("oci:").rpartition("@")[0])


def blob(image: Image, digest: str) -> bytes:
    return (layout(image) / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def manifest(image: Image, kind: Kind) -> dict:
    """What lies under the tag of a kind."""
    entries = json.loads((layout(image) / "index.json").read_bytes())["manifests"]
    named = {each.get("annotations", {}).get("org.opencontainers.image.ref.name"): each for each in entries}
    return json.loads(blob(image, named[tag_of(image.digest, kind)]["digest"]))


def components(found: Description) -> dict[str, dict]:
    return {each["bom-ref"]: each for each in found.sbom["components"]}


async def test_an_image_that_nobody_signs_tells_what_it_is_made_of_and_where_it_comes_from(shop, skops_model):
    image = (await built(shop, skops_model, lineage=Lineage(dataset_uri="s3://data/rows"))).image

    found = await description(image)

    assert (found.signed, found.digest) == (False, image.digest)
    assert {"model", "runtime", "base", "data:dataset"} <= components(found).keys()
    assert found.provenance["runDetails"]["metadata"]["invocationId"] == "risk/fraud@3#1"
    assert found.provenance["runDetails"]["builder"]["id"] == "https://builder.example"
    assert any(f"{image.digest}, unsigned" in line for line in await shop.log())


@pytest.mark.parametrize("key", [None, new_key()], ids=["unsigned", "signed"])
async def test_the_documents_are_attached_as_the_tools_that_read_them_look_for_them(shop, skops_model, key):
    """By the artifact type, in one layer of the same type, with an empty configuration, as OCI 1.1 has it."""
    shop.world = replace(shop.world, attestor=Attestor(key, "https://builder.example"))
    image = (await built(shop, skops_model)).image
    empty = IsPartialDict(mediaType="application/vnd.oci.empty.v1+json", size=2)
    types = {"sbom": "application/vnd.cyclonedx+json", "provenance": "application/vnd.in-toto+json"}
    for kind, media_type in types.items():
        found = manifest(image, kind)
        assert found == IsPartialDict(artifactType=media_type, config=empty)
        assert found["subject"]["digest"] == image.digest
        (layer,) = found["layers"]
        assert layer["mediaType"] == media_type
        assert hashlib.sha256(blob(image, layer["digest"])).hexdigest() == layer["digest"][7:]
    said = {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
    assert manifest(image, "provenance")["annotations"] == said
    statement = json.loads(blob(image, manifest(image, "provenance")["layers"][0]["digest"]))
    assert statement["subject"][0]["digest"] == {"sha256": image.digest[7:]}


async def test_data_that_the_author_declares_beside_the_model_is_in_both_documents(shop, onnx_model):
    archive = tar_of({"model.onnx": onnx_model, "so1s.yaml": DESCRIBED})
    found = await description((await built(shop, archive, name="3.tar")).image)

    assert components(found)["data:transactions"]["licenses"] == [{"license": {"name": "proprietary"}}]
    used = {each["name"]: each for each in found.provenance["buildDefinition"]["resolvedDependencies"]}
    assert used["data:transactions"]["uri"] == "s3://ml/transactions/2029/"


async def test_the_hash_of_a_model_that_is_the_artifact_is_the_artifacts(shop, onnx_model):
    found = await description((await built(shop, onnx_model, name="3.onnx")).image)
    (hashed,) = components(found)["model"]["hashes"]
    assert hashed["content"] == hashlib.sha256(onnx_model).hexdigest()


async def test_an_image_that_is_built_again_has_the_same_bill_of_materials_and_the_newest_provenance(
    shop, skops_model
):
    first = (await built(shop, skops_model)).image
    before = manifest(first, "sbom")
    again = (await built(shop, skops_model)).image

    assert again.digest == first.digest
    assert manifest(again, "sbom") == before
    found = await description(again)
    assert found.provenance["runDetails"]["metadata"]["invocationId"] == "risk/fraud@3#2"


class ImagesAlone(LayoutImages):
    """A place that has images, and will not have what is attached to them."""

    async def attach(self, *_):
        raise AttachmentRefused("400 MANIFEST_INVALID")


async def test_a_place_for_images_alone_fails_no_build_that_nobody_signs_and_is_told_of(shop, skops_model):
    shop.world = replace(shop.world, images=ImagesAlone(shop.directory / "images"))
    (warning, *_) = (await built(shop, skops_model)).warnings
    assert "could be attached" in warning
    assert "MANIFEST_INVALID" in warning


async def test_what_shall_be_signed_is_put_off_where_the_signature_has_no_place(shop, skops_model):
    images = ImagesAlone(shop.directory / "images")
    attestor = Attestor(new_key(), "https://builder.example")
    shop.world = replace(shop.world, images=images, attestor=attestor)
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    assert await shop.state() == "queued"


class NoDocuments(LayoutImages):
    """A place that has images and signatures, and no documents as they are."""

    async def attach(self, image, attached):
        await super().attach(image, {kind: attached[kind] for kind in attached.keys() & {"att", "sig"}})
        if attached.keys() & {"sbom", "provenance"}:
            raise AttachmentRefused("400 MANIFEST_INVALID")


class NoList(LayoutImages):
    """A place that has images and what is attached to them, and no list of that."""

    async def attach(self, image, attached):
        await super().attach(image, attached)
        raise Unlisted("403 DENIED")


@pytest.mark.parametrize(("place", "why"), [(NoDocuments, "MANIFEST_INVALID"), (NoList, "DENIED")])
async def test_a_place_that_refuses_no_signature_puts_off_no_build_that_is_signed(
    shop, skops_model, place, why
):
    attestor = Attestor(new_key(), "https://builder.example")
    shop.world = replace(shop.world, images=place(shop.directory / "images"), attestor=attestor)
    event = await built(shop, skops_model)
    (warning,) = [each for each in event.warnings if "could be attached" in each]
    assert why in warning
    assert (await description(event.image)).signed


def test_a_builder_without_a_key_says_at_its_start_that_it_describes_and_does_not_sign():
    with capture_logs() as logs:
        assert not app.make_attestor(Settings(database_url=SecretStr("sqlite://"))).signs
    assert "described, not signed" in logs[0]["event"]
