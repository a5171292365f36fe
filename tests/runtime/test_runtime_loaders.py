"""Models of both formats: what they say of themselves, and what is refused."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, StandardScaler

from so1s_runtime import model as models
from so1s_runtime.check import main
from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.loaders import loader
from so1s_runtime.manifest import read

IRIS = load_iris()


def dump(estimator, directory, target=IRIS.target):
    skops.io.dump(estimator.fit(IRIS.data, target), directory / "model.skops")
    return directory / "model.skops"


def described(signature):
    return {spec.name: str(spec) for spec in (*signature.inputs, *signature.outputs)}


@pytest.mark.parametrize(
    ("estimator", "target", "outputs"),
    [
        (
            LogisticRegression(max_iter=500),
            IRIS.target,
            {"label": "int64[-1]", "probabilities": "float64[-1,3]"},
        ),
        (
            LogisticRegression(max_iter=500),
            IRIS.target_names[IRIS.target],
            {"label": "string[-1]", "probabilities": "float64[-1,3]"},
        ),
        (RandomForestRegressor(3), IRIS.target, {"label": "float64[-1]"}),
        (RandomForestRegressor(3), IRIS.data[:, :2], {"label": "float64[-1,2]"}),
        (KMeans(3, n_init=1), IRIS.target, {"label": "int32[-1]"}),
        (
            make_pipeline(StandardScaler(), KNeighborsClassifier()),
            IRIS.target,
            {"label": "int64[-1]", "probabilities": "float64[-1,3]"},
        ),
        (
            HistGradientBoostingClassifier(max_iter=3),
            IRIS.target,
            {"label": "int64[-1]", "probabilities": "float64[-1,3]"},
        ),
        (GaussianProcessClassifier(), IRIS.target, {"label": "int64[-1]", "probabilities": "float64[-1,3]"}),
    ],
)
def test_an_estimator_tells_its_signature_and_predicts_as_the_library_does(
    tmp_path, estimator, target, outputs, write_manifest
):
    path = dump(estimator, tmp_path, target)
    manifest = write_manifest(tmp_path, "skops", path.name)
    assert described(manifest.signature) == {"x": "float64[-1,4]", **outputs}
    model = models.load(manifest, tmp_path, threads=1)
    answers = model.run({"x": IRIS.data}, manifest.signature.outputs)
    for spec, answer in zip(manifest.signature.outputs, answers, strict=True):
        expected = (
            estimator.predict(IRIS.data) if spec.name == "label" else estimator.predict_proba(IRIS.data)
        )
        np.testing.assert_array_equal(answer, expected)


def test_an_estimator_of_named_columns_is_served_without_a_warning(tmp_path, write_manifest):
    estimator = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    estimator.feature_names_in_ = np.array(IRIS.feature_names, object)  # what a fit on a DataFrame leaves
    skops.io.dump(estimator, tmp_path / "model.skops")
    write_manifest(tmp_path, "skops", "model.skops")
    (label,) = run(tmp_path, {"x": IRIS.data[:2]}, ["label"])
    assert label.tolist() == [0, 0]


def run(directory, inputs, names):
    manifest = read(directory)
    wanted = [spec for spec in manifest.signature.outputs if spec.name in names]
    return models.load(manifest, directory, threads=1).run(inputs, wanted)


@pytest.mark.parametrize("function", [np.load, np.testing.assert_equal, sys.exit])
def test_a_model_that_holds_a_dangerous_function_is_refused_by_its_name(tmp_path, function):
    skops.io.dump(
        make_pipeline(FunctionTransformer(function), LogisticRegression()), tmp_path / "model.skops"
    )
    with pytest.raises(ModelError, match=rf"types that are not trusted: .*{function.__name__}"):
        loader("skops").load(tmp_path / "model.skops", 1)


class Foreign(LogisticRegression):
    """An estimator of no trusted library."""


def test_a_foreign_estimator_is_refused_by_its_name(tmp_path):
    path = dump(Foreign(max_iter=500), tmp_path)
    with pytest.raises(ModelError, match=r"not trusted: .*Foreign"):
        loader("skops").inspect(path)


def test_a_transformer_is_refused_as_it_cannot_predict(tmp_path):
    path = dump(StandardScaler(), tmp_path)
    with pytest.raises(ModelError, match="a StandardScaler, which cannot predict"):
        loader("skops").load(path, 1)


def test_a_model_that_rejects_zeros_must_declare_its_signature(tmp_path):
    path = dump(make_pipeline(PowerTransformer("box-cox"), LogisticRegression(max_iter=500)), tmp_path)
    with pytest.raises(ModelError, match="so it must be declared"):
        loader("skops").inspect(path)


def test_values_that_a_model_refuses_are_an_error_of_the_caller_once_it_has_answered(tmp_path):
    model = make_pipeline(PowerTransformer("box-cox"), LogisticRegression(max_iter=500))
    predict = loader("skops").load(dump(model, tmp_path), 1)
    refused = {"x": np.full((1, 4), -1.0)}
    with pytest.raises(ValueError, match="strictly positive"):
        predict(refused, ["label"])
    np.testing.assert_array_equal(predict({"x": IRIS.data}, ["label"])[0], model.predict(IRIS.data))
    with pytest.raises(
        RequestError, match=r"values: The Box-Cox transformation .*strictly positive"
    ) as caught:
        predict(refused, ["label"])
    assert (caught.value.status, caught.value.body["field"]) == (400, "x")


def test_a_model_of_named_columns_is_told_how_to_declare_them(tmp_path):
    by_name = ColumnTransformer([("scaled", StandardScaler(), ["sepal length (cm)"])])
    frame = pd.DataFrame(IRIS.data, columns=IRIS.feature_names)
    pipeline = make_pipeline(by_name, LogisticRegression(max_iter=500)).fit(frame, IRIS.target)
    skops.io.dump(pipeline, tmp_path / "model.skops")
    columns = r'columns: \[\{name: "sepal length \(cm\)", dtype: …\}, \{name: "sepal width'
    with pytest.raises(ModelError, match=columns):
        loader("skops").inspect(tmp_path / "model.skops")


_IMPORTS = """
import sys
from pathlib import Path
from so1s_runtime.loaders import loader
loader("skops").load(Path(sys.argv[1]), 1)
import sklearn.utils
print("sklearn.cross_decomposition" in sys.modules, sklearn.utils.all_estimators.__module__)
"""


def test_to_load_a_model_does_not_import_all_of_scikit_learn(tmp_path):
    path = dump(LogisticRegression(max_iter=500), tmp_path)
    done = subprocess.run([sys.executable, "-c", _IMPORTS, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "sklearn.utils.discovery"]


@pytest.mark.parametrize("model_format", ["onnx", "skops"])
@pytest.mark.parametrize("content", [b"", b"\x00garbage", b"PK\x03\x04broken", b"\x80\x04pickle."])
def test_a_file_of_another_kind_is_refused(tmp_path, model_format, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="model is no "):
        loader(model_format).load(path, 1)
    with pytest.raises(ModelError, match="model is no "):
        loader(model_format).inspect(path)


@pytest.mark.parametrize(
    "schema", ["{}", "[]", '{"__class__": "x"}', '{"__loader__": "TypeNode", "protocol": 1}']
)
def test_a_broken_schema_in_a_skops_file_is_refused(tmp_path, schema):
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(ModelError):
        loader("skops").load(tmp_path / "model.skops", 1)


def test_an_ensemble_fitted_on_all_cores_predicts_on_as_many_threads_as_allowed(skops_model, monkeypatch):
    seen = []
    monkeypatch.setattr("sklearn.ensemble._forest.Parallel", lambda n_jobs, **_: seen.append(n_jobs) or list)
    assert skops_model.estimator.n_jobs == -1
    predict = loader("skops").load(skops_model.directory / "model.skops", 2)
    predict({"x": np.zeros((1, 4))}, ["probabilities"])
    assert seen == [2]


def test_an_onnx_graph_tells_its_signature(onnx_model):
    signature = loader("onnx").inspect(onnx_model.directory / "model.onnx")
    assert described(signature) == {
        "X": "float32[-1,4]",
        "label": "int64[-1]",
        "probabilities": "float32[-1,3]",
    }


def test_a_converters_map_of_classes_is_served_as_a_matrix(tmp_path, forest, rows, write_manifest):
    (tmp_path / "model.onnx").write_bytes(to_onnx(forest, rows[:1]).SerializeToString())
    manifest = write_manifest(tmp_path, "onnx", "model.onnx")
    assert described(manifest.signature)["output_probability"] == "float32[-1,-1]"
    (probabilities,) = run(tmp_path, {"X": rows}, ["output_probability"])
    np.testing.assert_allclose(probabilities, forest.predict_proba(rows), atol=1e-6)


def onnx_identity(path, element, shape):
    x = helper.make_tensor_value_info("x", element, shape)
    y = helper.make_tensor_value_info("y", element, shape)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("element", "value", "spec"),
    [
        (TensorProto.STRING, np.array([["a", "é"]], object), "string[-1,2]"),
        (TensorProto.BOOL, np.array([[True, False]]), "bool[-1,2]"),
        (TensorProto.DOUBLE, np.array([[0.1, 2]]), "float64[-1,2]"),
        (TensorProto.UINT8, np.array([[0, 255]], np.uint8), "uint8[-1,2]"),
    ],
)
def test_every_kind_of_tensor_passes_through_an_onnx_model(tmp_path, element, value, spec, write_manifest):
    onnx_identity(tmp_path / "model.onnx", element, ["batch", 2])
    manifest = write_manifest(tmp_path, "onnx", "model.onnx")
    assert described(manifest.signature) == {"x": spec, "y": spec}
    np.testing.assert_array_equal(run(tmp_path, {"x": value}, ["y"])[0], value)


def test_a_sample_that_does_not_fit_stops_the_load(own_copy, write_manifest):
    (own_copy / "sample.json").write_text('{"x": [[1, 2, 3]]}')
    manifest = write_manifest(own_copy, "skops", "model.skops", sample="sample.json")
    with pytest.raises(
        ModelError, match=r"sample\.json does not fit the manifest: input 'x' at \[0\] has 3 values"
    ):
        models.load(manifest, own_copy, threads=1)


def test_a_manifest_that_the_model_contradicts_stops_the_load(own_copy):
    text = (own_copy / "model.json").read_text()
    (own_copy / "model.json").write_text(text.replace("int64", "string"))
    with pytest.raises(ModelError, match=r"output 'label' is int64, the manifest says string\[-1\]"):
        models.load(read(own_copy), own_copy, threads=1)


def test_a_missing_model_file_stops_the_load(own_copy):
    (own_copy / "model.skops").unlink()
    with pytest.raises(ModelError, match=r"names 'model\.skops', which is not in"):
        models.load(read(own_copy), own_copy, threads=1)


def check(capsys, *arguments):
    """The exit code of a check, and what it answered."""
    code = main(list(map(str, arguments)))
    return code, json.loads(capsys.readouterr().out)


def test_a_builder_can_ask_for_a_signature_and_try_a_directory(own_copy, capsys):
    code, signature = check(capsys, "signature", own_copy)
    assert code == 0
    assert signature["inputs"] == [{"name": "x", "dtype": "float64", "shape": [-1, 4]}]
    assert check(capsys, "model", own_copy) == (0, signature)
    (own_copy / "model.skops").write_bytes(b"broken")
    code, answer = check(capsys, "model", own_copy)
    assert code == 1
    assert "is no skops file" in answer["error"]


@pytest.mark.parametrize("command", ["signature", "model"])
def test_a_model_tells_what_its_manifest_does_not(own_copy, capsys, command):
    path = own_copy / "model.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({name: said[name] for name in said.keys() - {"inputs", "outputs"}}))

    assert check(capsys, command, own_copy) == (0, {name: said[name] for name in ("inputs", "outputs")})
    with pytest.raises(ModelError, match="inputs must be a list"):
        read(own_copy)  # a server never guesses
