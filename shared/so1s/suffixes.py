"""What files that hold a whole model are called; the builder tells their formats by content alone."""

from __future__ import annotations

from collections.abc import Mapping

from so1s.events.model import Format

TELLING: Mapping[str, Format] = {
    ".onnx": "onnx",
    ".skops": "skops",
    ".ubj": "xgboost",
    ".keras": "keras",
    ".pt2": "torch",
}
"""Suffixes that no file of another kind has."""
FORMATS: Mapping[str, Format] = {
    **TELLING,
    ".json": "xgboost",
    ".txt": "lightgbm",
    ".pt": "torchscript",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "pickle",
}
"""All suffixes, with what such a file is if it is a model; the other formats are directories."""
ARCHIVES = (".tar.gz", ".tgz", ".tar.zst", ".tar", ".zip")
