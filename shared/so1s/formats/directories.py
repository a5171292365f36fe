"""Models that are directories, each known and named by the file that describes the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from so1s.events.model import Format
from so1s.formats.protobuf import BYTES, VARINT, top_level

# The fields of SavedModel by number: tensorflow/core/protobuf/saved_model.proto, Apache-2.0.
_SAVED_MODEL = {1: VARINT, 2: BYTES}  # saved_model_schema_version, meta_graphs


_LARGEST_CONFIGURATION_BYTES = 1024 * 1024
_WEIGHTS = {"model.safetensors", "model.safetensors.index.json"}
_TOKENIZERS = {"tokenizer.json", "tokenizer_config.json"}


class Marker(NamedTuple):
    """The file that makes a directory a model."""

    format: Format
    is_one: Callable[[IO[bytes], Collection[str]], bool]
    """By its content, and by the names of the files beside it."""


def recognise_directory(name: str, file: IO[bytes], beside: Collection[str]) -> Format | None:
    """The format of the directory that a file describes; its library asks for that very name."""
    marker = MARKERS.get(name)
    return marker.format if marker and marker.is_one(file, beside) else None


def is_saved_model(file: IO[bytes], _beside: Collection[str] = ()) -> bool:
    """Whether this is TensorFlow's SavedModel, whole, with at least one graph."""
    return top_level(file, _SAVED_MODEL) == _SAVED_MODEL.keys()


def is_transformers(file: IO[bytes], beside: Collection[str]) -> bool:
    """Whether this is the configuration of a model of texts, beside its safetensors and its tokenizer."""
    if _WEIGHTS.isdisjoint(beside) or _TOKENIZERS.isdisjoint(beside):
        return False
    file.seek(0)
    text = file.read(_LARGEST_CONFIGURATION_BYTES + 1)
    if len(text) > _LARGEST_CONFIGURATION_BYTES:
        return False
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(config, dict) and {"architectures", "model_type"} <= config.keys()


def marker_in(directory: str, known: Collection[str]) -> str | None:
    """The path of the file that makes `directory` a model, out of the paths of known models."""
    paths = (str(PurePosixPath(directory) / name) for name in MARKERS)
    return next((path for path in paths if path in known), None)


def outermost(models: Mapping[str, Format | None]) -> dict[str, Format | None]:
    """Without the files that lie in a directory which is a model: they are part of it."""
    markers = [PurePosixPath(path) for path, found in models.items() if found in FORMATS]

    def is_inside(path: PurePosixPath) -> bool:
        return any(path != marker and marker.parent in path.parents for marker in markers)

    return {path: found for path, found in models.items() if not is_inside(PurePosixPath(path))}


MARKERS: Mapping[str, Marker] = {
    "saved_model.pb": Marker("tensorflow", is_saved_model),
    "config.json": Marker("transformers", is_transformers),
}
FORMATS = frozenset(marker.format for marker in MARKERS.values())
