"""cosign accepts what So1s signs, and So1s what cosign signs, on a real registry."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.builder.adapters.images_registry import RegistryImages
from services.builder.adapters.signing_key import SigningKey
from so1s.events import Image
from so1s.supply_chain.access import RegistryAccess
from so1s.supply_chain.evidence import Source
from so1s.supply_chain.keys import PublicKey
from so1s.supply_chain.places import Reference, opened
from so1s.supply_chain.refusal import NotVerified
from so1s.supply_chain.verification import Verified, verify
from so1s_lab.cosign import Cosign, CosignError
from tests.builder.conftest import estimator, onnx_model
from tests.builder.signing import new_pem, sign
from tests.builder.test_builder_images_port import CONFIG, model

# ruff: noqa: F401, F811 - pytest collects what is imported
from tests.builder.test_supply_attachments import (
    test_an_image_that_is_published_again_keeps_what_is_attached,
    test_what_is_attached_is_there_as_it_was_given_and_the_image_is_the_same,
    test_what_is_attached_later_takes_the_place_of_what_was_there,
)
from tests.lab.missing import skipped_where_missing
from tests.lab.pushing import client
from tests.lab.test_registry_builds import built, s3_settings, settings, uploaded
from tests.lab.test_registry_images import place

PASSWORD = "correct horse"


@dataclass
class Pair:
    """A key of So1s' builder, and its public half as a file."""

    key: SigningKey
    public: Path


@pytest.fixture(scope="module")
def cosign(lab, registry) -> Cosign:
    tool = Cosign(lab.directory("cosign"), registry)
    with skipped_where_missing():
        tool.prepare()
    return tool


@pytest.fixture
def pair(tmp_path) -> Pair:
    key = SigningKey.parse(new_pem(), None)
    public = tmp_path / "so1s.pub"
    public.write_bytes(key.public.to_pem())
    return Pair(key, public)


@pytest.fixture
def theirs(cosign, tmp_path) -> Path:
    """A key that cosign made, with its password; the public half is beside it."""
    prefix = tmp_path / "cosign"
    cosign.run("generate-key-pair", password=PASSWORD, output_key_prefix=prefix)
    return prefix.with_suffix(".key")


@pytest.fixture
def images(registry) -> RegistryImages:
    return RegistryImages(client(registry), prefix=f"so1s/{uuid.uuid4().hex[:8]}")


@pytest.fixture
async def image(images) -> Image:
    return await images.publish("risk/fraud:3", CONFIG, [])


@asynccontextmanager
async def place_of(registry, reference: Reference) -> AsyncGenerator[Source]:
    access = RegistryAccess(
        image_registry=registry.url,
        image_registry_user=registry.username,
        image_registry_password=SecretStr(registry.password),
    )
    async with opened(reference, access) as source:
        yield source


async def verified(registry, image: Image, key: PublicKey) -> Verified:
    reference = Reference.parse(image.reference)
    async with place_of(registry, reference) as source:
        return await verify(source, reference.name, [key])


async def referrers(registry, image: Image) -> list[dict]:
    async with place_of(registry, Reference.parse(image.reference)) as source:
        return await source.referrers(image.digest)


async def test_cosign_accepts_our_signature_bill_of_materials_and_provenance(cosign, images, image, pair):
    await sign(images, image, pair.key)

    (payload,) = cosign.verify(image.reference, pair.public)
    assert payload["critical"]["image"]["docker-manifest-digest"] == image.digest
    sbom = cosign.verify_attestation(image.reference, pair.public, "cyclonedx")
    assert sbom["predicate"]["bomFormat"] == "CycloneDX"
    provenance = cosign.verify_attestation(image.reference, pair.public, "slsaprovenance1")
    assert provenance["predicate"]["runDetails"]["builder"]["id"] == "https://builder.example"


async def test_cosign_refuses_what_is_not_signed_and_what_another_key_signed(cosign, images, image, pair):
    with pytest.raises(CosignError, match="no signatures found"):
        cosign.verify(image.reference, pair.public)
    await sign(images, image, SigningKey.parse(new_pem(), None))
    with pytest.raises(CosignError, match="invalid signature"):
        cosign.verify(image.reference, pair.public)


@pytest.mark.parametrize("bundle", [False, True], ids=["by tag", "as a bundle"])
async def test_we_accept_what_cosign_signed_and_refuse_it_for_another_key(
    cosign, registry, image, theirs, bundle
):
    cosign.sign(image.reference, theirs, password=PASSWORD, bundle=bundle)

    public = PublicKey.read(theirs.with_suffix(".pub"))
    assert (await verified(registry, image, public)).digest == image.digest
    with pytest.raises(NotVerified) as error:
        await verified(registry, image, SigningKey.parse(new_pem(), None).public)
    assert error.value.reason == "wrong_key"


