"""What is said of an image: its bill of materials, its provenance, and what is read from a lock."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.builder.domain.image import Base, Layer
from services.builder.domain.lock import Lock, Origin, normalised
from services.builder.domain.made import Made, Package, Source
from services.builder.domain.provenance import provenance
from services.builder.domain.sbom import bill_of_materials
from services.builder.locks import FORMATS, shipped
from services.builder.packages import installed
from services.builder.stop import Stop
from so1s.events import Artifact, DeployOptions, Image, Lineage, ModelUploaded, ResourceOptions
from so1s.modelfile import ModelFile
from tests.boms import problem_of
from tests.builder.shop import COMPILED

A, B, C = ("a" * 64, "b" * 64, "c" * 64)

UPLOADED = ModelUploaded(
    account="risk",
    model="fraud",
    version="3",
    artifact=Artifact(uri="s3://ml/risk/fraud/3.tar.gz"),
    uploaded_by="airflow:risk_daily",
    lineage=Lineage(commit="4f1c2ab", dataset_uri="s3://data/rows", run_url="https://runs/7"),
)
MADE = Made(
    image=Image(reference=f"registry/risk/fraud@sha256:{A}", digest=f"sha256:{A}", size_bytes=1),
    uploaded=UPLOADED,
    format="onnx",
    artifact_sha256=B,
    model_file="model.onnx",
    model_sha256=C,
    base=Base(f"registry/base@sha256:{B}", "linux-x86_64-cp311", "python3"),
    platform="linux-x86_64-cp311",
    lock_sha256=C,
    packages=(
        Package("numpy", "2.4.0", (A, B), "BSD-3-Clause"),
        Package("onnxruntime", "1.32.0", (C,), None),
    ),
    runtime_version="0.1.0",
    runtime=Layer(f"sha256:{C}", f"sha256:{A}", 10),
)

EVERYTHING = {"uri": "s3://data/2029/", "sha256": A, "license": "CC-BY-4.0"}
SOURCE = Source("skops", "model.skops", A, B, COMPILED)


def uploaded(**changes) -> ModelUploaded:
    return UPLOADED.model_copy(update=changes)


def declaring(*data: dict) -> Made:
    """What was made of a model whose `so1s.yaml` declares data."""
    return replace(MADE, described=ModelFile.model_validate({"schema": "so1s/v1", "data": [*data]}))


def provenance_of(made: Made) -> dict:
    times = {"started": 0.0, "finished": 61.0}
    return provenance(made, builder="https://b", builder_version="0.1", invocation="risk/fraud@3#2", **times)


def dependencies(made: Made) -> list[dict]:
    return provenance_of(made)["buildDefinition"]["resolvedDependencies"]


def components(made: Made = MADE) -> dict[str, dict]:
    return {each["bom-ref"]: each for each in bill_of_materials(made)["components"]}


def test_a_bill_of_materials_is_valid_cyclonedx():
    plain = replace(MADE, base=Base.host("linux-x86_64-cp311"), packages=())
    for made in (MADE, plain, declaring({"name": "a"}, {"name": "b", **EVERYTHING})):
        assert problem_of(bill_of_materials(made)) is None


def test_a_compiled_model_is_told_with_what_it_was_made_of():
    made = replace(MADE, source=SOURCE)

    assert problem_of(bill_of_materials(made)) is None
    said = {each["name"]: each["value"] for each in components(made)["model"]["properties"]}
    assert said["so1s:compiled_from"] == "skops"
    assert said["so1s:compiled_from_sha256"] == A
    assert said["so1s:compiled_by"] == "skl2onnx 1.20.0"
    definition = provenance_of(made)["buildDefinition"]
    assert definition["externalParameters"]["format"] == "skops"
    assert definition["externalParameters"]["optimize"] == "onnx"
    assert definition["internalParameters"]["compilation"]["difference"] == 4e-8
    assert {"name": "compiler-lock", "digest": {"sha256": B}} in definition["resolvedDependencies"]


def test_the_same_image_has_the_same_bill_of_materials_and_another_image_another():
    assert json.dumps(bill_of_materials(MADE)) == json.dumps(bill_of_materials(MADE))
    other = replace(MADE, image=MADE.image.model_copy(update={"digest": f"sha256:{B}"}))
    assert bill_of_materials(other)["serialNumber"] != bill_of_materials(MADE)["serialNumber"]


def test_a_bill_of_materials_has_each_package_with_its_version_and_the_hashes_of_the_lock():
    package = components()["pkg:pypi/numpy@2.4.0"]
    assert (package["name"], package["version"]) == ("numpy", "2.4.0")
    (files,) = package["externalReferences"]
    assert [each["content"] for each in files["hashes"]] == [A, B]
    assert files["url"] == package["purl"]  # whose index it was is nobody's claim
    assert package["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]


TOOLS = f"setuptools==80.9.0 \\\n    --hash=sha256:{C}\n"
SDIST = Origin("own", "1.0", "https://index.example/own-1.0.tar.gz?token=x", A, of_index=True, tools=TOOLS)
DIRECT = Origin("given", "2.0", "https://files.example/given-2.0-py3-none-any.whl", B)
FROM_ELSEWHERE = replace(
    MADE, packages=(Package("own", "1.0", (A,), None, SDIST), Package("given", "2.0", (B,), None, DIRECT))
)


def test_a_bill_of_materials_tells_what_was_built_from_source_and_what_came_from_a_url():
    said = bill_of_materials(FROM_ELSEWHERE)
    assert problem_of(said) is None
    built = components(FROM_ELSEWHERE)["pkg:pypi/own@1.0"]
    assert built["properties"] == [
        {"name": "so1s:built_from_source", "value": "true"},
        {"name": "so1s:built_by", "value": "setuptools 80.9.0"},
    ]
    assert built["externalReferences"][0]["type"] == "source-distribution"
    given = components(FROM_ELSEWHERE)[
        "pkg:pypi/given@2.0?download_url=https%3A%2F%2Ffiles.example%2Fgiven-2.0-py3-none-any.whl"
    ]
    assert given["externalReferences"][0]["url"] == DIRECT.url
    assert "token" not in json.dumps(said)  # of an index that signs its URLs


def test_provenance_tells_the_files_of_what_is_no_wheel_of_an_index_and_what_built_them():
    told = provenance(
        FROM_ELSEWHERE, builder="b:x", builder_version="1", invocation="i", started=0, finished=1
    )
    used = {each["name"]: each for each in told["buildDefinition"]["resolvedDependencies"]}
    assert used["own"]["digest"] == {"sha256": A}
    assert used["given"]["digest"] == {"sha256": B}
    assert used["setuptools"]["annotations"] == {"builds": "own"}
    assert used["setuptools"]["uri"] == "pkg:pypi/setuptools@80.9.0"


def test_a_lock_keeps_where_its_packages_are_from():
    lock = Lock("l", f"own==1.0 \\\n    --hash=sha256:{A}\ngiven==2.0 --hash=sha256:{B}\n").telling(
        [SDIST, DIRECT]
    )
    assert lock.origins == (DIRECT, SDIST)
    assert lock.hashes == {("own", "1.0"): (A,), ("given", "2.0"): (B,)}  # what builds is not installed
    assert SDIST.built_by == (("setuptools", "80.9.0"),)


def test_a_bill_of_materials_has_the_model_with_its_hash_and_the_data_that_was_declared():
    model, data = components()["model"], components()["data:dataset"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": C}]
    assert model["externalReferences"][0]["url"] == "s3://ml/risk/fraud/3.tar.gz"
    assert data["externalReferences"] == [{"type": "source-distribution", "url": "s3://data/rows"}]
    assert model["modelCard"]["modelParameters"]["datasets"] == [{"ref": "data:dataset"}]
    assert {"ref": "model", "dependsOn": ["data:dataset"]} in bill_of_materials(MADE)["dependencies"]


def test_data_that_the_author_declares_is_told_as_it_is_declared():
    made = declaring({"name": "transactions", **EVERYTHING}, {"name": "by word of mouth"})

    data = components(made)["data:transactions"]
    assert data["hashes"] == [{"alg": "SHA-256", "content": A}]
    assert data["licenses"] == [{"license": {"name": "CC-BY-4.0"}}]
    assert data["data"][0]["contents"] == {"url": "s3://data/2029/"}
    assert {"data:dataset", "data:by word of mouth"} <= components(made).keys()
    told = {each["name"]: each for each in dependencies(made)}
    assert told["data:transactions"]["uri"] == "s3://data/2029/"
    assert told["data:transactions"]["digest"] == {"sha256": A}
    assert "data:by word of mouth" not in told  # neither a URI nor a digest: no resource of in-toto's


def test_the_data_that_the_upload_names_is_told_once_and_wins_over_a_name():
    said = UPLOADED.lineage.dataset_uri
    known = declaring({"name": "rows", "uri": said})
    assert [each for each in components(known) if each.startswith("data:")] == ["data:rows"]
    named_alike = declaring({"name": "dataset", "uri": "s3://data/older"})
    assert components(named_alike)["data:dataset"]["externalReferences"][0]["url"] == said


def test_a_password_in_a_uri_is_told_to_nobody():
    secret = "https://jiho:correct-horse@data.example/rows"
    lineage = Lineage(dataset_uri=secret, run_url=secret)
    made = replace(declaring({"name": "more", "uri": f"{secret}/2"}), uploaded=uploaded(lineage=lineage))
    said = json.dumps([bill_of_materials(made), provenance_of(made)])
    assert "https://***@data.example/rows" in said
    assert "correct-horse" not in said


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("https://store.example/rows?sv=1&sig=SECRET", "https://store.example/rows"),
        (
            "https://store.example/rows?X-Amz-Signature=SECRET&versionId=v.1",
            "https://store.example/rows?versionId=v.1",
        ),
        ("s3://ml/rows?versionId=v.1_a", "s3://ml/rows?versionId=v.1_a"),
        ("https://page.example/#access_token=SECRET", "https://page.example/"),
        ("https://page.example/#/runs/7?token=SECRET", "https://page.example/#/runs/7"),
        ("https://page.example/#/experiments/1/runs/7", "https://page.example/#/experiments/1/runs/7"),
        ("https://jiho:SECRET@SECRET@data.example/rows", "https://***@data.example/rows"),
        ("https://jiho:SECRET#?SECRET@data.example/rows", "https://***@data.example/rows"),
    ],
)
def test_what_may_be_a_secret_in_a_uri_is_in_no_document(uri, told):
    said_of = uploaded(lineage=Lineage(dataset_uri=uri, run_url=uri))
    made = replace(declaring({"name": "more", "uri": uri}), uploaded=said_of)
    said = json.dumps([bill_of_materials(made), provenance_of(made)])
    assert f'"{told}"' in said
    assert "SECRET" not in said


def test_provenance_tells_who_built_what_from_what():
    said = provenance_of(MADE)
    definition, details = said["buildDefinition"], said["runDetails"]
    assert definition["externalParameters"]["uploadedBy"] == "airflow:risk_daily"
    used = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert used["artifact"]["digest"] == {"sha256": B}
    assert used["base"] == {"name": "base", "uri": "oci://registry/base", "digest": {"sha256": B}}
    assert used["lock"]["digest"] == {"sha256": C}
    assert used["so1s-runtime"]["digest"] == {"sha256": C}
    assert definition["externalParameters"]["commit"] == "4f1c2ab"
    assert used["numpy"]["uri"] == "pkg:pypi/numpy@2.4.0"
    assert details["builder"]["id"] == "https://b"
    assert details["metadata"] == {
        "invocationId": "risk/fraud@3#2",
        "startedOn": "1970-01-01T00:00:00Z",
        "finishedOn": "1970-01-01T00:01:01Z",
    }


def test_each_resource_is_named_by_a_digest_or_a_uri_as_in_toto_asks():
    """https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md"""
    made = replace(declaring({"name": "a"}), source=SOURCE, base=Base.host("linux-x86_64-cp311"))
    for each in dependencies(made):
        assert each.keys() & {"uri", "digest"}, each


def test_a_whole_commit_is_a_resource_and_an_abbreviated_one_is_what_the_upload_said():
    whole = replace(MADE, uploaded=uploaded(lineage=Lineage(commit=A[:40])))
    assert {"name": "commit", "digest": {"gitCommit": A[:40]}} in dependencies(whole)
    assert "commit" not in {each["name"] for each in dependencies(MADE)}


def test_gpus_that_an_upload_asks_for_are_told_as_they_choose_the_libraries():
    options = DeployOptions(resources=ResourceOptions(gpus=2))
    asked = provenance_of(replace(MADE, uploaded=uploaded(deploy=options)))
    assert asked["buildDefinition"]["externalParameters"]["gpus"] == 2


@pytest.mark.parametrize("model_format", FORMATS)
def test_every_lock_that_is_shipped_gives_each_pin_its_hashes(model_format):
    lock = shipped(model_format)
    assert len(lock.hashes) == sum(line[0].isalnum() for line in lock.text.splitlines())
    assert all(lock.hashes.values())
    assert sum(map(len, lock.hashes.values())) == lock.text.count("--hash=")


@given(st.text(alphabet="aZ0._-", min_size=1))
def test_names_of_packages_are_compared_as_pep_503_says(name):
    assert normalised(normalised(name)) == normalised(name)
    assert normalised(name.replace("-", "_")) == normalised(name)


def test_installed_packages_are_read_from_what_pip_wrote_beside_them(tmp_path):
    info = tmp_path / "Scikit_Learn-1.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: Scikit_Learn\nVersion: 1.9\nLicense: BSD\n")
    lock = Lock("skops", f"scikit-learn==1.9 \\\n    --hash=sha256:{A}\nnumpy==2.0 --hash=sha256:{B}\n")
    assert installed(Stop(), tmp_path, lock) == (Package("scikit-learn", "1.9", (A,), "BSD"),)
