"""User code: whose it is, what it asks for, and what it is built from."""

import io
import pickle
import shutil
import zipfile
from dataclasses import replace

import httpx
import joblib
import numpy as np
import pytest
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette

from services.builder.api import routes
from services.builder.app import make_world
from services.builder.contents import divide, read_contents
from services.builder.domain.archive import Limits
from services.builder.domain.failure import BuildError
from services.builder.domain.permission import Permissions
from services.builder.settings import Settings
from services.builder.stop import Stop
from so1s.events import Artifact, BuildFailed, ImageBuilt, ModelUploaded
from so1s.formats.content import recognise
from so1s.requirements import Requirements
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Manifest, Signature, TensorSpec

DESCRIBED = """\
schema: so1s/v1
inputs: [{name: x, dtype: float64, shape: [-1, 2]}]
outputs: [{name: score, dtype: float64, shape: [-1]}]
"""
CODE = "def load_artifacts(): ...\ndef run(artifacts, input): ...\n"
LIMITS = Limits(artifact_bytes=10**6, unpacked_bytes=10**6, files=100, ratio=50)
MANIFEST = Manifest(
    name="own",
    version="1",
    format="python",
    file="files/prepared.py",
    signature=Signature(
        (TensorSpec("x", DTYPES["float64"], (-1, 2)),), (TensorSpec("y", DTYPES["float64"], (-1,)),)
    ),
    sample="files/sample.json",
)
ALLOWED = Permissions(user_code=("risk",))


@pytest.fixture
def read(tmp_path):
    """Reads the contents of a directory with these files."""

    def read(
        files: dict[str, str | bytes | None],
        permissions: Permissions = ALLOWED,
        limits: Limits = LIMITS,
        **said,
    ):
        shutil.rmtree(tmp_path / "fetched", ignore_errors=True)
        for name, content in ({"prepared.py": CODE, "so1s.yaml": DESCRIBED} | files).items():
            if content is None:
                continue
            path = tmp_path / "fetched" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        artifact = Artifact(uri="file:///artifacts/risk/own/")
        uploaded = ModelUploaded(account="risk", model="own", version="1", artifact=artifact, **said)
        return read_contents(Stop(), tmp_path / "fetched", uploaded, limits, permissions)

    return read


def test_a_directory_with_prepared_py_is_user_code_whatever_else_lies_there(read, onnx_model):
    contents = read({"model.onnx": onnx_model, "data.pkl": b"\x80\x04."})
    assert (contents.format, contents.file, contents.requirements) == ("python", "prepared.py", None)


@pytest.mark.parametrize("said", ["format: onnx", "file: model.onnx"])
def test_an_author_may_say_that_a_model_beside_code_is_meant(read, onnx_model, said):
    contents = read(
        {"model.onnx": onnx_model, "so1s.yaml": f"schema: so1s/v1\n{said}"}, permissions=Permissions()
    )
    assert (contents.format, contents.file) == ("onnx", "model.onnx")


@pytest.mark.parametrize("accounts", [(), ("fraud-lab",)])
def test_code_of_an_account_that_is_not_allowed_is_refused_with_the_setting(read, accounts):
    with pytest.raises(BuildError) as error:
        read({}, permissions=Permissions(user_code=accounts))
    assert error.value.reason == "format"
    assert "SO1S_USER_CODE_ACCOUNTS does not name the account risk" in str(error.value)
    assert "fraud-lab" not in str(error.value)


DOCUMENTS = "schema: so1s/v1\ninputs: [{}]\noutputs: [{{name: y, type: json}}]\n"


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ("{name: a, type: file, max_bytes: 1000}", None),
        ("{name: a, type: file, max_bytes: 1001}", "inputs.a.max_bytes: 1001 is not allowed"),
        ("{name: a, type: file, max_bytes: 600}, {name: b, type: text, max_bytes: 400}", None),
        (
            "{name: a, type: file, max_bytes: 600}, {name: b, type: text, max_bytes: 401}",
            "inputs.b.max_bytes: 401 is not allowed",
        ),
        ("{name: a, type: json, shape: [3], max_bytes: 334}", "inputs.a.max_bytes: 334 is not allowed"),
        ("{name: a, type: json, shape: [-1], max_bytes: 334}", None),
        ("{name: a, type: image, shape: [2, -1, -1, 3], max_bytes: 501}", "inputs.a.max_bytes: 501"),
        ("{name: a, type: image, shape: [700, 900, 3], max_bytes: 1000}", None),
        ("{name: a, dtype: float64, shape: [-1, 100000]}", None),
    ],
)
def test_inputs_that_declare_more_than_the_operator_lets_a_request_have_are_refused(read, inputs, problem):
    said = {"so1s.yaml": DOCUMENTS.format(inputs)}
    limits = replace(LIMITS, input_bytes=1000)
    if problem is None:
        assert read(said, limits=limits).described
        return
    with pytest.raises(BuildError) as error:
        read(said, limits=limits)
    assert error.value.reason == "format"
    assert f"so1s.yaml: {problem}" in str(error.value)
    assert "allowed: 1000 bytes for all inputs of a request together" in str(error.value)
    assert "SO1S_MAX_INPUT_BYTES" in str(error.value)


