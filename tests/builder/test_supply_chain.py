"""A builder with a key signs what it builds, and whoever has the public key can tell."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from posixpath import normpath

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1
from onnx import helper, numpy_helper
from pydantic import SecretStr, ValidationError

from services.builder import app
from services.builder.adapters.signing_key import SigningKey
from services.builder.attestor import Attestor
from services.builder.settings import Settings
from so1s.errors import InvalidInput
from so1s.events import Image, ImageBuilt, Lineage
from so1s.supply_chain.access import RegistryAccess
from so1s.supply_chain.formats import SBOM, tag_of
from so1s.supply_chain.keys import PublicKey
from so1s.supply_chain.places import Reference, opened
from so1s.supply_chain.refusal import NotVerified
from so1s.supply_chain.statement import Statement
from so1s.supply_chain.verification import Verified, verify
from tests.builder.signing import new_key, new_pem
from tests.builder.test_builder_worker import tar_of

KEY = new_key()
BUILDER = "https://builder.example"


@pytest.fixture
def signing(shop):
    """The shop, whose builder has a key."""
    sign_with(shop, KEY)
    return shop


def sign_with(shop, key: SigningKey | None) -> None:
    shop.world = replace(shop.world, attestor=Attestor(key, BUILDER))


async def built(shop, data: bytes, **said) -> Image:
    await shop.say(shop.uploaded(data=data, **said))
    await shop.worker().work()
    event = (await shop.emitted())[-1]
    assert isinstance(event, ImageBuilt), event
    return event.image


async def verified(image: Image, keys: Sequence[PublicKey] = (KEY.public,), *, layers=False) -> Verified:
    reference = Reference.parse(image.reference)
    async with opened(reference, RegistryAccess()) as source:
        return await verify(source, reference.name, keys, layers=layers)


async def refusal(image: Image, keys: Sequence[PublicKey] = (KEY.public,)) -> str:
    with pytest.raises(NotVerified) as error:
        await verified(image, keys, layers=True)
    return error.value.reason


def blob(image: Image, digest: str) -> Path:
    directory = image.reference.removeprefix("oci:").rpartition("@")[0]
    return Path(directory) / "blobs/sha256" / digest.removeprefix("sha256:")


async def test_a_built_image_tells_who_built_it_from_what(signing, skops_model):
    lineage = Lineage(commit="4f1c2ab", dataset_uri="s3://data/rows")
    image = await built(signing, skops_model, uploaded_by="airflow:risk", lineage=lineage)

    found = await verified(image, layers=True)

    assert found.digest == image.digest
    asked = found.provenance["buildDefinition"]["externalParameters"]
    assert (asked["account"], asked["model"], asked["version"]) == ("risk", "fraud", "3")
    assert asked["uploadedBy"] == "airflow:risk"
    assert found.provenance["runDetails"]["builder"]["id"] == "https://builder.example"
    assert found.provenance["runDetails"]["metadata"]["invocationId"] == "risk/fraud@3#1"
    kinds = {each["type"] for each in found.sbom["components"]}
    assert {"machine-learning-model", "data", "framework", "platform"} <= kinds


async def test_an_image_that_nobody_signed_is_refused(shop, skops_model):
    assert await refusal(await built(shop, skops_model)) == "unsigned"


async def test_a_signature_by_another_key_is_refused(signing, skops_model):
    image = await built(signing, skops_model)
    assert await refusal(image, [new_key().public]) == "wrong_key"
    assert await verified(image, [new_key().public, KEY.public])  # while a key is replaced, two count


@pytest.mark.parametrize("part", ["manifest", "config", "layer"])
async def test_an_image_whose_bytes_were_changed_is_refused(signing, skops_model, part):
    image = await built(signing, skops_model)
    manifest = json.loads(blob(image, image.digest).read_bytes())
    changed = {
        "manifest": image.digest,
        "config": manifest["config"]["digest"],
        "layer": manifest["layers"][-1]["digest"],
    }[part]
    data = bytearray(blob(image, changed).read_bytes())
    data[-3] ^= 1
    blob(image, changed).write_bytes(data)
    assert await refusal(image) == "changed"


async def test_a_signature_of_one_image_is_none_of_another(signing, skops_model, onnx_model):
    signed = await built(signing, skops_model)
    sign_with(signing, None)
    other = await built(signing, onnx_model, version="4", name="4.onnx")
    index = Path(other.reference.removeprefix("oci:").rpartition("@")[0]) / "index.json"
    named, wanted = tag_of(signed.digest, "sig"), tag_of(other.digest, "sig")
    index.write_text(index.read_text().replace(named, wanted))
    assert await refusal(other) == "other_image"


async def test_an_image_that_is_not_there_is_refused(signing, skops_model):
    image = await built(signing, skops_model)
    gone = image.model_copy(update={"reference": image.reference[:-4] + "0000"})
    assert await refusal(gone) == "missing"


async def test_the_same_version_built_twice_is_one_image_with_one_bill_of_materials(
    signing, skops_model, tmp_path
):
    first = await built(signing, skops_model)
    before = await attached_sboms(signing, first)
    again = await built(signing, skops_model)

    assert again.digest == first.digest
    assert await attached_sboms(signing, again) == before
    assert len(before) == 1
    for kind, count in (("att", 2), ("sig", 1)):
        assert len(await signing.world.images.attachments(again, kind)) == count


async def attached_sboms(shop, image: Image) -> list[bytes]:
    attached = await shop.world.images.attachments(image, "att")
    statements = [Statement.parse(each.evidence.payload) for each in attached]
    return [json.dumps(each.predicate).encode() for each in statements if each.predicate_type == SBOM]


async def test_who_signs_an_image_too_takes_no_signature_away(signing, skops_model):
    await built(signing, skops_model)
    second = new_key()
    sign_with(signing, second)
    image = await built(signing, skops_model)
    assert await verified(image, [KEY.public])
    assert await verified(image, [second.public])


async def test_an_image_is_the_same_whether_it_is_signed_or_not(signing, skops_model):
    signed = await built(signing, skops_model)
    sign_with(signing, None)
    assert (await built(signing, skops_model)).digest == signed.digest


def test_a_key_comes_from_a_file_or_a_setting_and_its_password_too(tmp_path):
    pem = new_pem("correct horse")
    file = tmp_path / "so1s.key"
    file.write_text(pem.get_secret_value())
    url, password = SecretStr("sqlite://"), SecretStr("correct horse")
    by_file = Settings(database_url=url, signing_key_file=file, signing_key_password=password)
    by_value = Settings(database_url=url, signing_key=pem, signing_key_password=password)
    assert app.make_attestor(by_file).signs
    assert app.make_attestor(by_value).signs
    assert not app.make_attestor(Settings(database_url=url)).signs


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_key_that_cannot_be_opened_is_told_at_the_start_and_shows_nothing_of_itself(password):
    pem = new_pem("correct horse")
    secret = SecretStr(password) if password else None
    settings = Settings(database_url=SecretStr("sqlite://"), signing_key=pem, signing_key_password=secret)
    with pytest.raises(InvalidInput, match="signing_key") as error:
        app.make_attestor(settings)
    lines = pem.get_secret_value().splitlines()
    assert not any(line in str(error.value) + repr(settings) for line in lines[1:-1])
    assert "wrong" not in str(error.value)


def test_a_key_of_another_curve_and_what_is_no_key_are_refused():
    for pem in (new_pem(curve=SECP384R1), SecretStr("no key")):
        with pytest.raises(InvalidInput, match="P-256"):
            SigningKey.parse(pem, None)
    with pytest.raises(InvalidInput, match="P-256"):
        PublicKey.parse(b"no key")


def test_two_keys_at_once_are_refused(tmp_path):
    with pytest.raises(ValidationError, match="one of them"):
        Settings(
            database_url=SecretStr("sqlite://"), signing_key=new_pem(), signing_key_file=tmp_path / "key"
        )


def line_of(data: bytes, name: str) -> str:
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n"


def model_hash(found: Verified) -> str:
    models = [each for each in found.sbom["components"] if each["type"] == "machine-learning-model"]
    return models[0]["hashes"][0]["content"]


async def test_the_hash_of_a_model_is_that_of_its_file_whatever_lies_beside_it(signing, onnx_model):
    image = await built(signing, tar_of({"model.onnx": onnx_model, "README.md": b"x"}), name="3.tar.gz")

    assert model_hash(await verified(image)) == hashlib.sha256(onnx_model).hexdigest()


@pytest.mark.parametrize(
    "data_name", ["model.onnx.data", "./w.bin", f"{'deep/' * 30}w.bin"], ids=["short", "dot", "long"]
)
async def test_the_hash_of_onnx_covers_the_files_in_which_its_weights_lie(signing, tmp_path, data_name):
    weights = numpy_helper.from_array(np.arange(300, dtype=np.float32), "w")
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [300])
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [output], [weights])
    directory = tmp_path / "saved"
    (directory / data_name).parent.mkdir(parents=True)
    beside = {"save_as_external_data": True, "location": data_name, "size_threshold": 0}
    onnx.save(helper.make_model(graph), directory / "model.onnx", **beside)
    files = {name: (directory / name).read_bytes() for name in ("model.onnx", normpath(data_name))}

    image = await built(signing, tar_of({**files, "README.md": b"x"}), name="3.tar.gz")

    lines = "".join(line_of(data, name) for name, data in sorted(files.items()))
    assert model_hash(await verified(image)) == hashlib.sha256(lines.encode()).hexdigest()
