"""Formats of the large libraries, told by their content alone: nothing of a model is loaded for it."""

import json
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from services.builder.contents import read_contents
from services.builder.domain.archive import Limits
from services.builder.domain.contents import choose_model
from services.builder.domain.failure import BuildError, Hostile
from services.builder.domain.permission import Permissions
from services.builder.stop import Stop
from services.builder.unpack import archive_kind
from so1s.events import Artifact, ModelUploaded
from so1s.formats.content import recognise
from so1s.formats.zips import Oversized

LIMITS = Limits(artifact_bytes=2**30, unpacked_bytes=2**30, files=1000, ratio=200)
SAVED_MODEL = b"\x08\x01\x12\x03abc"  # schema version 1, and a graph of three bytes
KERAS = {
    "metadata.json": json.dumps({"keras_version": "3.15.1"}),
    "config.json": "{}",
    "model.weights.h5": "weights",
}

PROGRAM = {"m/archive_format": "pt2", "m/models/model.json": "{}", "m/data/weights/weight_0": "w"}
SCRIPT = {
    "m/data.pkl": "",
    "m/constants.pkl": "",
    "m/version": "3",
    "m/code/__torch__.py": "",
    "m/data/0": "w",
}
CONFIGURATION = b'{"architectures": ["BertModel"], "model_type": "bert"}'
TRANSFORMERS = {"config.json": CONFIGURATION, "model.safetensors": b"w", "tokenizer.json": b"{}"}


def zipped(members: dict[str, str]) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file.getvalue()


def contents_of(directory, members: dict[str, bytes], uri_end: str = "/"):
    """What the builder makes of an uploaded directory, or of one object where `uri_end` is empty."""
    fetched = directory / "fetched"
    for name, data in members.items():
        path = fetched / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    artifact = Artifact(uri=f"file:///models/risk/it{uri_end}")
    uploaded = ModelUploaded(account="risk", model="fraud", version="1", artifact=artifact)
    return read_contents(Stop(), fetched, uploaded, LIMITS, Permissions())


def test_a_keras_file_is_recognised_and_not_unpacked(tmp_path):
    found = contents_of(tmp_path, {"it.keras": zipped(KERAS)}, uri_end=".keras")
    assert (found.file, found.format) == ("it.keras", "keras")


@pytest.mark.parametrize("missing", KERAS)
def test_an_archive_without_a_part_of_a_keras_file_is_none(missing):
    rest = {name: text for name, text in KERAS.items() if name != missing}
    assert recognise(BytesIO(zipped(rest))) is None


def test_metadata_of_another_tool_make_no_keras_file():
    assert recognise(BytesIO(zipped(KERAS | {"metadata.json": "[]"}))) is None


def test_an_archive_whose_directory_fills_the_memory_is_refused():
    with pytest.raises(Oversized, match="directory is too large"):
        recognise(BytesIO(zipped({"x" * 60_000 + str(number): "" for number in range(150)})))


CHECKPOINT = {"model": {"backbone.weight": 1}, "optimizer": {}, "scheduler": {}, "iteration": 89999}


@pytest.mark.parametrize(
    "files", [{"model_0089999.pth": ""}, {"x/model_0089999.pth": "", "x/log.txt": b"loss"}], ids=len
)
@pytest.mark.parametrize(
    ("keys", "way"), [(CHECKPOINT, "Detectron2 is not served"), ({"model", "epoch"}, "torch.export")]
)
def test_a_checkpoint_of_detectron2_is_told_by_its_content(tmp_path, files, keys, way):
    pickled = pickle.dumps({key: CHECKPOINT.get(key) for key in keys}, protocol=2)
    checkpoint = zipped({"model_0089999/data.pkl": pickled, "model_0089999/version": "3"})
    with pytest.raises(BuildError, match=way):
        contents_of(
            tmp_path,
            {name: data or checkpoint for name, data in files.items()},
            "/" if len(files) > 1 else "",
        )


class Touches:
    """Whoever unpickles it writes a file."""

    def __reduce__(self):
        return Path.touch, (Path("written"),)


def test_nothing_of_a_checkpoint_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(dict.fromkeys(CHECKPOINT, Touches()), protocol=2)
    with pytest.raises(BuildError, match="Detectron2"):
        contents_of(tmp_path, {"model.pth": zipped({"m/data.pkl": pickled, "m/version": "3"})}, "")
    assert not (tmp_path / "written").exists()