def pickled(**options) -> bytes:
    data = io.BytesIO()
    joblib.dump({"a": np.arange(9)}, data, **options)
    return data.getvalue()


PICKLES = {
    "pickle": pickle.dumps({"a": 1}),
    "joblib": pickled(),
    "zlib": pickled(compress=3),
    "gzip": pickled(compress=("gzip", 3)),
    "bz2": pickled(compress=("bz2", 3)),
    "xz": pickled(compress=("xz", 3)),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_is_told_by_its_content(name):
    assert recognise(io.BytesIO(PICKLES[name])) == "pickle"


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"\x80\x04K\x01", b"\x80\x01.", b"x\x9c", b"BZh9", b"\x93NUMPY."]
)
def test_what_only_begins_like_a_pickle_is_none(content):
    assert recognise(io.BytesIO(content)) is None


ONLY_PICKLE = {"prepared.py": None, "so1s.yaml": None, "model.pkl": PICKLES["joblib"]}


def test_a_pickle_of_an_account_that_is_not_allowed_is_refused_with_the_setting_and_a_better_format(read):
    with pytest.raises(
        BuildError, match=r"SO1S_PICKLE_ACCOUNTS does not name the account risk.*skops\.io\.dump"
    ):
        read(ONLY_PICKLE)
    assert read(ONLY_PICKLE, Permissions(pickles=("risk",))).format == "pickle"


def test_a_pickle_beside_a_model_is_part_of_it(read, onnx_model):
    files = ONLY_PICKLE | {"model.onnx": onnx_model}
    assert read(files, Permissions()).file == "model.onnx"


def test_a_pickle_of_another_library_is_not_taken_for_an_estimator(read):
    files = {"prepared.py": None, "so1s.yaml": None, "weights.pth": PICKLES["pickle"]}
    with pytest.raises(BuildError, match="a state dict, a checkpoint or a pickled module of PyTorch"):
        read(files, Permissions(pickles=("*",)))


def test_a_pickle_may_ask_for_packages(read):
    files = ONLY_PICKLE | {"requirements.txt": "scikit-learn==1.7.2"}
    assert read(files, Permissions(pickles=("*",))).requirements == Requirements(("scikit-learn==1.7.2",))


async def test_a_pickle_of_dataframes_with_packages_has_pandas_resolved_beside_them(shop):
    shop.world = replace(shop.world, permissions=Permissions(pickles=("risk",)))
    described = (
        "schema: so1s/v1\ninputs: [{name: x, type: dataframe, columns: [{name: a, dtype: float64}]}]\n"
        "outputs: [{name: label, dtype: int64, shape: [-1]}]\n"
    )
    files = {"m.pkl": PICKLES["pickle"], "so1s.yaml": described, "requirements.txt": "attrs"}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    await shop.say(shop.uploaded(data=data.getvalue(), name="3.zip"))
    await shop.worker().work()

    log = await log_of(shop)
    assert "locked on pickle with dataframe: attrs; " in log
    assert ", pandas>=" in log


async def test_the_warning_of_a_pickle_is_in_the_log_the_event_and_the_list_of_builds(shop):
    shop.world = replace(shop.world, permissions=Permissions(pickles=("risk",)))
    await shop.say(shop.uploaded(data=PICKLES["joblib"], name="3.pkl"))
    await shop.worker().work()

    (built,) = [each for each in await shop.emitted() if isinstance(each, ImageBuilt)]
    (warning,) = built.warnings
    assert warning.startswith("the model is a pickle: to read it runs code")
    assert f"WARNING: {warning}" in await log_of(shop)
    api = routes(shop.store, builds_per_account=1)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Starlette(routes=api)), base_url="http://b"
    ) as client:
        (row,) = (await client.get("/v1/builds?account=risk")).json()["builds"]
    assert row["warnings"] == [warning]


async def test_a_model_of_data_alone_has_no_warning(shop, onnx_model):
    await shop.say(shop.uploaded(data=onnx_model))
    await shop.worker().work()
    (built,) = [each for each in await shop.emitted() if isinstance(each, ImageBuilt)]
    assert built.warnings == []


@pytest.mark.parametrize("accepted", [True, False])
def test_the_operator_may_accept_that_code_is_tried_without_a_sandbox(tmp_path, accepted):
    settings = Settings(
        database_url=SecretStr("sqlite://"),
        build_dir=tmp_path / "builder",
        image_dir=tmp_path / "images",
        libraries_dir=tmp_path / "libraries",
        sandbox="none",
        code_without_sandbox=accepted,
    )
    assert make_world(settings).permissions.tried is accepted


def test_a_star_allows_every_account(read):
    assert read({}, permissions=Permissions(user_code=("*",))).format == "python"


