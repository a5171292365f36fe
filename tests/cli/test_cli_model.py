"""`so1s model`."""

import io
import re
import zipfile

import pytest

from so1s import modelcheck
from so1s.formats import onnx_signature
from so1s.modelfile import ModelFile
from tests.scenarios.models import write_model

OUT = "{name: y, dtype: float64, shape: [-1]}"
FRAME = """\
inputs: [{name: rows, type: dataframe, columns: [{name: a, dtype: float64}]}]
outputs: [{name: y, dtype: float64, shape: [-1]}]
"""


def zipped(members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return made.getvalue()


ONNX = b"\x08\x0a\x3a\x00\x42\x00"  # a version, a graph and an operator set, all empty
PICKLE = b"\x80\x05N."
SKOPS = zipped({"schema.json": '{"__loader__": "DictNode", "protocol": 1}'})
TORCHSCRIPT = zipped(dict.fromkeys(("m/data.pkl", "m/constants.pkl", "m/version", "m/code/m.py"), ""))
MODELS = {
    "trees.ubj": (b"{L" + bytes(7) + b"\x07learner{}L" + bytes(7) + b"\x07version}", "xgboost"),
    "trees.json": (b'{"learner": {}, "version": [3, 2, 0]}', "xgboost"),
    "trees.txt": (b"tree\nversion=v4\n\nend of trees\n", "lightgbm"),
    "it.keras": (
        zipped({"config.json": "{}", "model.weights.h5": "", "metadata.json": '{"keras_version": "3"}'}),
        "keras",
    ),
    "saved_model.pb": (b"\x08\x01\x12\x00", "tensorflow"),
    "it.pt2": (zipped({"m/archive_format": "pt2", "m/models/model.json": "{}"}), "torch"),
    "it.pt": (TORCHSCRIPT, "torchscript"),
    "it.joblib": (PICKLE, "pickle"),
    "without a suffix": (ONNX, "onnx"),
    "of another kind.pt": (SKOPS, "skops"),
}


@pytest.fixture
def out(tmp_path):
    directory = tmp_path / "out"
    directory.mkdir()
    (directory / "model.skops").write_bytes(SKOPS)
    (directory / "rows.json").write_text("x,y")
    return directory


def test_init_writes_a_description_that_the_check_takes(so1s, out):
    assert so1s("model", "init", "out").code == 0
    result = so1s("model", "check", "out")
    assert (result.code, result.lines) == (
        0,
        ["✓ skops   inputs and outputs are asked of the model by the build"],
    )


def test_init_takes_the_model_itself(so1s, out):
    assert so1s("model", "init", "out/model.skops").code == 0
    assert "file: model.skops" in (out / "so1s.yaml").read_text()


def test_init_overwrites_nothing(so1s, out):
    so1s("model", "init", "out")
    (out / "so1s.yaml").write_text("mine")
    assert so1s("model", "init", "out").code == 2
    assert (out / "so1s.yaml").read_text() == "mine"


def test_init_does_not_guess_between_two_models(so1s, out):
    (out / "other.onnx").write_bytes(ONNX)
    result = so1s("model", "init", "out")
    assert result.code == 2
    assert (
        "path: out holds several models; allowed: one of them: out/model.skops, out/other.onnx" in result.err
    )


def test_check_prints_the_declared_signature(so1s, out):
    (out / "so1s.yaml").write_text(
        "schema: so1s/v1\nformat: skops\n"
        "inputs: [{name: x, dtype: float32, shape: [-1, 30]}]\n"
        "outputs: [{name: label, dtype: int64, shape: [-1]}]\n"
    )
    assert so1s("model", "check", "out").lines == ["✓ skops   x float32[-1,30] → label int64[-1]"]
    assert so1s("model", "check", "out", "-o", "json").json["inputs"][0]["shape"] == [-1, 30]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: so1s/v1\nfromat: skops\n", "so1s.yaml: fromat: "),
        (
            "schema: so1s/v1\nfile: gone.skops\n",
            "so1s.yaml: file: there is no 'gone.skops'; allowed: a file beside so1s.yaml",
        ),
        (
            "schema: so1s/v1\nsample: gone.json\n",
            "so1s.yaml: sample: there is no 'gone.json'; allowed: a file beside so1s.yaml",
        ),
        ("schema: so1s/v1\nsample: rows.json\n", "sample: 'rows.json' does not fit; allowed: JSON"),
        ("schema: so1s/v1\nformat: onnx\nfile: model.skops\n", "allowed: skops, which model.skops is"),
        ("schema: so1s/v1\nfile: model.skops\nrequirements: [numpy]\n", "skops has its libraries"),
        ("schema: so1s/v1\nformat: tensorflow\noptimize: onnx\n", "not of tensorflow"),
        (f"schema: so1s/v1\nformat: skops\noptimize: onnx\n{FRAME}", "where all inputs are arrays"),
        (
            f"schema: so1s/v1\ninputs: [{{name: d, type: file, max_bytes: {2**30 + 1}}}]\noutputs: [{OUT}]\n",
            f"inputs.d.max_bytes: {2**30 + 1} is not allowed; allowed: {2**30} bytes for all inputs",
        ),
        ("schema: [\n", "so1s.yaml line 2 column 1: expected the node content"),
    ],
)
def test_check_fails_with_the_field_at_fault(so1s, out, text, message):
    (out / "so1s.yaml").write_text(text)
    result = so1s("model", "check", "out")
    assert result.code == 2
    assert message in result.err


