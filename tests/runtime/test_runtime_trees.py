"""Boosted trees: what they say of themselves, and that they answer as their library does."""

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_iris

from so1s_runtime import model as models
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import loader

IRIS = load_iris()
ROWS = IRIS.data.astype(np.float32)
TARGETS = {"three": IRIS.target, "two": (IRIS.target > 1).astype(int), "number": IRIS.data[:, 0]}

XGB = {"n_estimators": 3, "max_depth": 2, "nthread": 1}
LGBM = {"n_estimators": 3, "verbose": -1, "n_jobs": 1}


def saved(estimator, directory):
    path = directory / "model"
    if isinstance(estimator, lightgbm.LGBMModel):
        estimator.booster_.save_model(path)
        return "lightgbm", path
    estimator.save_model(path.with_suffix(".ubj"))
    return "xgboost", path.with_suffix(".ubj")


@pytest.mark.parametrize(
    ("estimator", "target", "outputs"),
    [
        (xgboost.XGBClassifier(**XGB), "three", ["int64[-1]", "float32[-1,3]"]),
        (xgboost.XGBClassifier(**XGB), "two", ["int64[-1]", "float32[-1,2]"]),
        (xgboost.XGBRegressor(**XGB), "number", ["float32[-1]"]),
        (xgboost.XGBRegressor(booster="gblinear", n_estimators=3), "number", ["float32[-1]"]),
        (lightgbm.LGBMClassifier(**LGBM), "three", ["int64[-1]", "float64[-1,3]"]),
        (lightgbm.LGBMClassifier(**LGBM), "two", ["int64[-1]", "float64[-1,2]"]),
        (lightgbm.LGBMRegressor(**LGBM), "number", ["float64[-1]"]),
    ],
)
def test_trees_tell_their_signature_and_predict_as_the_library_does(
    tmp_path, estimator, target, outputs, write_manifest
):
    name, path = saved(estimator.fit(ROWS, TARGETS[target]), tmp_path)
    manifest = write_manifest(tmp_path, name, path.name)
    signature = manifest.signature
    model = models.load(manifest, tmp_path, threads=1)

    answers = model.run({"x": ROWS.astype(signature.inputs[0].dtype.numpy)}, signature.outputs)

    assert [str(spec) for spec in signature.outputs] == outputs
    np.testing.assert_array_equal(answers[0], estimator.predict(ROWS))
    for probabilities in answers[1:]:
        np.testing.assert_array_equal(probabilities, estimator.predict_proba(ROWS))


def test_the_trees_after_the_best_one_are_left_out_as_the_library_does(tmp_path, write_manifest):
    estimator = xgboost.XGBRegressor(n_estimators=50, learning_rate=1.0, early_stopping_rounds=2, nthread=1)
    noise = np.random.default_rng(3).normal(size=len(ROWS))
    estimator.fit(ROWS[:75], noise[:75], eval_set=[(ROWS[75:], noise[75:])], verbose=False)
    name, path = saved(estimator, tmp_path)
    manifest = write_manifest(tmp_path, name, path.name)

    (label,) = models.load(manifest, tmp_path, threads=1).run({"x": ROWS}, manifest.signature.outputs)

    assert estimator.best_iteration + 1 < estimator.get_booster().num_boosted_rounds()
    np.testing.assert_array_equal(label, estimator.predict(ROWS))


@pytest.mark.parametrize("model_format", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("content", [b"", b"\x00garbage", b"{}", b"tree\nversion=v4\n", b"\x80\x04pickle."])
def test_a_file_of_another_kind_is_refused(tmp_path, model_format, content):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ModelError, match="model is no model that"):
        loader(model_format).inspect(tmp_path / "model")
