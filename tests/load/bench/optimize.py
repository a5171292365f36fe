"""Models compiled to ONNX beside the same models on their own library: their images and their servers."""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import skops.io
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from so1s.events import ImageBuilt, ModelUploaded
from so1s.events.model import Format, Optimization
from tests.load.bench import runtime, servers
from tests.load.bench.figure import Figure
from tests.models.libraries import libraries_of
from tests.served_images import blob, build_of, settings_in, unpacked, uploaded

_TREES = {"n_estimators": 100, "max_depth": 6, "random_state": 7}
_NETWORK = Path(__file__).parents[1] / "network.py"
_NETWORKS: tuple[tuple[str, Format, str, int], ...] = (
    ("Keras", "keras", "model.keras", 16),
    ("PyTorch", "torch", "model.pt2", 32),
)
"""Library, format, file, and the GiB that the libraries take, all copies together."""
_BUILD_SECONDS = 900
_GIB = 2**30


@dataclass(frozen=True)
class _Compiled:
    """A model that is served compiled, and by its library."""

    name: str
    library: str
    file: str
    write: Callable[[Path], object]
    """Its file."""


@dataclass(frozen=True)
class _Image:
    """An image, unpacked, and its configuration."""

    megabytes: float
    config: dict
    root: Path


async def measure(directory: Path) -> list[Figure]:
    trees = [
        _Compiled("forest", "scikit-learn", "model.skops", _write_forest),
        _Compiled("boosted trees", "XGBoost", "model.ubj", _write_xgboost),
        _Compiled("boosted trees", "LightGBM", "model.txt", _write_lightgbm),
    ]
    figures = [figure for each in trees for figure in await _beside(directory, each)]
    for library, model_format, file, gib in _NETWORKS:
        if shutil.disk_usage(directory).free < gib * _GIB:
            figures.append(Figure("network", "requests/s", 0, f"{library} needs {gib} GiB of disk"))
            continue
        place = directory / model_format
        figures += await _beside(
            place, _Compiled("network", library, file, await _network(place, model_format))
        )
        shutil.rmtree(place)  # gigabytes of libraries, before the next ones come
    return figures


def _write_forest(file: Path) -> None:
    data = load_breast_cancer()
    skops.io.dump(RandomForestClassifier(**_TREES).fit(data.data, data.target), file)


def _write_xgboost(file: Path) -> None:
    data = load_breast_cancer()
    xgboost.XGBClassifier(**_TREES, n_jobs=1).fit(data.data, data.target).save_model(file)


def _write_lightgbm(file: Path) -> None:
    data = load_breast_cancer()
    made = lightgbm.LGBMClassifier(**_TREES, n_jobs=1, verbose=-1).fit(data.data, data.target)
    made.booster_.save_model(file)


async def _network(place: Path, model_format: Format) -> Callable[[Path], object]:
    """Writes a network on the libraries of its format, which the builder of a directory installs."""
    libraries = await libraries_of(place, model_format)
    return lambda file: libraries.run(_NETWORK, model_format, str(file))


async def _beside(directory: Path, model: _Compiled) -> list[Figure]:
    file = directory / model.file
    model.write(file)
    compiled, plain = [await _built(directory, file, optimize) for optimize in ("onnx", "none")]
    with ExitStack() as running:
        ours, theirs = (
            running.enter_context(servers.of_image(each.config, each.root)) for each in (compiled, plain)
        )
        figures = await runtime.beside(model.library, ours, theirs, servers.body(), f"{model.name}:")
    image = Figure(f"image of {model.name}", "MB", compiled.megabytes, model.library, plain.megabytes)
    return [image, *figures]


async def _built(directory: Path, file: Path, optimize: Optimization) -> _Image:
    name = f"{file.suffix.removeprefix('.')}-{optimize}"  # a builder knows a version that it has seen
    event = _upload(directory, file, name).model_copy(update={"optimize": optimize})
    built = (await build_of(settings_in(directory, inspect_seconds=_BUILD_SECONDS), event))[-1]
    assert isinstance(built, ImageBuilt), built
    images, root = directory / "images", directory / "roots" / name
    config = unpacked(images, built.image.digest, root)
    layers = json.loads(blob(images, built.image.digest))["layers"]
    return _Image(sum(each["size"] for each in layers) / 1e6, config, root)


def _upload(directory: Path, file: Path, name: str) -> ModelUploaded:
    return uploaded(directory, file.name, file.read_bytes(), name)
