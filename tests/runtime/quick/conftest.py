"""A model that is known to be quick, behind callers who ask at once."""

import math

import pytest

from so1s_runtime.app import App
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Manifest, Signature, TensorSpec
from so1s_runtime.model import Model
from so1s_runtime.settings import Settings
from tests.runtime.running import LONG_SECONDS

X = TensorSpec("x", DTYPES["float64"], (-1, 2))
Y = TensorSpec("y", DTYPES["float64"], (-1,))
MANIFEST = Manifest(name="iris", version="3", format="onnx", file="m", signature=Signature((X,), (Y,)))


def double(inputs, _outputs):
    if (inputs["x"] < 0).any():
        raise ValueError("below zero")
    return [inputs["x"][:, 0] * 2]


@pytest.fixture
def app(tmp_path, monkeypatch) -> App:
    """Its model is known to be quick, and stays so on a machine that is slow for a moment."""
    monkeypatch.setattr("so1s_runtime.pace.QUICK_SECONDS", LONG_SECONDS)
    app = App(Settings(model_dir=tmp_path, port=1), MANIFEST)
    app.model = Model(MANIFEST, double)
    app.worker.pace.steady = True
    for _ in range(16):
        app.worker.pace.see_work(0.0001)
    return app


@pytest.fixture
def busy(monkeypatch):
    """A turn of the loop is long enough for all that wait, on any machine."""
    monkeypatch.setattr("so1s_runtime.quick._TURN_SECONDS", math.inf)
