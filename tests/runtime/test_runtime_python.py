"""User code: `prepared.py` with what it loads beside it."""

import json
import logging
import os
import sys
from dataclasses import replace
from textwrap import dedent

import httpx
import numpy as np
import pytest

from so1s_runtime import model as models
from so1s_runtime.check import main
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import loader
from so1s_runtime.manifest import Manifest, Signature, TensorSpec, read

X = TensorSpec("x", DTYPES["float64"], (-1, 2))
LABEL = TensorSpec("label", DTYPES["int64"], (-1,))
SCORE = TensorSpec("score", DTYPES["float64"], (-1,))


@pytest.fixture(autouse=True)
def _as_in_a_process_of_its_own():
    """A server serves one model for its whole life; a test must leave no trace."""
    place, path, modules = os.getcwd(), list(sys.path), set(sys.modules)  # noqa: PTH109 - what os.chdir takes
    flag = sys.dont_write_bytecode
    yield
    os.chdir(place)
    sys.path[:], sys.dont_write_bytecode = path, flag
    for name in set(sys.modules) - modules:
        if name in {"prepared", "features"}:
            del sys.modules[name]


@pytest.fixture
def prepared(tmp_path):
    """Writes a model directory of some code."""

    def write(code: str, outputs: tuple[TensorSpec, ...] = (SCORE,)):
        (tmp_path / "files").mkdir()
        (tmp_path / "files/prepared.py").write_text(dedent(code))
        np.savez(tmp_path / "files/weights.npz", w=np.array([2.0, 1.0]))
        manifest = Manifest(
            name="own",
            version="1",
            format="python",
            file="files/prepared.py",
            signature=Signature((X,), outputs),
        )
        (tmp_path / "model.json").write_bytes(manifest.to_json())
        return tmp_path

    return write


def loaded(directory):
    return models.load(read(directory), directory, threads=1)


def answer_of(directory, rows, outputs=(SCORE,)):
    return loaded(directory).run({"x": np.array(rows, dtype=float)}, outputs)


WEIGHTED = """
    import numpy as np

    def load_artifacts():
        return np.load("weights.npz")["w"]

    def run(artifacts, input):
        return input["x"] @ artifacts
"""


def test_code_finds_its_weights_beside_it_and_answers_with_one_array(prepared):
    (score,) = answer_of(prepared(WEIGHTED), [[1, 1], [0, 3]])
    assert score.tolist() == [3.0, 3.0]


def test_code_may_answer_several_outputs_by_name_and_only_the_wanted_are_given(prepared):
    directory = prepared(
        """
        def load_artifacts(): return None
        def run(artifacts, input):
            score = input["x"].sum(axis=1)
            return {"score": score, "label": (score > 1).astype(int)}
        """,
        (LABEL, SCORE),
    )
    assert [each.tolist() for each in answer_of(directory, [[1, 1]], (LABEL, SCORE))] == [[1], [2.0]]
    assert [each.tolist() for each in answer_of(directory, [[1, 1]], (SCORE,))] == [[2.0]]


def test_a_list_is_as_good_as_an_array(prepared):
    code = "def load_artifacts(): pass\ndef run(artifacts, input): return [0.5 for _ in input['x']]"
    assert answer_of(prepared(code), [[1, 1], [2, 2]])[0].tolist() == [0.5, 0.5]


def test_code_may_be_spread_over_several_files(prepared):
    directory = prepared(
        """
        import features

        def load_artifacts(): return 3
        def run(artifacts, input): return features.total(input["x"]) * artifacts
        """
    )
    (directory / "files/features.py").write_text("def total(x): return x.sum(axis=1)")
    assert answer_of(directory, [[1, 1]])[0].tolist() == [6.0]


def test_artifacts_are_loaded_once(prepared):
    directory = prepared(
        """
        CALLS = []
        def load_artifacts(): CALLS.append(1)
        def run(artifacts, input): return [float(len(CALLS)) for _ in input["x"]]
        """
    )
    model = loaded(directory)
    for _ in range(3):
        (calls,) = model.run({"x": np.ones((1, 2))}, [SCORE])
    assert calls.tolist() == [1.0]


def test_code_may_write_into_its_input_even_where_that_is_a_view_of_the_request(prepared):
    code = """
        def load_artifacts(): pass
        def run(artifacts, input):
            input["x"][:] += 1
            return input["x"].sum(axis=1)
    """
    model = loaded(prepared(code))
    rows = np.frombuffer(np.zeros((1, 2)).tobytes()).reshape(1, 2)
    assert model.run({"x": rows}, [SCORE])[0].tolist() == [2.0]