def test_schema_prints_what_editors_check_a_description_by(so1s):
    found = so1s("model", "schema").json
    assert found["$schema"].startswith("https://json-schema.org/")
    assert {"format", "inputs", "deploy"} <= found["properties"].keys()


def test_check_of_an_undescribed_model_says_what_to_do(so1s, out):
    result = so1s("model", "check", "out")
    assert result.code == 2
    assert "so1s model init out" in result.err


def test_check_of_a_file_that_is_no_model_says_so(so1s, out):
    so1s("model", "init", "out")
    (out / "model.skops").write_bytes(b"junk")
    result = so1s("model", "check", "out")
    assert result.code == 2
    assert "file: 'model.skops' is not allowed; allowed: a whole model of onnx, skops" in result.err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model.keras", "schema: so1s/v1\nformat: pickle\nfile: model.keras\n"),
        ("model.pt", "schema: so1s/v1\nfile: model.pt\n"),
        ("model.onnx", "schema: so1s/v1\nformat: pickle\nfile: model.onnx\n"),
        ("model.onnx", "schema: so1s/v1\nfile: model.onnx\nrequirements: [numpy]\n"),
    ],
)
def test_check_leaves_to_the_builder_what_the_content_alone_tells(so1s, out, name, text):
    (out / name).write_bytes(b"\x80\x05N.")
    (out / "so1s.yaml").write_text(text)
    assert so1s("model", "check", "out").code == 0


def test_check_of_a_sample_that_is_nested_without_end_says_so(so1s, out):
    (out / "rows.json").write_text("[" * 100_000)
    (out / "so1s.yaml").write_text("schema: so1s/v1\nsample: rows.json\n")
    assert "sample: 'rows.json' does not fit; allowed: JSON" in so1s("model", "check", "out").err


@pytest.mark.parametrize(("size", "is_noted"), [(50_000_000, False), (2**27, False), (2**27 + 1, True)])
def test_check_notes_inputs_that_are_larger_than_most_builders_take(so1s, out, size, is_noted):
    (out / "so1s.yaml").write_text(
        "schema: so1s/v1\nformat: python\n"
        f"inputs: [{{name: d, type: file, max_bytes: {size}}}]\noutputs: [{OUT}]\n"
    )
    (out / "prepared.py").write_text("def load_artifacts(): ...\ndef run(artifacts, input): ...\n")
    result = so1s("model", "check", "out")
    said = f"inputs.d.max_bytes: {size} is not allowed; allowed: {2**27} bytes for all inputs"
    assert (result.code, said in result.err, "SO1S_MAX_INPUT_BYTES" in result.err) == (0, is_noted, is_noted)


