"""Fitted models, in the directories that a builder would make of them."""

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import skops.io
import xgboost

from so1s_runtime.loaders import loader
from so1s_runtime.manifest import Manifest, Signature


def saved(directory: Path, estimator: Any, *, sample: Any = None, signature: Signature | None = None) -> Path:
    """Write a model and its manifest to a new directory."""
    directory.mkdir()
    model_format, file = _written(directory, estimator)
    if sample is not None:
        (directory / "sample.json").write_text(json.dumps({"x": np.asarray(sample).tolist()}))
    manifest = Manifest(
        name="fraud",
        version="3",
        format=model_format,
        file=file,
        signature=signature or loader(model_format).inspect(directory / file),
        sample=None if sample is None else "sample.json",
    )
    (directory / "model.json").write_bytes(manifest.to_json())
    return directory


def _written(directory: Path, estimator: Any) -> tuple[str, str]:
    if isinstance(estimator, lightgbm.LGBMModel):
        estimator = estimator.booster_
    if isinstance(estimator, lightgbm.Booster):
        estimator.save_model(directory / "model.txt")
        return "lightgbm", "model.txt"
    if isinstance(estimator, xgboost.XGBModel | xgboost.Booster):
        estimator.save_model(directory / "model.ubj")
        return "xgboost", "model.ubj"
    skops.io.dump(estimator, directory / "model.skops")
    return "skops", "model.skops"


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "model"