@pytest.mark.parametrize(
    ("said", "accounts"),
    [
        ("*", ["*"]),
        ("risk, fraud-lab", ["risk", "fraud-lab"]),
        ('["risk"]', ["risk"]),
        ("", []),
    ],
)
def test_accounts_are_read_as_people_write_them(monkeypatch, said, accounts):
    monkeypatch.setenv("SO1S_USER_CODE_ACCOUNTS", said)
    monkeypatch.setenv("SO1S_DATABASE_URL", "sqlite://")
    assert Settings().user_code_accounts == accounts


def test_a_name_that_is_no_account_is_no_setting(monkeypatch):
    monkeypatch.setenv("SO1S_USER_CODE_ACCOUNTS", "Risk")
    monkeypatch.setenv("SO1S_DATABASE_URL", "sqlite://")
    with pytest.raises(ValidationError, match="user_code_accounts"):
        Settings()


@pytest.mark.parametrize("described", ["schema: so1s/v1", "schema: so1s/v1\nsample: sample.json"])
def test_code_must_say_its_signature_and_is_shown_how(read, described):
    with pytest.raises(BuildError, match=r"such as: inputs: \[\{name: x, dtype: float64") as error:
        read({"so1s.yaml": described, "sample.json": "{}"})
    assert error.value.reason == "format"


def test_requirements_are_read_from_either_place(read):
    assert read({"requirements.txt": "numpy\n"}).requirements == Requirements(("numpy",))
    described = f"{DESCRIBED}requirements: [numpy]"
    assert read({"so1s.yaml": described}).requirements == Requirements(("numpy",))


def test_requirements_in_two_places_are_refused(read):
    with pytest.raises(BuildError, match="allowed: one of them"):
        read({"so1s.yaml": f"{DESCRIBED}requirements: [numpy]", "requirements.txt": "numpy\n"})


def test_refused_requirements_are_a_failed_build_with_the_line(read):
    with pytest.raises(BuildError, match=r"requirements.txt line 2: '-e \.' is not allowed") as error:
        read({"requirements.txt": "numpy\n-e .\n"})
    assert error.value.reason == "dependencies"


def test_requirements_beside_a_model_of_data_alone_are_its_authors_own_business(read, onnx_model):
    files = {
        "model.onnx": onnx_model,
        "so1s.yaml": "schema: so1s/v1\nformat: onnx",
        "requirements.txt": "-e .",
    }
    assert read(files).requirements is None
    with pytest.raises(BuildError, match=r"so1s.yaml: requirements: \['numpy'\] is not allowed"):
        read({**files, "so1s.yaml": "schema: so1s/v1\nformat: onnx\nrequirements: [numpy]"})


# --- locks, by uv and its index


def archive(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in {"prepared_py": CODE, "so1s_yaml": DESCRIBED, **files}.items():
            made.writestr(name.replace("_", "."), content)
    return data.getvalue()


async def test_a_build_of_code_locks_what_it_asks_for_and_tries_it(shop):
    shop.world = replace(shop.world, permissions=ALLOWED)
    await shop.say(shop.uploaded(data=archive(requirements_txt="attrs\n"), name="3.zip"))
    await shop.worker().work()

    (built,) = [each for each in await shop.emitted() if isinstance(each, ImageBuilt)]
    assert built.format == "python"
    assert built.signature.outputs[0].name == "score"
    assert len(shop.inspector.checked) == 1
    assert "locked on python: attrs; " in await log_of(shop)


def test_code_and_what_its_author_says_lie_apart_from_the_weights(tmp_path):
    tree, weights, rest = (tmp_path / name for name in ("model", "weights", "rest"))
    for directory in (tree / "files/own/empty", weights, rest):
        directory.mkdir(parents=True)
    (tree / "model.json").write_bytes(MANIFEST.to_json())
    for name in (
        "prepared.py",
        "own/code.py",
        "own/edge.npy",
        "so1s.yaml",
        "requirements.txt",
        "sample.json",
    ):
        (tree / "files" / name).write_text(name)

    divide(tree, weights, rest)

    def held(directory):
        return {str(path.relative_to(directory)) for path in directory.rglob("*")}

    assert held(weights) == {"files", "files/own", "files/own/edge.npy", "files/own/empty"}
    code = {"files/prepared.py", "files/own", "files/own/code.py"}
    told = {"model.json", "files/so1s.yaml", "files/requirements.txt", "files/sample.json"}
    assert held(rest) == {"files", *code, *told}


async def test_code_that_may_not_run_is_a_failed_build_before_anything_is_installed(shop):
    await shop.say(shop.uploaded(data=archive(), name="3.zip"))
    await shop.worker().work()

    (failed,) = [each for each in await shop.emitted() if isinstance(each, BuildFailed)]
    assert (failed.reason, failed.step) == ("format", "inspect")
    assert "SO1S_USER_CODE_ACCOUNTS" in failed.message
    assert shop.inspector.checked == []


async def log_of(shop) -> str:
    return "\n".join(await shop.log())
