"""A loaded model: checked arrays in, declared arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from so1s_runtime import plain
from so1s_runtime.errors import AuthorError, ModelError, RequestError
from so1s_runtime.iotypes import bodies, media
from so1s_runtime.iotypes.codec import zeros
from so1s_runtime.iotypes.types import check_served, types_of
from so1s_runtime.loaders import Predictor, loader, takes
from so1s_runtime.manifest import Manifest, TensorSpec
from so1s_runtime.tensors import conform


@dataclass(frozen=True, slots=True)
class Model:
    """One version, ready to run; `run` may be called from several threads at once."""

    manifest: Manifest
    predictor: Predictor

    def run(self, inputs: dict[str, np.ndarray], outputs: Sequence[TensorSpec]) -> list[np.ndarray]:
        """The wanted outputs for checked inputs. Raises ModelError if the model breaks its manifest."""
        values = self.predictor(inputs, [spec.name for spec in outputs])
        return [conform(spec, value) for spec, value in zip(outputs, values, strict=True)]


def load(manifest: Manifest, directory: Path, threads: int) -> Model:
    """Load the model that a manifest names in its directory, and call it once.

    Thus the first request is as fast as the next. The call uses the sample
    that came with the model, or else a row of zeros. Raises ModelError.
    """
    path = directory / manifest.file
    if not path.exists():
        raise ModelError(f"the manifest names {manifest.file!r}, which is not in {directory}")
    model = Model(manifest, _predictor(manifest, path, threads))
    _warm_up(model, directory)
    return model


def _predictor(manifest: Manifest, path: Path, threads: int) -> Predictor:
    """From tensors to tensors, whatever the model's code takes. Raises ModelError."""
    found = loader(manifest.format)
    if manifest.declared is None:
        return found.load(path, threads)
    taken = takes(manifest.format)
    check_served(manifest.declared, values=taken.values, pandas=taken.pandas)
    return types_of(manifest.declared).around(found.load(path, threads), pandas=taken.pandas)


_MUST_DECLARE = ("python", "torchscript")
"""Formats that never tell what goes in, so that `inputs` was written by hand and may be what is wrong."""
_MEND = "mend the model, or what so1s.yaml declares as `inputs` and `outputs`"
_NAME_A_SAMPLE = "; name one as `sample` in so1s.yaml"
_MEND_INPUTS = "; mend `inputs` in so1s.yaml, or, where they are right, name a `sample` there that it takes"


def _warm_up(model: Model, directory: Path) -> None:
    manifest = model.manifest
    source = manifest.sample or "a row of zeros, as no sample came with the model"
    way = _way(manifest)
    inputs = _first_inputs(manifest, directory, source, way)
    if inputs is None:
        return
    try:
        model.run(inputs, manifest.signature.outputs)
    except ModelError as error:  # another body would be answered in the same way
        raise ModelError(f"the warm-up call with {source} failed: {error}; {_MEND}") from error
    except RequestError as error:
        raise ModelError(f"the warm-up call with {source} was refused: {error}{way}") from error
    except AuthorError as error:
        raise ModelError(f"the warm-up call with {source} raised {error}{way}") from error
    except Exception as error:  # a library's error of any type
        message = f"the warm-up call with {source} failed: {type(error).__name__}: {error}{way}"
        raise ModelError(message) from error


def _way(manifest: Manifest) -> str:
    """What helps where the warm-up call fails; nothing beyond its reason where a sample is named."""
    if manifest.sample:
        return ""
    return _MEND_INPUTS if manifest.format in _MUST_DECLARE else _NAME_A_SAMPLE


def _first_inputs(manifest: Manifest, directory: Path, source: str, way: str) -> dict[str, np.ndarray] | None:
    """Those of the warm-up call. Raises ModelError, whatever keeps them from being made."""
    try:
        return warm_up_inputs(manifest, directory)
    except ModelError:
        raise
    except RequestError as error:
        raise ModelError(f"{source} does not fit the manifest: {error}") from error
    except Exception as error:  # such as a shape that no memory holds
        message = f"the warm-up call with {source} could not be made: {type(error).__name__}: {error}{way}"
        raise ModelError(message) from error


def warm_up_inputs(manifest: Manifest, directory: Path) -> dict[str, np.ndarray] | None:
    """The sample that came with a model, or else a row of zeros. Raises ModelError, or RequestError.

    None where there is no sample and zeros would mean nothing, as of a file.
    """
    if manifest.sample is None:
        return _blank(manifest)
    try:
        body = (directory / manifest.sample).read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {manifest.sample}: {error.strerror}") from error
    if manifest.declared is None:
        return plain.decode(body, manifest.signature)
    return bodies.decode(types_of(manifest.declared), media.of_file(manifest.sample), body)


def _blank(manifest: Manifest) -> dict[str, np.ndarray] | None:
    if manifest.declared is None:
        return {spec.name: zeros(spec) for spec in manifest.signature.inputs}
    blank = types_of(manifest.declared).blank()
    return None if blank is None else dict(blank)