def test_check_tells_where_a_sample_does_not_fit_the_declared_inputs(so1s, out):
    (out / "rows.json").write_text('{"x": [[1, 2], [3, "4"]]}')
    (out / "so1s.yaml").write_text(
        "schema: so1s/v1\nsample: rows.json\n"
        "inputs: [{name: x, dtype: float32, shape: [-1, 2]}]\n"
        "outputs: [{name: label, dtype: int64, shape: [-1]}]\n"
    )
    result = so1s("model", "check", "out")
    assert result.code == 2
    assert (
        "so1s.yaml: sample: 'rows.json' does not fit; allowed: x float32[-1,2]; "
        "input 'x' at [1, 1] has a string where a number belongs"
    ) in result.err


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "",
            "so1s.yaml: file is missing; allowed: one of model.skops, other.onnx, as there are several",
        ),
        (
            "format: keras\n",
            "so1s.yaml: file is missing; allowed: a whole model of keras, and no file is one",
        ),
        (
            "file: model.skops\nrequirements: [pandas]\n",
            "beside prepared.py or a pickle alone; skops has its",
        ),
        (
            "file: model.skops\ndeploy: {scaling: {min_replicas: 5, max_replicas: 2}}\n",
            "deploy.scaling.max_replicas: 2 is not allowed; allowed: at least min_replicas, 5",
        ),
    ],
)
def test_check_looks_at_the_model_as_a_build_does(so1s, out, said, told):
    (out / "other.onnx").write_bytes(ONNX)
    (out / "so1s.yaml").write_text(f"schema: so1s/v1\n{said}")
    result = so1s("model", "check", "out")
    assert result.code == 2
    assert told in result.err


def test_a_wide_table_is_told_by_its_first_columns(so1s, out):
    columns = ", ".join(f"{{name: c{number}, dtype: float64}}" for number in range(300))
    (out / "so1s.yaml").write_text(
        "schema: so1s/v1\nfile: model.skops\n"
        f"inputs: [{{name: rows, type: dataframe, columns: [{columns}]}}]\noutputs: [{OUT}]\n"
    )
    result = so1s("model", "check", "out")
    assert "rows dataframe(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, … and 290 more)" in " ".join(
        result.out.split()
    )


def test_check_notes_requirements_that_nobody_reads(so1s, out):
    so1s("model", "init", "out")
    (out / "requirements.txt").write_text("scikit-learn==1.5.0")
    result = so1s("model", "check", "out")
    assert (result.code, "requirements.txt is not read" in result.err) == (0, True)


