"""Compiled models answer as their libraries do, whatever these were trained with."""

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from so1s_compiler.agreement import TREES
from so1s_compiler.compile import compiled
from so1s_runtime.loaders import loader
from so1s_runtime.manifest import read
from tests.compiler.conftest import saved

ROWS = np.random.default_rng(7).normal(size=(120, 4))
TWO = (ROWS[:, 0] > 0).astype(int)
THREE = TWO + (ROWS[:, 1] > 1)
NUMBER = ROWS[:, 0] * 3 + ROWS[:, 1] ** 2
POSITIVE = np.abs(NUMBER) + 0.1
BOTH = np.stack([NUMBER, POSITIVE], axis=1)

XGB = {"n_estimators": 5, "max_depth": 3, "n_jobs": 1}
HIST = {"max_iter": 5, "min_samples_leaf": 5}
LGBM = {"n_estimators": 5, "verbose": -1, "n_jobs": 1}

XGBOOST = {
    **{
        objective: (xgboost.XGBClassifier(objective=objective, **XGB), target)
        for objective, target in {
            "binary:logistic": TWO,
            "binary:logitraw": TWO,
            "binary:hinge": TWO,
            "multi:softprob": THREE,
            "multi:softmax": THREE,
        }.items()
    },
    **{
        objective: (xgboost.XGBRegressor(objective=objective, **XGB), POSITIVE)
        for objective in (
            "reg:squarederror",
            "reg:absoluteerror",
            "reg:gamma",
            "count:poisson",
            "reg:tweedie",
        )
    },
    "reg:logistic": (xgboost.XGBRegressor(objective="reg:logistic", **XGB), TWO),
    "dart": (xgboost.XGBClassifier(booster="dart", rate_drop=0.5, **XGB), THREE),
    "gblinear": (xgboost.XGBClassifier(booster="gblinear", n_estimators=5), THREE),
    "parallel trees": (xgboost.XGBClassifier(num_parallel_tree=3, **XGB), THREE),
    "base score": (xgboost.XGBClassifier(base_score=0.2, **XGB), TWO),
    "two targets": (xgboost.XGBRegressor(**XGB), BOTH),
    "one leaf": (xgboost.XGBClassifier(gamma=1e9, **XGB), TWO),
}
LIGHTGBM = {
    "binary": (lightgbm.LGBMClassifier(**LGBM), TWO),
    "sigmoid": (lightgbm.LGBMClassifier(sigmoid=2.0, **LGBM), TWO),
    "multiclass": (lightgbm.LGBMClassifier(**LGBM), THREE),
    "multiclassova": (lightgbm.LGBMClassifier(objective="multiclassova", **LGBM), THREE),
    "random forest": (
        lightgbm.LGBMClassifier(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5, **LGBM),
        THREE,
    ),
    "square root": (lightgbm.LGBMRegressor(reg_sqrt=True, **LGBM), NUMBER),
    **{
        objective: (lightgbm.LGBMRegressor(objective=objective, **LGBM), POSITIVE)
        for objective in ("regression", "quantile", "poisson", "gamma", "tweedie")
    },
    "cross entropy": (lightgbm.LGBMRegressor(objective="cross_entropy", **LGBM), TWO),
}
SCALED = ColumnTransformer([("scaled", StandardScaler(), [0, 1])], remainder="passthrough")
SKLEARN = {
    "linear": (LogisticRegression(), THREE),
    "words": (LogisticRegression(), np.array(["low", "middle", "high"])[THREE]),
    "regression": (Ridge(), NUMBER),
    "two targets": (Ridge(), BOTH),
    "forest": (RandomForestClassifier(5, random_state=7), THREE),
    "boosted": (GradientBoostingRegressor(n_estimators=5), NUMBER),
    "histograms": (HistGradientBoostingClassifier(**HIST), TWO),
    "histograms of words": (
        HistGradientBoostingClassifier(**HIST),
        np.array(["low", "middle", "high"])[THREE],
    ),
    **{
        f"histograms, {loss}": (HistGradientBoostingRegressor(loss=loss, quantile=0.3, **HIST), POSITIVE)
        for loss in ("squared_error", "absolute_error", "quantile", "poisson", "gamma")
    },
    "scaled histograms": (make_pipeline(StandardScaler(), HistGradientBoostingClassifier(**HIST)), THREE),
    "neighbours": (KNeighborsClassifier(3), THREE),
    "vectors": (SVC(), THREE),
    "network": (MLPClassifier([8], max_iter=20, random_state=7), THREE),
    "outliers": (IsolationForest(n_estimators=2, max_samples=32, random_state=7), None),
    "scaled": (make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression()), THREE),
    "scaled forest": (make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=7)), THREE),
    "some scaled": (make_pipeline(SCALED, LogisticRegression()), THREE),
}
ALL = {"xgboost": XGBOOST, "lightgbm": LIGHTGBM, "sklearn": SKLEARN}
NAMES = [(library, name) for library, models in ALL.items() for name in models]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Attribute .prob._. was deprecated:FutureWarning")  # skl2onnx reads it
@pytest.mark.parametrize(("library", "name"), NAMES, ids=["-".join(each) for each in NAMES])
def test_a_compiled_model_is_its_library_to_callers(directory, library, name):
    estimator, target = ALL[library][name]
    saved(directory, estimator.fit(ROWS, target), sample=ROWS[:3])

    data, found = compiled(directory)

    (directory / "model.onnx").write_bytes(data)
    assert loader("onnx").inspect(directory / "model.onnx") == read(directory).signature
    assert found.sample_rows == 3
    assert found.rows > 300


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 6), st.integers(2, 4)),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    library=st.sampled_from(["xgboost", "lightgbm", "sklearn", "histograms"]),
)
def test_trees_of_any_data_agree_at_their_very_splits(tmp_path_factory, seed, shape, scale, library):
    features, classes = shape
    random = np.random.default_rng(seed)
    rows = random.normal(size=(60, features)) * scale
    target = np.arange(60) % classes
    estimator = {
        "xgboost": xgboost.XGBClassifier(**XGB),
        "lightgbm": lightgbm.LGBMClassifier(min_child_samples=2, **LGBM),
        "sklearn": RandomForestClassifier(3, random_state=7, max_depth=4),
        "histograms": HistGradientBoostingClassifier(**HIST),
    }[library]

    found = compiled(saved(tmp_path_factory.mktemp("any") / "model", estimator.fit(rows, target)))[1]

    assert found.difference <= TREES.tolerance


def test_the_trees_after_the_best_one_are_left_out_as_the_server_does(directory):
    estimator = xgboost.XGBRegressor(n_estimators=50, learning_rate=1.0, early_stopping_rounds=2, n_jobs=1)
    noise = np.random.default_rng(3).normal(size=len(ROWS))
    estimator.fit(ROWS[:60], noise[:60], eval_set=[(ROWS[60:], noise[60:])], verbose=False)
    assert estimator.best_iteration + 1 < estimator.get_booster().num_boosted_rounds()

    compiled(saved(directory, estimator))
