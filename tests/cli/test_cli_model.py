"""`so1s model`."""

import zipfile

import pytest


@pytest.fixture
def out(tmp_path):
    directory = tmp_path / "out"
    directory.mkdir()
    with zipfile.ZipFile(directory / "model.skops", "w") as archive:
        archive.writestr("schema.json", "{}")
    return directory


def test_init_writes_a_description_that_the_check_takes(so1s, out):
    assert so1s("model", "init", "out").code == 0
    result = so1s("model", "check", "out")
    assert (result.code, result.lines) == (0, ["✓ skops   the signature is the model's own"])


def test_init_takes_the_model_itself(so1s, out):
    assert so1s("model", "init", "out/model.skops").code == 0
    assert "file: model.skops" in (out / "so1s.yaml").read_text()


def test_init_overwrites_nothing(so1s, out):
    so1s("model", "init", "out")
    (out / "so1s.yaml").write_text("mine")
    assert so1s("model", "init", "out").code == 2
    assert (out / "so1s.yaml").read_text() == "mine"


def test_init_does_not_guess_between_two_models(so1s, out):
    (out / "other.onnx").write_bytes(b"x")
    result = so1s("model", "init", "out")
    assert result.code == 2
    assert "found model.skops, other.onnx" in result.err


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
        ("schema: so1s/v1\nfromat: skops\n", "fromat"),
        ("schema: so1s/v1\nfile: gone.skops\n", "file: 'gone.skops' is not there"),
        ("schema: so1s/v1\nsample: gone.json\n", "sample: 'gone.json' is not there"),
        ("schema: [\n", "YAML"),
    ],
)
def test_check_fails_with_the_field_at_fault(so1s, out, text, message):
    (out / "so1s.yaml").write_text(text)
    result = so1s("model", "check", "out")
    assert result.code == 1
    assert message in result.err


def test_check_of_an_undescribed_model_says_what_to_do(so1s, out):
    result = so1s("model", "check", "out")
    assert result.code == 1
    assert "so1s model init out" in result.err


def test_check_of_a_file_that_is_no_model_says_so(so1s, out):
    so1s("model", "init", "out")
    (out / "model.skops").write_bytes(b"junk")
    result = so1s("model", "check", "out")
    assert result.code == 1
    assert "'model.skops' is no archive" in result.err


def test_a_path_that_is_not_there_is_said_not_to_exist(so1s, out):
    assert "does not exist" in so1s("model", "init", "elsewhere").err


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [("trees.ubj", b"{L", "xgboost"), ("trees.txt", b"tree\nversion=v4\n", "lightgbm")],
)
def test_init_knows_trees_and_takes_no_other_text_for_them(so1s, tmp_path, name, content, found):
    directory = tmp_path / "trees"
    directory.mkdir()
    (directory / name).write_bytes(content)
    (directory / "requirements.txt").write_text("numpy\n")
    assert so1s("model", "init", "trees").code == 0
    assert f"format: {found}\nfile: {name}\n" in (directory / "so1s.yaml").read_text()
