"""Models compiled to ONNX beside the same models on their own library: their images and their servers."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import skops.io
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from so1s.events import ImageBuilt
from so1s.events.model import Optimization
from tests.load.bench import runtime, servers
from tests.load.bench.figure import Figure
from tests.served_images import blob, build_of, settings_in, unpacked, uploaded

_TREES = {"n_estimators": 100, "max_depth": 6, "random_state": 7}


@dataclass(frozen=True)
class _Served:
    """An image, and its model's directory as it has that."""

    megabytes: float
    model: Path


async def measure(directory: Path) -> list[Figure]:
    data = load_breast_cancer()
    forest = RandomForestClassifier(**_TREES).fit(data.data, data.target)
    boosted = xgboost.XGBClassifier(**_TREES, n_jobs=1).fit(data.data, data.target)
    return [
        *await _beside(directory, "forest", "scikit-learn", "skops", skops.io.dumps(forest)),
        *await _beside(
            directory, "boosted trees", "XGBoost", "ubj", bytes(boosted.get_booster().save_raw("ubj"))
        ),
    ]


async def _beside(directory: Path, name: str, library: str, suffix: str, data: bytes) -> list[Figure]:
    build = partial(_built, directory / suffix, f"model.{suffix}", data)
    compiled, plain = await build("onnx"), await build("none")
    with ExitStack() as running:
        ours, theirs = (running.enter_context(servers.ours(each.model)) for each in (compiled, plain))
        figures = await runtime.beside(library, ours, theirs, servers.body(), f"{name}:")
    return [Figure(f"image of {name}", "MB", compiled.megabytes, library, plain.megabytes), *figures]


async def _built(directory: Path, file: str, data: bytes, optimize: Optimization) -> _Served:
    """What a builder of its own makes: one knows an upload that it has seen."""
    place = directory / optimize
    event = uploaded(place, file, data, "trees").model_copy(update={"optimize": optimize})
    built = (await build_of(settings_in(place), event))[-1]
    assert isinstance(built, ImageBuilt), built
    unpacked(place / "images", built.image.digest, place / "root")
    layers = json.loads(blob(place / "images", built.image.digest))["layers"]
    return _Served(sum(each["size"] for each in layers) / 1e6, place / "root/opt/so1s/model")
