"""What is not compiled, and what the author is told."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import lightgbm
import numpy as np
import onnx
import pytest
import xgboost
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from so1s_compiler import LINE, __version__
from so1s_compiler import compile as command
from so1s_compiler import lightgbm as compilers
from so1s_compiler.compile import compiled
from so1s_compiler.errors import CannotCompile
from so1s_compiler.trial import Disagreement
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Signature, TensorSpec
from tests.compiler.conftest import saved

ROWS = np.random.default_rng(7).normal(size=(60, 4))
TWO = (ROWS[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (DummyClassifier(), "scikit-learn's DummyClassifier"),
        (make_pipeline(StandardScaler(), DummyClassifier()), "scikit-learn's DummyClassifier"),
        (
            xgboost.XGBRegressor(multi_strategy="multi_output_tree", tree_method="hist", n_jobs=1),
            "XGBoost's trees with several outputs a leaf",
        ),
        (lightgbm.LGBMRegressor(linear_tree=True, verbose=-1), "LightGBM's linear trees"),
        (lightgbm.LGBMRegressor(zero_as_missing=True, verbose=-1), "LightGBM's feature 0 .* zero_as_missing"),
    ],
    ids=["estimator", "pipeline", "outputs", "linear", "zero"],
)
def test_what_has_no_translation_is_named_with_the_way_out(directory, estimator, named):
    target = np.stack([TWO, TWO], axis=1) if "XGB" in type(estimator).__name__ else TWO
    saved(directory, estimator.fit(ROWS, target))

    with pytest.raises(CannotCompile, match=f"{named}.*leave `optimize` out"):
        compiled(directory)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_categorical_features_are_named(directory, library):
    rows = ROWS.copy()
    rows[:, 2] = np.arange(60) % 5
    target = np.arange(60) % 5 == 3
    if library == "lightgbm":
        model = lightgbm.LGBMClassifier(verbose=-1, min_child_samples=2, min_data_per_group=2)
        model.fit(rows, target, categorical_feature=[2])
    else:
        matrix = xgboost.DMatrix(rows, target, feature_types=["q", "q", "c", "q"], enable_categorical=True)
        model = xgboost.train({"max_cat_to_onehot": 1, "objective": "binary:logistic"}, matrix, 3)

    with pytest.raises(CannotCompile, match="feature 2 is categorical"):
        compiled(saved(directory, model))


def test_an_answer_out_of_tolerance_is_told_with_its_place_and_both_values(directory, monkeypatch):
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(ROWS, TWO)
    right = compilers._scaled_sigmoid
    monkeypatch.setattr(compilers, "_scaled_sigmoid", lambda scale: right(scale * 1.01))

    with pytest.raises(
        Disagreement,
        match=r"probabilities\[\d+,\d\] is 0\.\d+, not 0\.\d+ \(off by 0\.\d+, 1e-05 is allowed\), "
        r"for (the sample|a row that was made up), \[.*\]; leave `optimize` out",
    ):
        compiled(saved(directory, model, sample=ROWS[:3]))


def test_rows_of_words_need_a_sample_and_are_compared_with_one(tmp_path):
    words = np.array([["red", "s"], ["green", "m"], ["blue", "l"]] * 20, dtype=object)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(
        words, np.arange(60) % 3
    )
    outputs = (
        TensorSpec("label", DTYPES["int64"], (-1,)),
        TensorSpec("probabilities", DTYPES["float64"], (-1, 3)),
    )
    signature = Signature((TensorSpec("x", DTYPES["string"], (-1, 2)),), outputs)

    with pytest.raises(CannotCompile, match=r"Add a `sample` to so1s\.yaml"):
        compiled(saved(tmp_path / "without", model, sample=None, signature=signature))

    found = compiled(saved(tmp_path / "with", model, sample=words[:3], signature=signature))[1]
    assert (found.rows, found.sample_rows) == (3, 3)


def test_a_model_that_refuses_other_rows_than_its_authors_needs_a_sample(directory):
    model = RadiusNeighborsClassifier(2.0).fit(ROWS, TWO)

    with pytest.raises(CannotCompile, match=r"refuses rows that are made up: .*: No neighbors"):
        compiled(saved(directory, model))


def test_outputs_that_the_author_declares_are_those_of_the_compiled_model(directory):
    signature = Signature(
        (TensorSpec("measures", DTYPES["float32"], (-1, 4)),),
        (TensorSpec("probabilities", DTYPES["float32"], (-1, 2)),),
    )
    data, _found = compiled(saved(directory, LogisticRegression().fit(ROWS, TWO), signature=signature))

    graph = onnx.load_from_string(data).graph
    assert [each.name for each in (*graph.input, *graph.output)] == ["measures", "probabilities"]


def test_the_same_model_is_compiled_to_the_same_bytes_whatever_the_hash_seed(directory, capsys):
    model = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=7)).fit(ROWS, TWO)
    saved(directory, model)

    arguments = [sys.executable, "-m", "so1s_compiler.compile", str(directory)]
    elsewhere = subprocess.run(
        arguments, env={"PYTHONHASHSEED": "1"}, check=True, capture_output=True, text=True
    ).stdout

    assert command.main([str(directory)]) == 0

    here = capsys.readouterr().out
    assert here.startswith(LINE)
    assert here == elsewhere


def test_trees_are_compiled_where_the_compiler_lies_without_metadata_as_in_a_builder(directory, monkeypatch):
    def installed(package):
        if package == "so1s-compiler":
            raise PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(command, "version", installed)
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(ROWS, TWO)

    assert compiled(saved(directory, model))[1].compiler == f"so1s-compiler {__version__}"


def test_the_command_says_why_it_fails(directory, capsys):
    saved(directory, DummyClassifier().fit(ROWS, TWO))

    assert command.main([str(directory)]) == 1

    assert capsys.readouterr().out.startswith('{"error":"scikit-learn')


def test_a_text_as_input_is_no_array_to_compile(directory):
    saved(directory, LogisticRegression().fit(ROWS, TWO))
    manifest = json.loads((directory / "model.json").read_bytes())
    manifest["inputs"] = [{"name": "x", "type": "text"}]
    (directory / "model.json").write_text(json.dumps(manifest))

    with pytest.raises(CannotCompile, match="its inputs are arrays"):
        compiled(directory)
