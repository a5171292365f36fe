"""`so1s model` of code, and of what it asks for."""

from importlib.metadata import version

import pytest

from so1s import modelcheck
from so1s.cli import installed
from so1s.errors import InvalidInput
from so1s.modelfile import ModelFile

OUT = "{name: y, dtype: float64, shape: [-1]}"
CODE = "def load_artifacts(): ...\ndef run(artifacts, input): ...\n"


@pytest.fixture
def own(tmp_path):
    directory = tmp_path / "own"
    directory.mkdir()
    (directory / "prepared.py").write_text(CODE)
    (directory / "weights.ubj").write_bytes(b"{L")
    return directory


def test_init_of_code_writes_an_example_of_what_cannot_be_told(so1s, own):
    result = so1s("model", "init", "own")
    assert (result.code, "the lines there are an example" in result.err) == (0, True)
    lines = so1s("model", "check", "own").lines
    assert lines == ["✓ python   x float64[-1,4] → score float64[-1]"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("prepared.py", "def run(a, b): ...", "prepared.py: load_artifacts"),
        ("prepared.py", "def load_artifacts(): ...", "allowed: def run(artifacts, input)"),
        ("prepared.py", "def (:", "prepared.py line 1: invalid syntax; allowed: Python that parses"),
        ("requirements.txt", "numpy\n-e .", "requirements.txt line 2"),
        ("so1s.yaml", "schema: so1s/v1", "inputs, outputs is missing"),
        ("so1s.yaml", "schema: so1s/v1\nrequirements: [./own]", "requirements"),
    ],
)
def test_check_of_code_finds_what_a_build_would_refuse(so1s, own, file, content, message):
    so1s("model", "init", "own")
    (own / file).write_text(content)
    result = so1s("model", "check", "own")
    assert result.code == 2
    assert message in result.err


def test_code_may_choose_its_functions(so1s, own):
    block = "try:\n    from fast import run\nexcept ImportError:\n    def run(artifacts, input): ...\n"
    (own / "prepared.py").write_text("def load_artifacts(): ...\n" + block)
    so1s("model", "init", "own")
    assert so1s("model", "check", "own").code == 0


def test_whoever_publishes_code_may_leave_out_what_its_description_asks_for(own):
    (own / "so1s.yaml").write_text(f"schema: so1s/v1\noptimize: onnx\n{modelcheck.EXAMPLE}")
    with pytest.raises(InvalidInput, match="optimize"):
        modelcheck.check(own)
    modelcheck.check(own, optimize="none")


def test_code_may_import_its_functions(so1s, own):
    (own / "prepared.py").write_text("from mine import load_artifacts\nfrom mine import go as run")
    so1s("model", "init", "own")
    assert so1s("model", "check", "own").code == 0


def test_check_notes_what_code_imports_where_no_packages_are_named(so1s, own):
    (own / "prepared.py").write_text(f"import json\nimport numpy\nimport pandas.api\nimport mine\n{CODE}")
    (own / "mine.py").write_text("")
    (own / "so1s.yaml").write_text(f"schema: so1s/v1\n{modelcheck.EXAMPLE}")
    result = so1s("model", "check", "own")
    assert (result.code, "imports pandas, and no requirements.txt" in result.err) == (0, True)
    (own / "requirements.txt").write_text("pandas")
    assert "imports" not in so1s("model", "check", "own").err


def test_init_of_code_asks_for_the_packages_that_it_imports_in_the_versions_that_are_here(so1s, own):
    imported = "import json, numpy\nfrom sklearn.svm import SVC\nimport so1s_runtime.errors\nimport nowhere\n"
    (own / "prepared.py").write_text(imported + CODE)
    result = so1s("model", "init", "own")
    described = ModelFile.parse((own / "so1s.yaml").read_bytes())
    assert described.requirements == [f"scikit-learn=={version('scikit-learn')}"]
    assert "which packages have nowhere: not installed here" in result.err
    assert so1s("model", "check", "own").code == 0


def test_init_of_code_leaves_packages_to_a_file_that_names_them(so1s, own):
    (own / "prepared.py").write_text(f"import sklearn\n{CODE}")
    (own / "requirements.txt").write_text("scikit-learn>=1.5\n")
    so1s("model", "init", "own")
    assert ModelFile.parse((own / "so1s.yaml").read_bytes()).requirements is None
    assert so1s("model", "check", "own").code == 0


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package `torchlike`, as an installer leaves it, with those files about it."""

    def install(version, **files):
        about = tmp_path / f"site/torchlike-{version}.dist-info"
        about.mkdir(parents=True)
        files["METADATA"] = f"Metadata-Version: 2.1\nName: torchlike\nVersion: {version}\n"
        for name, text in (files | {"top_level.txt": "torchlike"}).items():
            (about / name).write_text(text)
        monkeypatch.syspath_prepend(tmp_path / "site")

    return install


def test_a_version_of_a_build_of_its_own_is_asked_for_as_an_index_has_it(package):
    package("2.15.0+cpu")
    assert installed.requirements(["torchlike"]) == {"torchlike": "torchlike==2.15.0"}


def test_init_of_code_asks_for_no_package_that_came_from_elsewhere_than_an_index(so1s, own, package):
    package("1.0", **{"direct_url.json": '{"url": "file:///src/torchlike", "dir_info": {}}'})
    (own / "prepared.py").write_text(f"import torchlike\n{CODE}")
    result = so1s("model", "init", "own")
    assert ModelFile.parse((own / "so1s.yaml").read_bytes()).requirements is None
    assert "which packages have torchlike: not installed here, not from an index" in result.err


@pytest.mark.parametrize(
    ("inputs", "alone"),
    [
        ("{name: x, dtype: float64, shape: [4]}, {name: z, dtype: float64, shape: [-1]}", "x"),
        ("{name: t, type: text}, {name: p, type: image}", "t, p"),
        ("{name: t, type: text, shape: [-1]}, {name: p, type: image, shape: [-1, 8, 8, 3]}", ""),
        ("{name: s, type: series, dtype: float64}", ""),
    ],
)
def test_check_says_where_calls_cannot_be_shared(so1s, own, inputs, alone):
    (own / "so1s.yaml").write_text(
        f"schema: so1s/v1\ninputs: [{inputs}]\noutputs: [{OUT}]\nbatching: {{max_rows: 8}}\n"
    )
    result = so1s("model", "check", "own")
    said = f"batching has no effect, as the first axis of {alone} is not -1"
    assert (result.code, said in result.err, "no effect" in result.err) == (0, bool(alone), bool(alone))


@pytest.mark.parametrize("place", ["requirements.txt", "so1s.yaml"])
def test_check_notes_packages_from_urls_of_which_an_operator_decides(so1s, own, place):
    asked = "tiny @ https://files.example.org/tiny-1.0-py3-none-any.whl"
    so1s("model", "init", "own")
    if place == "so1s.yaml":
        (own / place).write_text(f"{(own / place).read_text()}\nrequirements: ['{asked}']\n")
    else:
        (own / place).write_text(asked)
    result = so1s("model", "check", "own")
    said = " ".join(result.err.split())
    assert (result.code, f"{asked}: a builder takes it where its operator names" in said) == (0, True), said