def test_such_an_archive_is_a_hostile_artifact(tmp_path):
    large = zipped({"x" * 60_000 + str(number): "" for number in range(150)})
    with pytest.raises(Hostile, match="directory is too large"):
        contents_of(tmp_path, {"model.skops": large})
    path = tmp_path / "large.zip"
    path.write_bytes(large)
    with pytest.raises(Hostile, match="directory is too large"):
        archive_kind(path)


def test_a_saved_model_is_recognised_by_the_file_that_describes_it(tmp_path):
    members = {"export/1/saved_model.pb": SAVED_MODEL, "export/1/variables/variables.index": b"x"}
    found = contents_of(tmp_path, members)
    assert (found.file, found.format) == ("export/1/saved_model.pb", "tensorflow")


@pytest.mark.parametrize(
    "content",
    [SAVED_MODEL[:-1], SAVED_MODEL[:2], SAVED_MODEL + b"\x3a\x00", b"{}"],
    ids=["cut", "without a graph", "with a field of another message", "no protobuf"],
)
def test_a_file_that_is_only_called_saved_model_is_none(tmp_path, content):
    with pytest.raises(BuildError, match="variables/ beside it"):
        contents_of(tmp_path, {"saved_model.pb": content})


def test_what_lies_in_a_directory_that_is_a_model_is_part_of_it():
    models = {"m/saved_model.pb": "tensorflow", "m/assets/inner.onnx": "onnx"}
    assert choose_model(models, said_file=None, said_format=None) == ("m/saved_model.pb", "tensorflow")
    assert choose_model(models, said_file=None, said_format="onnx") == ("m/assets/inner.onnx", "onnx")


def test_what_lies_beside_a_directory_that_is_a_model_is_another_model():
    models = {"m/saved_model.pb": "tensorflow", "other.onnx": "onnx"}
    with pytest.raises(BuildError, match="several models"):
        choose_model(models, said_file=None, said_format=None)


def test_a_directory_may_be_named_by_its_own_name():
    models = {"a/saved_model.pb": "tensorflow", "b/saved_model.pb": "tensorflow"}
    assert choose_model(models, said_file="b", said_format=None) == ("b/saved_model.pb", "tensorflow")


@pytest.mark.parametrize(("members", "found"), [(PROGRAM, "torch"), (SCRIPT, "torchscript")])
def test_archives_of_pytorch_are_told_apart(members, found):
    assert recognise(BytesIO(zipped(members))) == found


@pytest.mark.parametrize(
    "members",
    [
        {"m/data.pkl": "", "m/version": "3", "m/data/0": "w"},
        PROGRAM | {"m/archive_format": "aoti"},
        PROGRAM | {"m/data/aotinductor/model/it.so": "machine code"},
        SCRIPT | {"other/it": ""},
    ],
    ids=["a state dict", "another archive", "machine code", "two directories"],
)
def test_other_archives_of_pytorch_are_no_models(members):
    assert recognise(BytesIO(zipped(members))) is None


def test_a_state_dict_is_refused_with_the_way_to_a_model(tmp_path):
    state = zipped({"m/data.pkl": "", "m/version": "3", "m/data/0": "w"})
    with pytest.raises(BuildError, match=r"torch\.export\.save.*LightningModule.*prepared\.py"):
        contents_of(tmp_path, {"it.ckpt": state}, uri_end=".ckpt")


def test_a_directory_of_transformers_is_one_model_with_all_that_lies_in_it(tmp_path):
    inner = {"1_Pooling/config.json": b"{}", "other/model.pt2": zipped(PROGRAM)}
    found = contents_of(tmp_path, TRANSFORMERS | inner)
    assert (found.file, found.format) == ("config.json", "transformers")


@pytest.mark.parametrize(
    ("changed", "way"),
    [
        ({"config.json": b"[]"}, "config.json"),
        ({"config.json": b"{" * 2_000_000}, "config.json"),
        ({"model.safetensors": None, "pytorch_model.bin": b"w"}, "safetensors alone"),
        ({"tokenizer.json": None}, "tokenizer.save_pretrained"),
    ],
    ids=["no configuration", "a large one", "weights in a pickle", "no tokenizer"],
)
def test_a_directory_that_lacks_a_part_of_transformers_is_refused(tmp_path, changed, way):
    members = {name: data for name, data in (TRANSFORMERS | changed).items() if data is not None}
    with pytest.raises(BuildError, match=way):
        contents_of(tmp_path, members)