LOAD = "def load_artifacts(): pass\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("x = ", r"the import raised SyntaxError", id="syntax"),
        pytest.param("import no_such_package", r"ModuleNotFoundError at prepared\.py:1", id="import"),
        pytest.param("import sys; sys.exit(3)", r"the import raised SystemExit", id="exit"),
        pytest.param("def run(artifacts, input): pass", r"needs a function load_artifacts", id="no-load"),
        pytest.param(LOAD, r"needs a function run, as `def run\(artifacts, input\):`", id="no-run"),
        pytest.param(LOAD + "run = 3", r"needs a function run", id="no-function"),
        pytest.param(LOAD + "def run(input): pass", r"run must be as `def run", id="parameters"),
        pytest.param(LOAD + "async def run(a, b): pass", r"run must be a plain function", id="async"),
        pytest.param(
            "def load_artifacts():\n    open('gone')\ndef run(a, b): pass",
            r"load_artifacts raised FileNotFoundError at prepared\.py:2: .*gone",
            id="load",
        ),
        pytest.param(
            LOAD + "def run(a, b):\n    return b['y']",
            r"warm-up call with .* raised KeyError at prepared\.py:3: 'y'",
            id="run",
        ),
        pytest.param(LOAD + "def run(a, b): return {'other': 1}", r"without the output score", id="names"),
        pytest.param(LOAD + "def run(a, b): return [[1.0]]", r"has shape \[1, 1\]", id="shape"),
        pytest.param(LOAD + "def run(a, b): return ['a']", r"is <U1, the manifest says float64", id="dtype"),
        pytest.param(LOAD + "def run(a, b): return None", r"'score' has shape \[\]", id="nothing"),
    ],
)
def test_code_that_breaks_the_contract_is_refused_with_the_place_in_it(prepared, code, said):
    with pytest.raises(ModelError, match=said):
        loaded(prepared(code))


def test_one_array_is_no_answer_where_several_outputs_were_declared(prepared):
    with pytest.raises(ModelError, match="must return a dict of arrays"):
        loaded(prepared(WEIGHTED, (LABEL, SCORE)))


def test_the_signature_of_code_must_be_declared(prepared):
    with pytest.raises(ModelError, match="must be declared"):
        loader("python").inspect(prepared(WEIGHTED) / "files/prepared.py")


def test_the_check_says_the_reason_as_one_line_of_json(prepared, capsys):
    directory = prepared(LOAD + "def run(a, b):\n    raise ValueError('no such customer')")
    assert main(["model", str(directory)]) == 1
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert error.endswith(
        "raised ValueError at prepared.py:3: no such customer; mend `inputs` in so1s.yaml, or, where they "
        "are right, name a `sample` there that it takes"
    )


def test_code_that_refuses_zeros_is_told_of_a_sample(prepared, capsys):
    refusing = "from so1s_runtime.errors import RequestError\n" + LOAD
    directory = prepared(refusing + "def run(a, b):\n    raise RequestError('age must be positive')")
    assert main(["model", str(directory)]) == 1
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert "was refused: age must be positive; mend `inputs`" in error
    assert "name a `sample`" in error


@pytest.mark.parametrize("answer", ["[[0.5, 0.5]]", "{'scores': [0.5]}"])
def test_where_the_answer_is_not_as_declared_no_sample_is_asked_for(prepared, capsys, answer):
    directory = prepared(LOAD + f"def run(a, b):\n    return {answer}")
    assert main(["model", str(directory)]) == 1
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert error.endswith("; mend the model, or what so1s.yaml declares as `inputs` and `outputs`")
    assert "`sample`" not in error


def test_inputs_that_no_memory_holds_are_a_reason_too(prepared, capsys):
    directory = prepared(WEIGHTED)
    huge = replace(read(directory), signature=Signature((replace(X, shape=(-1, 2**40, 2**18)),), (SCORE,)))
    (directory / "model.json").write_bytes(huge.to_json())
    assert main(["model", str(directory)]) == 1
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert "as no sample came with the model could not be made: " in error
    assert error.endswith("name a `sample` there that it takes")


def test_what_code_prints_is_not_taken_for_the_checks_answer(prepared, capsys):
    directory = prepared(
        "print('{', end='')\n" + LOAD + "def run(a, b):\n    print(1, end='')\n    return [0.5]"
    )
    assert main(["model", str(directory)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["inputs"][0]["name"] == "x"


FAILING = """
    from so1s_runtime.errors import RequestError

    def load_artifacts(): pass

    def run(artifacts, input):
        first = input["x"][0, 0]
        if first == 1: raise ValueError("customer 4711 is secret")
        if first == 2: raise SystemExit(1)
        if first == 3: raise RequestError("x must be below 3", field="x")
        return [0.0 for _ in input["x"]] if first != 4 else [[0.0]]
"""


def raised(name: str) -> dict[str, str]:
    return {"error": f"the model's code raised {name}; see the log of request r1", "type": name}


@pytest.fixture
def failing(prepared, loaded_app, client_of) -> httpx.AsyncClient:
    """A client of code that fails in several ways."""
    return client_of(loaded_app(prepared(FAILING)))


@pytest.mark.parametrize(
    ("first", "answered"),
    [
        (0, (200, {"score": [0.0]})),
        (1, (500, raised("ValueError"))),
        (2, (500, raised("SystemExit"))),
        (3, (400, {"error": "x must be below 3", "field": "x"})),
        (4, (500, {"error": "the model failed; see the log of request r1"})),
    ],
)
async def test_a_callers_answer_names_what_code_raised_and_the_log_has_the_rest(
    failing, caplog, first, answered
):
    with caplog.at_level(logging.ERROR):
        answer = await _predict(failing, first)
    assert (answer.status_code, answer.json()) == answered
    assert ("customer 4711" in caplog.text) == (first == 1)  # the traceback, for its author


async def test_the_server_answers_on_after_code_failed(failing):
    statuses = [(await _predict(failing, first)).status_code for first in (1, 2, 4, 0)]
    assert statuses == [500, 500, 500, 200]


async def _predict(client: httpx.AsyncClient, first: int) -> httpx.Response:
    return await client.post("/predict", json=[[first, 0]], headers={"x-request-id": "r1"})


def test_code_is_never_run_on_the_event_loop():
    assert loader("python").STEADY is False
