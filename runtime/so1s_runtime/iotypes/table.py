"""CSV as RFC 4180 has it, in UTF-8; pure."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from so1s_runtime.signature import TensorSpec

_BOOLS = {"true": True, "false": False}


def read(raw: bytes) -> tuple[list[str], list[list[str]]]:
    """The names of the first line, and the rows; empty lines are none. Raises ValueError."""
    text = raw.decode("utf-8-sig")
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [row for row in lines if row]
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num}: {error}") from error
    if not rows:
        raise ValueError("there is no line")
    return rows[0], rows[1:]


def value(column: TensorSpec, cell: str) -> Any:
    """What a cell says, for a column; an empty one says that it is missing. Raises ValueError."""
    if column.nullable and not cell:
        return None
    kind = column.dtype.numpy.kind
    if kind == "O":
        return cell
    if kind == "b":
        return _bool(cell)
    # Python reads 1_000 and digits of any script.
    if not cell.isascii() or "_" in cell:
        raise ValueError(cell)
    if kind in "iu":
        return int(cell)
    number = float(cell)
    if math.isnan(number) and column.nullable:
        return None
    if not math.isfinite(number):
        raise ValueError(cell)
    return number


def write(names: Sequence[str], columns: Sequence[np.ndarray]) -> bytes:
    """Lines of these columns; what is missing is empty."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(names)
    for row in zip(*(column.tolist() for column in columns), strict=True):
        lines.writerow([_cell(each) for each in row])
    return text.getvalue().encode()


def _bool(cell: str) -> bool:
    try:
        return _BOOLS[cell.lower()]
    except KeyError:
        raise ValueError(cell) from None


def _cell(each: Any) -> str:
    if isinstance(each, bool):
        return "true" if each else "false"
    return "" if each is None or each != each else str(each)  # noqa: PLR0124 - as NaN is
