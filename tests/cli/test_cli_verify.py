"""`so1s verify` and `so1s sbom`."""

import asyncio
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from services.builder.attestor import Attestor, Invocation
from services.builder.domain.attachment import Attachment
from so1s.events import Image
from so1s.supply_chain.formats import MODEL_BUILD, PROVENANCE
from so1s.supply_chain.statement import Statement
from tests.boms import problem_of
from tests.builder.signing import new_key, sign
from tests.builder.test_builder_images_port import CONFIG, Directory, added
from tests.builder.test_supply_domain import MADE

KEY = new_key()
LONG = "d" * 200
"""A directory whose name is wider than a terminal."""
DEEP = b"[" * 100_000
WITHOUT = """
import sys
sys.modules["cryptography"] = None
from so1s.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


async def made(directory, by=KEY) -> str:
    directory.mkdir(parents=True)
    place = Directory(directory)
    layer = await added(place, directory.parent, uuid.uuid4().bytes)
    image = await place.images.publish("risk/fraud:3", CONFIG, [layer])
    await sign(place.images, image, by)
    return image.reference


@pytest.fixture
def image(tmp_path) -> str:
    """A signed one, in a layout."""
    with ThreadPoolExecutor() as thread:  # the main thread's loop belongs to pytest-asyncio
        return thread.submit(asyncio.run, made(tmp_path / LONG / "images")).result()


@pytest.fixture
def unsigned(tmp_path) -> str:
    """One that a builder without a key made."""
    with ThreadPoolExecutor() as thread:
        return thread.submit(asyncio.run, made(tmp_path / "unsigned", None)).result()


@pytest.fixture
def key(tmp_path) -> str:
    path = tmp_path / "so1s.pub"
    path.write_bytes(KEY.public.to_pem())
    return str(path)


def test_it_prints_who_built_the_image_from_what(so1s, image, key):
    result = so1s("verify", image, "--key", key)
    assert result.code == 0
    assert result.lines[0] == f"✓ {image}"
    said = {line[:11].strip(): line[12:] for line in result.lines[1:]}
    assert said["signed by"] == KEY.public.fingerprint
    assert said["built by"] == "https://builder.example"
    assert said["model"] == "risk/fraud@3, onnx"
    assert said["uploaded by"] == "airflow:risk_daily"
    assert said["from"] == "s3://ml/risk/fraud/3.tar.gz"
    assert said["bytes"] == f"sha256:{'b' * 64}"
    assert (said["commit"], said["data"]) == ("4f1c2ab", "s3://data/rows")
    assert said["contains"].startswith("2 packages")


def test_programs_get_all_of_it_as_json(so1s, image, key):
    report = so1s("verify", image, "--key", key, "-o", "json").json
    assert image.endswith(report["digest"])
    assert report["sbom"]["bomFormat"] == "CycloneDX"
    assert report["provenance"]["buildDefinition"]["externalParameters"]["model"] == "fraud"


def test_a_signature_by_another_key_fails_with_the_reason(so1s, image, tmp_path):
    other = tmp_path / "other.pub"
    other.write_bytes(new_key().public.to_pem())
    result = so1s("verify", image, "--key", str(other))
    assert result.code == 1
    assert "wrong_key: no signature of sha256:" in result.err


def test_a_changed_layer_fails_where_layers_are_read(so1s, image, key, tmp_path):
    blobs = tmp_path / LONG / "images/blobs/sha256"
    largest = max(blobs.iterdir(), key=lambda path: path.read_bytes().startswith(b"\x28\xb5\x2f\xfd"))
    largest.write_bytes(largest.read_bytes() + b"!")
    assert so1s("verify", image, "--key", key).code == 0
    result = so1s("verify", image, "--key", key, "--layers")
    assert result.code == 1
    assert "changed" in result.err


def test_an_image_without_a_signature_fails_with_the_reason(so1s, image, key, tmp_path):
    index = tmp_path / LONG / "images/index.json"
    index.write_text(index.read_text().replace(".sig", ".gone"))
    result = so1s("verify", image, "--key", key)
    assert (result.code, result.out) == (5, "")
    assert "unsigned: no signature is attached" in result.err


def test_a_version_is_verified_by_its_name(so1s, laptop, http, image, key):
    build = {"model": "fraud", "version": "3", "image": image}
    http.answers["/v1/builds"] = {"builds": [build, {"model": "fraud", "version": "4", "image": None}]}
    assert so1s("verify", "fraud@3", "--key", key).code == 0
    assert "a version that was built" in so1s("verify", "fraud@4", "--key", key).err


@pytest.mark.parametrize("wrong", ["registry/fraud", "oci:/images", "oci:/images@sha256:12", "fraud"])
def test_what_is_no_image_is_refused(so1s, key, wrong):
    assert so1s("verify", wrong, "--key", key).code == 2


def test_what_is_no_key_is_refused(so1s, image, tmp_path):
    for path in (tmp_path / "gone.pub", tmp_path):
        assert so1s("verify", image, "--key", str(path)).code == 2


def test_an_unsigned_image_says_of_itself_what_nobody_vouches_for(so1s, unsigned):
    result = so1s("verify", unsigned)
    assert result.code == 5
    assert result.err == f"✗ {unsigned} is unsigned: nobody vouches for this\n"
    assert result.lines[0] == f"? {unsigned}"
    said = {line[:11].strip(): line[12:] for line in result.lines[1:]}
    assert said["signed by"].startswith("nobody")
    assert (said["model"], said["data"]) == ("risk/fraud@3, onnx", "s3://data/rows")
    assert said["contains"].startswith("2 packages")


def test_programs_tell_an_unsigned_image_by_its_verdict(so1s, unsigned, image, key):
    report = so1s("verify", unsigned, "-o", "json").json
    assert (report["verdict"], report["key"]) == ("unsigned", None)
    assert so1s("verify", image, "-k", key, "-o", "json").json["verdict"] == "signed"


def test_who_asks_by_a_key_is_told_nothing_that_nobody_vouches_for(so1s, unsigned, key):
    result = so1s("verify", unsigned, "--key", key)
    assert (result.code, result.out) == (5, "")


def test_a_signed_image_is_not_shown_without_a_key(so1s, image):
    result = so1s("verify", image)
    assert (result.code, result.out) == (2, "")
    assert "--key is missing" in result.err


def test_a_changed_layer_of_an_unsigned_image_fails_where_layers_are_read(so1s, unsigned, tmp_path):
    blobs = tmp_path / "unsigned/blobs/sha256"
    layer = next(each for each in blobs.iterdir() if each.read_bytes().startswith(b"\x28\xb5\x2f\xfd"))
    layer.write_bytes(layer.read_bytes() + b"!")
    result = so1s("verify", unsigned, "--layers")
    assert (result.code, result.out) == (1, "")
    assert "changed" in result.err


def test_what_an_image_says_of_itself_moves_no_cursor(so1s, tmp_path):
    with ThreadPoolExecutor() as thread:
        image = thread.submit(asyncio.run, made_by("\x1b[2Jairflow", tmp_path)).result()
    assert "\x1b" not in so1s("verify", image).out


async def made_by(uploader: str, directory) -> str:
    place = Directory(directory)
    image = await place.images.publish("risk/fraud:3", CONFIG, [])
    uploaded = MADE.uploaded.model_copy(update={"uploaded_by": uploader})
    made = replace(MADE, image=image, uploaded=uploaded)
    await Attestor(None, "https://builder.example").attest(place.images, made, Invocation("1", 0.0))
    return image.reference


def test_what_cannot_be_read_is_told_as_such(so1s, unsigned, tmp_path):
    digest = unsigned.rpartition("@")[2]
    said = {"buildDefinition": {"buildType": MODEL_BUILD}}  # and not of what
    garbled = Attachment.provenance(Statement.of("x", digest, PROVENANCE, said).to_json())
    attach(tmp_path / "unsigned", unsigned, provenance=garbled)
    result = so1s("verify", unsigned)
    assert result.code == 1
    assert "cannot be read" in result.err


def attach(directory, reference: str, **attached: Attachment) -> None:
    """Put one attachment in the place of what an image in a layout has under the tag of its kind."""
    image = Image(reference=reference, digest=reference.rpartition("@")[2], size_bytes=1)
    given = {kind: [each] for kind, each in attached.items()}
    with ThreadPoolExecutor() as thread:
        thread.submit(asyncio.run, Directory(directory).images.attach(image, given)).result()


def test_what_is_nested_too_deeply_to_be_read_is_told_as_such(so1s, unsigned, tmp_path):
    attach(tmp_path / "unsigned", unsigned, sbom=Attachment.sbom(DEEP))
    result = so1s("sbom", unsigned)
    assert result.code == 1
    assert "cannot be read" in result.err


def test_an_attestation_that_is_nested_too_deeply_stands_for_nothing(so1s, unsigned, tmp_path):
    attach(tmp_path / "unsigned", unsigned, att=Attachment.attestation(DEEP, PROVENANCE))
    assert so1s("verify", unsigned).code == 5


def test_a_bill_of_materials_is_printed_as_a_table_and_as_the_document(so1s, unsigned):
    table = so1s("sbom", unsigned)
    assert table.code == 0
    assert "numpy" in table.out
    document = so1s("sbom", unsigned, "-o", "json").json
    assert problem_of(document) is None


def test_a_bill_of_materials_by_a_key_is_the_one_that_its_owner_signed(so1s, image, unsigned, key):
    assert so1s("sbom", image, "--key", key, "-o", "json").json["bomFormat"] == "CycloneDX"
    assert so1s("sbom", unsigned, "--key", key).code == 5


def test_a_bill_of_materials_that_nobody_signed_says_so_beside_the_data(so1s, image, unsigned, key):
    assert f"nobody vouches for this: what is attached to {unsigned}" in so1s("sbom", unsigned).err
    assert so1s("sbom", image, "--key", key).err == ""


def test_a_key_may_be_said_by_the_environment(so1s, image, unsigned, key, monkeypatch):
    monkeypatch.setenv("SO1S_VERIFY_KEY", key)
    assert [so1s(command, image).code for command in ("verify", "sbom")] == [0, 0]
    assert [so1s(command, unsigned).code for command in ("verify", "sbom")] == [5, 5]


def test_a_layout_may_be_named_by_a_path_without_a_slash(so1s, unsigned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert so1s("sbom", f"oci:unsigned@{unsigned.rpartition('@')[2]}").code == 0


def test_the_bill_of_materials_of_a_version_is_found_by_its_name(so1s, laptop, http, unsigned):
    http.answers["/v1/builds"] = {"builds": [{"model": "fraud", "version": "3", "image": unsigned}]}
    assert so1s("sbom", "fraud@3").code == 0


def test_an_image_without_a_bill_of_materials_fails_with_what_to_do(so1s, unsigned, tmp_path):
    index = tmp_path / "unsigned/index.json"
    index.write_text(index.read_text().replace(".sbom", ".gone"))
    result = so1s("sbom", unsigned)
    assert result.code == 1
    assert "so1s build again" in result.err


def without_extra(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", WITHOUT, *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_without_its_extra_it_says_what_to_install(image, key):
    done = without_extra("verify", image, "--key", key)
    assert done.returncode == 2
    assert "pip install 'so1s[verify]'" in done.stderr


def test_what_needs_no_key_needs_no_extra(unsigned):
    assert without_extra("sbom", unsigned).returncode == 0
    assert without_extra("verify", unsigned).returncode == 5
