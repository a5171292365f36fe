"""Boosted trees: what they say of themselves, and that they answer as their library does."""

import json
import math

import lightgbm
import numpy as np
import pandas as pd
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


COUNTRIES = ["FI", "NO", "SE"]
RANDOM = np.random.default_rng(7)
PAYMENTS = pd.DataFrame(
    {
        "amount": RANDOM.choice([np.nan, 1.0, 2.0, 8.0, 9.0], 600),
        "country": pd.Categorical(RANDOM.choice([*COUNTRIES, None], 600), categories=COUNTRIES),
    }
)
# A missing amount and a missing country are each a sign of their own.
IS_FRAUD = (PAYMENTS["amount"].fillna(7) > 5) ^ (PAYMENTS["country"].astype(object).isin(["NO", None]))
COLUMNS = [
    {"name": "amount", "dtype": "float64", "nullable": True},
    {"name": "country", "dtype": "float64", "nullable": True},
]


def write_payments(directory, estimator, columns):
    """Trained on named columns, one of them categorical, and declared as rows of them."""
    name, path = saved(estimator.fit(PAYMENTS, IS_FRAUD.astype(int)), directory)
    outputs = [
        {"name": "label", "dtype": "int64", "shape": [-1]},
        {
            "name": "probabilities",
            "dtype": {"xgboost": "float32", "lightgbm": "float64"}[name],
            "shape": [-1, 2],
        },
    ]
    fields = {"schema": "so1s-model/v1", "name": "fraud", "version": "3", "format": name, "file": path.name}
    inputs = [{"name": "payments", "type": "dataframe", "columns": columns}]
    (directory / "model.json").write_text(json.dumps(fields | {"inputs": inputs, "outputs": outputs}))


WITH_CATEGORIES = [
    pytest.param(xgboost.XGBClassifier(**XGB, enable_categorical=True), id="xgboost"),
    pytest.param(lightgbm.LGBMClassifier(**LGBM, min_child_samples=1, min_data_per_group=1), id="lightgbm"),
]


@pytest.mark.parametrize("estimator", WITH_CATEGORIES)
async def test_missing_values_and_categories_by_their_number_are_answered_as_by_the_library(
    tmp_path, estimator, loaded_app, client_of
):
    write_payments(tmp_path, estimator, COLUMNS)
    numbers = {country: number for number, country in enumerate(COUNTRIES)}
    rows = [
        {"amount": None if math.isnan(amount) else amount, "country": numbers.get(country)}
        for amount, country in PAYMENTS[:30].itertuples(index=False)
    ]

    async with client_of(loaded_app(tmp_path)) as client:
        answer = (await client.post("/predict", json=rows)).json()

    expected = estimator.predict_proba(PAYMENTS[:30])
    without = estimator.predict_proba(PAYMENTS[:30].fillna({"amount": 1.0, "country": "FI"}))
    assert not np.allclose(expected, without)  # what is missing matters
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-7)
    assert answer["label"] == estimator.predict(PAYMENTS[:30]).tolist()


@pytest.mark.parametrize("estimator", WITH_CATEGORIES)
def test_categories_by_their_names_are_refused_with_what_is_served(tmp_path, estimator, loaded_app):
    write_payments(tmp_path, estimator, [COLUMNS[0], {"name": "country", "dtype": "string"}])

    with pytest.raises(
        ModelError, match=r"'payments' has strings beside numbers.*; a category is served by its number"
    ):
        loaded_app(tmp_path)
