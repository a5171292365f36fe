"""What a loaded model is like, found by calling it: how quick, and whether rows gain by sharing a call.

Sharing is right only where no row's answer depends on its neighbours, so that is tried as well.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from so1s_runtime.batching import merge, split
from so1s_runtime.loaders import loader
from so1s_runtime.model import Model, warm_up_inputs
from so1s_runtime.pace import QUICK_SECONDS

_TRIED_ROWS = 8

# Eight rows in half the time of eight calls.
_PAYS_BELOW = 0.5

# Sums in another order differ in the last digits.
_TOLERANCE = 1e-4

# Trying takes about four calls of one row, and a start should not wait for a slow model's.
_LONGEST_CALL_SECONDS = 0.5

Arrays = Mapping[str, np.ndarray]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """`steady` is what the loader says; `seconds` is a call's time; `alone` is why calls are not shared.

    `alone` is empty where they are. A quick model has no use for that.
    """

    steady: bool
    seconds: float
    alone: str


def attempt(model: Model, directory: Path, clock: Clock = time.perf_counter) -> Trial:
    """Try a model with its sample, or a blank row; `clock` tells seconds. Raises what the model does."""
    sample = warm_up_inputs(model.manifest, directory)
    if sample is None:
        return Trial(steady=False, seconds=0.0, alone="no sample came with the model, and zeros mean nothing")
    seconds, _ = _timed(model, sample, clock)
    steady = loader(model.manifest.format).STEADY
    return Trial(steady, seconds, _without_rows(model) or _in_vain(model, sample, clock))


def _without_rows(model: Model) -> str:
    """Which inputs and outputs keep calls from being shared, as their first axis has a fixed length."""
    signature = model.manifest.signature
    named = [spec.name for spec in (*signature.inputs, *signature.outputs) if not spec.has_batch_axis]
    return f"the first axis of {', '.join(named)} is not -1" if named else ""


def _in_vain(model: Model, sample: Arrays, clock: Clock) -> str:
    """Why rows do not gain by sharing a call; empty where they do."""
    row = {name: array[:1] for name, array in sample.items()}
    other = {name: np.full_like(array, _BLANKS.get(array.dtype.kind, 0)) for name, array in row.items()}
    try:
        seconds, alone = _timed(model, row, clock)
        if seconds <= QUICK_SECONDS:
            return f"a call takes {QUICK_SECONDS * 1000:g} ms or less"
        if seconds >= _LONGEST_CALL_SECONDS:
            return f"a call takes {_LONGEST_CALL_SECONDS:g} s or more, too long to try"
        expected = [alone, _timed(model, other, clock)[1]]
        rows = merge([row, other] * (_TRIED_ROWS // 2))
        together_seconds, together = _timed(model, rows, clock)
    except Exception:  # noqa: BLE001 - one row, or a blank one, may be no input that the model knows
        return "a single row, or a blank one, is no input that the model takes"
    try:
        parts = split(together, [1] * _TRIED_ROWS)
    except ValueError:
        return "the answer has not one row for each row asked"
    if not all(_are_close(part, expected[index % 2]) for index, part in enumerate(parts)):
        return "rows change each other's answers"
    gains = together_seconds < _PAYS_BELOW * _TRIED_ROWS * seconds
    return (
        "" if gains else f"{_TRIED_ROWS} rows in a call take more than half the time of {_TRIED_ROWS} calls"
    )


_BLANKS = {"O": ""}


def _timed(model: Model, inputs: Arrays, clock: Clock) -> tuple[float, list[np.ndarray]]:
    started = clock()
    answer = model.run(dict(inputs), model.manifest.signature.outputs)
    return clock() - started, answer


def _are_close(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    return all(
        np.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
        if one.dtype.kind == "f"
        else np.array_equal(one, other)
        for one, other in zip(some, others, strict=True)
    )
