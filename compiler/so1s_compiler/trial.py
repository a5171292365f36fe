"""Holds a compiled model against its library, on the sample and on rows that are made up."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from onnx import ModelProto

from so1s_compiler.agreement import Difference, largest_difference
from so1s_compiler.errors import CannotCompile
from so1s_compiler.rows import Splits, made_up, splits_of
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import loader
from so1s_runtime.model import Model, warm_up_inputs

_ALONE = 8
"""Rows that are asked for one by one, too: a library may go another way for one row."""
_SHOWN_VALUES = 8


class Disagreement(CannotCompile):
    """The compiled model answers otherwise."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both were asked, and how near the answers are."""

    rows: int
    sample_rows: int
    difference: Difference


def hold(onnx: ModelProto, path: Path, library: Model, directory: Path) -> Agreement:
    """Ask both models the same.

    Args:
        onnx: the compiled model.
        path: its file.
        library: the model that it was compiled from.
        directory: that one's, with its sample.

    Raises:
        Disagreement: an answer differs by more than is allowed.
        ModelError: one of them gives no answer.
    """
    manifest = replace(library.manifest, format="onnx", file=path.name)
    compiled = Model(manifest, loader("onnx").load(path, threads=1))
    sample = _sample(library, directory)
    batches = list(_batches(library, sample, splits_of(onnx)))
    found = [(rows, _difference(library, compiled, rows)) for rows in batches]
    rows, worst = max(found, key=lambda each: each[1].share)
    if worst.is_too_large:
        raise Disagreement(_told(rows, worst, is_sample=rows is sample))
    return Agreement(sum(map(len, batches)), 0 if sample is None else len(sample), worst)


def _sample(library: Model, directory: Path) -> np.ndarray | None:
    if library.manifest.sample is None:
        return None
    inputs = warm_up_inputs(library.manifest, directory)
    return next(iter(inputs.values())) if inputs else None


def _batches(library: Model, sample: np.ndarray | None, splits: Splits) -> Iterator[np.ndarray]:
    """The sample, and rows that are made up; one of them at least."""
    if sample is not None:
        yield sample
    (spec,) = library.manifest.signature.inputs
    rows = made_up(spec, sample, splits)
    problem = "rows of strings cannot be made up"
    if rows is not None:
        try:
            _answer(library, rows)
        except Exception as error:  # noqa: BLE001 - any library's: not each model takes any number
            problem = f"the model refuses rows that are made up: {error}"
        else:
            yield rows
            return
    if sample is None:
        raise CannotCompile(
            f"nothing to compare the compiled model with: {problem}. Add a `sample` to so1s.yaml"
        )


def _difference(library: Model, compiled: Model, rows: np.ndarray) -> Difference:
    expected = _answer(library, rows)
    worst = largest_difference(expected, _answer_of_onnx(compiled, rows))
    if not library.manifest.signature.inputs[0].has_batch_axis:
        return worst
    single = [
        _answer_of_onnx(compiled, rows[number : number + 1]) for number in range(min(_ALONE, len(rows)))
    ]
    alone = {name: np.concatenate([each[name] for each in single]) for name in expected}
    first = {name: array[: len(single)] for name, array in expected.items()}
    return max(worst, largest_difference(first, alone), key=lambda each: each.share)


def _answer_of_onnx(model: Model, rows: np.ndarray) -> dict[str, np.ndarray]:
    try:
        return _answer(model, rows)
    except ModelError:
        raise
    except Exception as error:  # onnxruntime raises a dozen types without a common parent
        raise CannotCompile(f"the compiled model does not run: {error}") from error


def _answer(model: Model, rows: np.ndarray) -> dict[str, np.ndarray]:
    signature = model.manifest.signature
    values = model.run({signature.inputs[0].name: rows}, signature.outputs)
    return {spec.name: value for spec, value in zip(signature.outputs, values, strict=True)}


def _told(rows: np.ndarray, worst: Difference, *, is_sample: bool) -> str:
    row = rows[worst.position[0]] if worst.position else rows
    values = ", ".join(map(str, row.ravel()[:_SHOWN_VALUES]))
    more = ", …" if row.size > _SHOWN_VALUES else ""
    off = (
        f"off by {worst.size:.3g}, {worst.allowed:.3g} is allowed"
        if np.isfinite(worst.size)
        else "it must be equal"
    )
    origin = "the sample" if is_sample else "a row that was made up"
    return (
        f"the compiled model answers otherwise than its library: {worst.place} is {worst.compiled}, "
        f"not {worst.library} ({off}), for {origin}, [{values}{more}]"
    )
