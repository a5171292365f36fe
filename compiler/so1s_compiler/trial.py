"""Holds a compiled model against its library, on the sample and on rows that are made up."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from onnx import ModelProto

from so1s_compiler.agreement import Allowance, Difference, largest_difference
from so1s_compiler.errors import CannotCompile, first_line
from so1s_compiler.rows import Rows, Splits, made_up, splits_of
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import loader
from so1s_runtime.manifest import Manifest
from so1s_runtime.model import Model, warm_up_inputs

_ALONE = 8
"""Rows that are asked for one by one, too: a library may go another way for one row."""
_SHOWN_VALUES = 8
_STRETCHES = (1, 2)
"""How long axes of any length are tried, besides the rows."""


class Disagreement(CannotCompile):
    """The compiled model answers otherwise."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both were asked, and how near the answers are."""

    rows: int
    sample_rows: int
    difference: Difference


def hold(onnx: ModelProto, path: Path, library: Model, directory: Path, allowance: Allowance) -> Agreement:
    """Ask both models the same.

    Args:
        onnx: the compiled model.
        path: its file.
        library: the model that it was compiled from.
        directory: that one's, with its sample.
        allowance: by how much they may differ.

    Raises:
        Disagreement: an answer differs by more than is allowed.
        ModelError: one of them gives no answer.
    """
    compiled = _loaded(library.manifest, path)
    sample = _sample(library, directory)
    batches = list(_batches(library, sample, splits_of(onnx)))
    found = [(rows, _difference(library, compiled, rows, allowance)) for rows in batches]
    rows, worst = max(found, key=lambda each: each[1].share)
    if worst.is_too_large:
        raise Disagreement(_told(rows, worst, is_sample=rows is sample))
    return Agreement(sum(map(_count, batches)), 0 if sample is None else _count(sample), worst)


def _loaded(manifest: Manifest, path: Path) -> Model:
    try:
        return Model(replace(manifest, format="onnx", file=path.name), loader("onnx").load(path, threads=1))
    except ModelError as error:  # such as an operator that onnxruntime does not have for a type
        raise CannotCompile(f"the compiled model does not run: {error}") from error


def _sample(library: Model, directory: Path) -> Rows | None:
    return None if library.manifest.sample is None else warm_up_inputs(library.manifest, directory)


def _count(rows: Rows) -> int:
    """Of rows; what has no axis counts as one."""
    first = next(iter(rows.values()))
    return len(first) if first.ndim else 1


def _batches(library: Model, sample: Rows | None, splits: Splits) -> Iterator[Rows]:
    """The sample, and rows that are made up; one of them at least."""
    if sample is not None:
        yield sample
    specs = library.manifest.signature.inputs
    problem = "rows of strings cannot be made up"
    has_made_up = False
    for stretch in _STRETCHES if any(-1 in spec.shape[1:] for spec in specs) else _STRETCHES[:1]:
        rows = made_up(specs, sample, splits, stretch)
        try:
            if rows is not None:
                _answer(library, rows)
        except Exception as error:  # noqa: BLE001 - any library's: not each model takes any number
            problem = f"the model refuses rows that are made up: {first_line(error)}"
        else:
            if rows is not None:
                has_made_up = True
                yield rows
    if sample is None and not has_made_up:
        raise CannotCompile(
            f"nothing to compare the compiled model with: {problem}. Add a `sample` to so1s.yaml"
        )


def _difference(library: Model, compiled: Model, rows: Rows, allowance: Allowance) -> Difference:
    worst = largest_difference(_answer(library, rows), _answer_of_onnx(compiled, rows), allowance)
    signature = library.manifest.signature
    if not all(spec.has_batch_axis for spec in (*signature.inputs, *signature.outputs)):
        return worst
    alone = [{name: array[at : at + 1] for name, array in rows.items()} for at in range(_count(rows))][
        :_ALONE
    ]
    first = _joined(_answer_alone(library, each) for each in alone)
    second = _joined(_answer_of_onnx(compiled, each) for each in alone)
    return max(worst, largest_difference(first, second, allowance), key=lambda each: each.share)


def _joined(answers: Iterable[Rows]) -> Rows:
    found = list(answers)
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _answer_of_onnx(model: Model, rows: Rows) -> Rows:
    try:
        return _answer(model, rows)
    except ModelError:
        raise
    except Exception as error:  # onnxruntime raises a dozen types without a common parent
        raise CannotCompile(f"the compiled model does not run: {error}") from error


def _answer_alone(library: Model, row: Rows) -> Rows:
    try:
        return _answer(library, row)
    except Exception as error:  # any library's
        problem = f"the model answers several rows, but not one alone: {first_line(error)}"
        raise CannotCompile(problem) from error


def _answer(model: Model, rows: Rows) -> Rows:
    signature = model.manifest.signature
    values = model.run(dict(rows), signature.outputs)
    return {spec.name: value for spec, value in zip(signature.outputs, values, strict=True)}


def _told(rows: Rows, worst: Difference, *, is_sample: bool) -> str:
    off = (
        f"off by {worst.size:.3g}, {worst.allowed:.3g} is allowed"
        if np.isfinite(worst.size)
        else "it must be equal"
    )
    origin = "the sample" if is_sample else "a row that was made up"
    shown = ", ".join(_shown(array, worst.position) for array in rows.values())
    return (
        f"the compiled model answers otherwise than its library: {worst.place} is {worst.compiled}, "
        f"not {worst.library} ({off}), for {origin}, {shown}"
    )


def _shown(array: np.ndarray, position: tuple[int, ...]) -> str:
    """The first values of the row of a position, or of all where it has none there."""
    row = array[position[0]] if array.ndim and position and position[0] < len(array) else array
    more = ", …" if row.size > _SHOWN_VALUES else ""
    return f"[{', '.join(map(str, row.ravel()[:_SHOWN_VALUES]))}{more}]"
