"""Dataframes and series: rows of named columns, in JSON or as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from so1s.events.workload import Column
from so1s.modelfile_tensors import DeclaredTensor
from so1s.sample import values
from so1s.sample.misfit import Misfit, name_of

_BOOLS = {"true": True, "false": False}
_FLOATS = ("float16", "float32", "float64")


def of_json(declared: DeclaredTensor, value: Any) -> int:
    """Check a dataframe: objects by row, lists by column, or pandas' `split`; answers how many rows it has.

    Raises:
        Misfit: it has other columns, or a value does not fit its own.
    """
    if isinstance(value, list):
        return _columns(declared, _of_records(declared, value))
    if not isinstance(value, dict):
        raise Misfit.at(declared, [], f"has {name_of(value)} where rows belong")
    names = {column.name for column in declared.columns}
    if {"columns", "data"} <= value.keys() and value.keys() != names:
        return _columns(declared, _of_split(declared, value["columns"], value["data"]))
    _require_names(declared, value)
    return _columns(declared, {name: _listed(declared, name, each) for name, each in value.items()})


def of_csv(declared: DeclaredTensor, content: bytes) -> None:
    """Check a dataframe or a series as CSV in UTF-8, whose first line names the columns.

    Raises:
        Misfit: likewise, or it is no CSV.
    """
    header, rows = _lines(declared, content)
    _require_names(declared, header)
    cells = dict(zip(header, _transposed(declared, header, rows), strict=True))
    _columns(declared, {each.name: _read(declared, each, cells[each.name]) for each in columns_of(declared)})


def columns_of(declared: DeclaredTensor) -> Sequence[Column]:
    """The columns of a dataframe, or the one that a series is."""
    only = Column(name=declared.name, dtype=declared.dtype, nullable=declared.nullable)
    return declared.columns or [only]


def _columns(declared: DeclaredTensor, found: Mapping[str, Sequence[Any]]) -> int:
    first, *_ = columns_of(declared)
    rows = len(found[first.name])
    if rows == 0:
        raise Misfit.at(declared, [], "has no rows")
    for column in columns_of(declared):
        name = column.name
        if len(found[name]) != rows:
            raise Misfit.at(declared, [name], f"has {len(found[name])} values, the first one has {rows}")
        values.items(
            found[name],
            column.dtype,
            lambda row, what, name=name: Misfit.at(declared, [row, name], what),
            nullable=column.nullable,
        )
    return rows


def _of_records(declared: DeclaredTensor, records: Sequence[Any]) -> dict[str, list[Any]]:
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            raise Misfit.at(declared, [row], f"has {name_of(record)} where an object belongs")
        _require_names(declared, record, [row])
    return {column.name: [record[column.name] for record in records] for column in declared.columns}


def _of_split(declared: DeclaredTensor, header: Any, rows: Any) -> dict[str, list[Any]]:
    if not isinstance(header, list) or not all(isinstance(name, str) for name in header):
        raise Misfit.at(declared, [], 'must have a list of names as "columns"')
    _require_names(declared, header)
    if not isinstance(rows, list):
        raise Misfit.at(declared, [], 'must have a list of rows as "data"')
    return dict(zip(header, _transposed(declared, header, rows), strict=True))


def _listed(declared: DeclaredTensor, name: str, column: Any) -> list[Any]:
    """A column's values; pandas' own form has an object of index to value."""
    listed = list(column.values()) if isinstance(column, dict) else column
    if not isinstance(listed, list):
        raise Misfit.at(declared, [name], f"has {name_of(column)} where values belong")
    return listed


def _transposed(declared: DeclaredTensor, header: Sequence[str], rows: Sequence[Any]) -> list[list[Any]]:
    for index, row in enumerate(rows):
        if not isinstance(row, list):
            raise Misfit.at(declared, [index], f"has {name_of(row)} where a row belongs")
        if len(row) != len(header):
            raise Misfit.at(declared, [index], f"has {len(row)} values, expected {len(header)}")
    return [[row[index] for row in rows] for index in range(len(header))]


def _require_names(declared: DeclaredTensor, given: Collection[str], position: Sequence[int] = ()) -> None:
    names = [column.name for column in columns_of(declared)]
    for name in names:
        if name not in given:
            raise Misfit.at(declared, position, f"lacks the column {name!r}")
    for name in given:
        if name not in names:
            raise Misfit.at(declared, position, f"has an unknown column {name!r:.40}")
    if len(given) > len(names):
        raise Misfit.at(declared, position, "has a column twice")


def _lines(declared: DeclaredTensor, content: bytes) -> tuple[list[str], list[list[str]]]:
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header, *rows = [row for row in lines if row]
    except (csv.Error, ValueError) as error:
        what = str(error) if isinstance(error, csv.Error | UnicodeDecodeError) else "there is no line"
        raise Misfit.at(declared, [], f"is no CSV: {what}") from error
    return header, rows


def _read(declared: DeclaredTensor, column: Column, cells: Sequence[str]) -> list[Any]:
    read = []
    for row, cell in enumerate(cells):
        try:
            read.append(_value(column, cell))
        except (KeyError, ValueError):
            what = f"has {cell!r:.40} where a value of {column.dtype} belongs"
            raise Misfit.at(declared, [row, column.name], what) from None
    return read


def _value(column: Column, cell: str) -> Any:
    """What a cell says; an empty one says that it is missing. Raises KeyError or ValueError."""
    if column.nullable and not cell:
        return None
    if column.dtype == "string":
        return cell
    if column.dtype == "bool":
        return _BOOLS[cell.lower()]
    if not cell.isascii() or "_" in cell:  # Python reads 1_000 and digits of any script
        raise ValueError(cell)
    if column.dtype not in _FLOATS:
        return int(cell)
    number = float(cell)
    return None if math.isnan(number) and column.nullable else number