def test_init_of_a_pickle_tells_what_is_better(so1s, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/model.joblib").write_bytes(PICKLE)
    result = so1s("model", "init", "old")
    assert (result.code, "skops.io.dump" in result.err) == (0, True)


def test_init_of_torchscript_asks_for_what_it_does_not_keep_and_the_check_misses_it(so1s, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/model.pt").write_bytes(TORCHSCRIPT)
    result = so1s("model", "init", "old")
    assert (result.code, "torchscript keeps neither types nor shapes" in result.err) == (0, True)
    assert "must be said, by the names of forward's arguments" in (tmp_path / "old/so1s.yaml").read_text()
    checked = so1s("model", "check", "old")
    assert checked.code == 2
    assert "so1s.yaml: inputs, outputs is missing; allowed: both, as TorchScript keeps" in checked.err


def test_what_init_writes_for_torchscript_is_whole_once_its_example_is_said(so1s, tmp_path):
    (tmp_path / "model.pt").write_bytes(TORCHSCRIPT)
    so1s("model", "init", "model.pt")
    path = tmp_path / "so1s.yaml"
    path.write_text(re.sub(r"^# (inputs|outputs):", r"\1:", path.read_text(), flags=re.MULTILINE))
    assert so1s("model", "check", ".").lines == ["✓ torchscript   x float32[-1,30] → label int64[-1]"]


def test_init_of_onnx_writes_what_goes_in_and_out(so1s, tmp_path):
    write_model(tmp_path / "model.onnx", 1)
    assert so1s("model", "init", "model.onnx").code == 0
    told = onnx_signature.signature(tmp_path / "model.onnx")
    assert ModelFile.parse((tmp_path / "so1s.yaml").read_bytes()).signature == told
    assert so1s("model", "check", ".").lines == [f"✓ onnx   {told.inputs[0]} → {told.outputs[0]}"]


def test_init_of_a_model_that_is_not_served_tells_the_way_out(so1s, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/last.ckpt").write_bytes(zipped({"m/data.pkl": ""}))
    result = so1s("model", "init", "old")
    assert result.code == 2
    assert "old holds none; allowed: a model of" in result.err


def test_init_takes_what_lies_within_a_directory_of_another_model_for_part_of_that(so1s, tmp_path):
    (tmp_path / "out/assets").mkdir(parents=True)
    (tmp_path / "out/saved_model.pb").write_bytes(MODELS["saved_model.pb"][0])
    (tmp_path / "out/assets/table.onnx").write_bytes(ONNX)
    assert so1s("model", "init", "out").code == 0
    assert "format: tensorflow\nfile: saved_model.pb\n" in (tmp_path / "out/so1s.yaml").read_text()


def test_check_tells_all_that_is_wrong_at_once(so1s, out):
    (out / "so1s.yaml").write_text("schema: so1s/v1\nfile: gone.skops\nsample: gone.json\n")
    result = so1s("model", "check", "out")
    said = [line.split(";")[0] for line in result.err.splitlines()]
    assert said == [
        "✗ so1s.yaml: file: there is no 'gone.skops'",
        "✗ so1s.yaml: sample: there is no 'gone.json'",
    ]


def test_a_path_that_is_not_there_is_said_not_to_exist(so1s, out):
    assert "path: elsewhere does not exist; allowed: a model of" in so1s("model", "init", "elsewhere").err


@pytest.mark.parametrize("name", MODELS)
def test_init_knows_formats_by_content_and_takes_no_other_file_for_them(so1s, tmp_path, name):
    content, found = MODELS[name]
    directory = tmp_path / "made"
    directory.mkdir()
    (directory / name).write_bytes(content)
    (directory / "requirements.txt").write_text("numpy\n")
    (directory / "config.json").write_text("{}")
    assert so1s("model", "init", "made").code == 0
    assert f"format: {found}\nfile: {name}\n" in (directory / "so1s.yaml").read_text()
    assert ModelFile.parse((directory / "so1s.yaml").read_bytes()).file == name


def test_code_that_is_not_the_model_may_be_broken(so1s, out):
    so1s("model", "init", "out")
    (out / "prepared.py").write_text("def (:")
    assert so1s("model", "check", "out").code == 0


@pytest.mark.parametrize(("declared", "is_noted"), [("", True), (modelcheck.EXAMPLE, False)])
def test_check_says_where_a_sample_is_not_held_against_inputs(so1s, out, declared, is_noted):
    (out / "rows.json").write_text('{"x": [[1, 2, 3, 4]]}')
    (out / "so1s.yaml").write_text(f"schema: so1s/v1\nsample: rows.json\n{declared}")
    result = so1s("model", "check", "out")
    assert (result.code, "rows.json is not held against inputs" in result.err) == (0, is_noted)


@pytest.mark.parametrize(
    ("batching", "told"),
    [
        ("{max_rows: 64, max_delay_ms: 2}", "  batching   at most 64 rows a call, 2 ms for more to come"),
        ("{max_delay_ms: 0.5}", "  batching   0.5 ms for more to come"),
        ("{max_rows: 1}", "  batching   off: one row a call"),
        ("{}", "  batching   as the server's operator says"),
    ],
)
def test_check_shows_how_calls_are_to_be_shared(so1s, out, batching, told):
    (out / "so1s.yaml").write_text(f"schema: so1s/v1\nbatching: {batching}\n")
    assert so1s("model", "check", "out").lines[1] == told
