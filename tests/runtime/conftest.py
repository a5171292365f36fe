"""Real models, trained once, in the directories that a builder would make of them."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
import skops.io
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from so1s_runtime import model as models
from so1s_runtime.app import App
from so1s_runtime.iotypes.types import types_of
from so1s_runtime.loaders import loader
from so1s_runtime.manifest import Manifest, parse, read
from so1s_runtime.settings import Settings

LoadedApp = Callable[..., App]


class Served(NamedTuple):
    """A model directory and the estimator that it was made of."""

    directory: Path
    estimator: BaseEstimator


def write_manifest(directory: Path, model_format: str, file: str, **fields) -> Manifest:
    signature = loader(model_format).inspect(directory / file)
    fields = {"name": "iris", "version": "3", "signature": signature} | fields
    manifest = Manifest(format=model_format, file=file, **fields)
    (directory / "model.json").write_bytes(manifest.to_json())
    return manifest


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    return load_iris().data.astype(np.float32)


@pytest.fixture(scope="session")
def forest(rows) -> RandomForestClassifier:
    return RandomForestClassifier(10, random_state=0, n_jobs=-1).fit(rows, load_iris().target)


@pytest.fixture(scope="session")
def skops_model(tmp_path_factory, forest) -> Served:
    directory = tmp_path_factory.mktemp("skops")
    skops.io.dump(forest, directory / "model.skops")
    write_manifest(directory, "skops", "model.skops")
    return Served(directory, forest)


@pytest.fixture(scope="session")
def onnx_model(tmp_path_factory, forest, rows) -> Served:
    directory = tmp_path_factory.mktemp("onnx")
    model = to_onnx(forest, rows[:1], options={"zipmap": False})
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    write_manifest(directory, "onnx", "model.onnx")
    return Served(directory, forest)


@pytest.fixture(params=["skops", "onnx"])
def served(request) -> Served:
    """Each of the two formats."""
    return request.getfixturevalue(f"{request.param}_model")


@pytest.fixture
def own_copy(skops_model, tmp_path) -> Path:
    """A model directory that a test may break."""
    return Path(shutil.copytree(skops_model.directory, tmp_path / "model"))


@pytest.fixture
def loaded_app() -> LoadedApp:
    """Makes an app that has loaded the model of a directory."""

    def make(directory: Path, **settings) -> App:
        app = App(Settings(model_dir=directory, port=1, **settings), read(directory))
        app.model = models.load(app.manifest, directory, threads=1)
        return app

    return make


@pytest.fixture(name="write_manifest", scope="session")
def write_manifest_fixture() -> Callable[..., Manifest]:
    return write_manifest


@pytest.fixture(name="client_of")
def client_of_fixture() -> Callable[[App], httpx.AsyncClient]:
    return client_of


def client_of(app: App) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://runtime")


@pytest.fixture
async def client(served, loaded_app) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(loaded_app(served.directory)) as client:
        yield client


@pytest.fixture(name="app_around", scope="session")
def app_around_fixture() -> Callable[..., App]:
    return app_around


def app_around(
    run: Callable, inputs: list[dict], outputs: list[dict], *, pandas: bool = True, **settings
) -> App:
    """An app whose model is a function from values by name to the values of the outputs, in order."""
    fields = {"schema": "so1s-model/v1", "name": "iris", "version": "3", "format": "onnx", "file": "m"}
    manifest = parse(json.dumps(fields | {"inputs": inputs, "outputs": outputs}).encode())
    assert manifest.declared is not None

    def predictor(values, wanted):
        answer = dict(zip([each["name"] for each in outputs], run(**values), strict=True))
        return [answer[name] for name in wanted]

    app = App(Settings(model_dir=Path("/"), port=1, **settings), manifest)
    app.model = models.Model(manifest, types_of(manifest.declared).around(predictor, pandas=pandas))
    return app