async def test_we_and_cosign_attach_beside_one_another(cosign, registry, images, image, theirs):
    key = SigningKey.parse(new_pem(), None)
    await sign(images, image, key)
    predicate = theirs.with_name("predicate.json")
    predicate.write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    cosign.sign(image.reference, theirs, password=PASSWORD, bundle=False)
    cosign.attest(image.reference, theirs, predicate, kind="cyclonedx", password=PASSWORD)
    await sign(images, image, key)

    found = await verified(registry, image, PublicKey.read(theirs.with_suffix(".pub")))
    assert found.sbom == {"bomFormat": "CycloneDX", "specVersion": "1.6"}
    assert found.provenance is None
    ours = await verified(registry, image, key.public)
    assert ours.sbom["serialNumber"]
    cosign.verify(image.reference, theirs.with_suffix(".pub"))


async def test_cosign_overlooks_our_tags_beside_bundles_and_finds_them_when_told(
    cosign, images, image, theirs, pair
):
    await sign(images, image, pair.key)
    cosign.sign(image.reference, theirs, password=PASSWORD, bundle=True)
    with pytest.raises(CosignError):
        cosign.verify(image.reference, pair.public)
    assert cosign.verify(image.reference, pair.public, new_bundle_format=False)


async def test_cosign_finds_the_bill_of_materials_of_an_image_that_nobody_signed_and_no_signature(
    cosign, images, image, pair
):
    await sign(images, image, None)

    sbom = json.loads(cosign.run("download", "sbom", image.reference, allow_http_registry=True))
    assert sbom["bomFormat"] == "CycloneDX"
    with pytest.raises(CosignError, match="no signatures found"):
        cosign.verify(image.reference, pair.public)


async def test_a_registry_without_the_referrers_api_lists_what_is_attached_beside_what_cosign_attached(
    cosign, registry, images, image, theirs
):
    await sign(images, image, None)
    cosign.sign(image.reference, theirs, password=PASSWORD, bundle=True)
    await sign(images, image, None)

    listed = [each["artifactType"] for each in await referrers(registry, image)]
    assert sorted(listed) == [
        "application/vnd.cyclonedx+json",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.in-toto+json",
    ]
    public = PublicKey.read(theirs.with_suffix(".pub"))
    assert (await verified(registry, image, public)).digest == image.digest
    cosign.verify(image.reference, theirs.with_suffix(".pub"))


async def test_the_commands_of_the_page_work_as_they_stand(cosign, images, image, pair):
    await sign(images, image, pair.key)
    page = (Path(__file__).parents[2] / "docs/supply-chain.md").read_text()
    (script,) = re.findall(r"```sh cosign\n(.*?)```", page, re.DOTALL)
    told = {"IMAGE": image.reference, "COSIGN_FLAGS": "--allow-http-registry"}
    shell = await asyncio.to_thread(cosign.shell, script, pair.public.parent, told)
    assert shell.count('"payload"') == 2


async def test_what_a_builder_of_a_cluster_builds_is_signed_and_cosign_accepts_it(
    cosign, settings, uploaded, onnx_model, tmp_path
):
    pem = new_pem()
    signing = settings.model_copy(update={"signing_key": pem, "builder_id": "https://builder.example"})
    event = await built(signing, uploaded("model.onnx", onnx_model))

    public = tmp_path / "so1s.pub"
    public.write_bytes(SigningKey.parse(pem, None).public.to_pem())
    assert cosign.verify(event.image.reference, public)
    sbom = cosign.verify_attestation(event.image.reference, public, "cyclonedx")["predicate"]
    named = {each["name"] for each in sbom["components"]}
    assert {"onnxruntime", "numpy", "so1s-runtime", settings.base_image.partition("@")[0]} <= named


async def test_a_tag_that_moved_to_another_image_is_refused(registry, images, image, pair):
    await sign(images, image, pair.key)
    named = image.model_copy(update={"reference": image.reference.replace(f"@{image.digest}", ":3")})
    assert (await verified(registry, named, pair.key.public)).digest == image.digest

    await images.publish("risk/fraud:3", CONFIG | {"author": "somebody"}, [])

    with pytest.raises(NotVerified) as error:
        await verified(registry, named, pair.key.public)
    assert error.value.reason == "unsigned"
