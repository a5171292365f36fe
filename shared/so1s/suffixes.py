"""What files that hold a whole model are called; the builder tells their formats by content alone."""

from __future__ import annotations

from collections.abc import Mapping

from so1s.events.model import Format

FORMATS: Mapping[str, Format] = {
    ".onnx": "onnx",
    ".skops": "skops",
    ".ubj": "xgboost",
    ".keras": "keras",
    ".pt2": "torch",
    ".json": "xgboost",
    ".txt": "lightgbm",
    ".pt": "torchscript",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "pickle",
}
"""What such a file is if it is a model; the other formats are directories."""
ARCHIVES = (".tar.gz", ".tgz", ".tar.zst", ".tar", ".zip")
