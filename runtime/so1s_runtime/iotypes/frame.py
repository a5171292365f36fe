"""Dataframes and series: rows with named columns, each of its own type; a tensor a column to the protocol.

JSON has three forms: a list of objects, one a row; an object of lists, one a column; and pandas' `split`,
`{"columns": [...], "data": [[...]]}`. CSV has the names of the columns in its first line.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from so1s_runtime import tensors
from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.iotypes import table
from so1s_runtime.iotypes.codec import Codec, Tensors, zeros
from so1s_runtime.schemas import value as value_schema
from so1s_runtime.signature import TensorSpec


class Frame(Codec):
    """A dataframe."""

    media = ("text/csv",)

    @property
    def _columns(self) -> tuple[TensorSpec, ...]:
        return self.declared.tensors

    def read(self, value: Any) -> Tensors:
        """From any of the three forms."""
        if isinstance(value, list):
            return self._checked(self._of_records(value))
        if not isinstance(value, dict):
            raise self.misfit(f"has {tensors.name_of(value)} where rows belong")
        names = {column.name for column in self._columns}
        if {"columns", "data"} <= value.keys() and value.keys() != names:
            return self._checked(self._of_split(value["columns"], value["data"]))
        self._require_names(value)
        return self._checked(self._of_columns(value))

    def read_raw(self, media: str, raw: bytes) -> Tensors:  # noqa: ARG002 - there is one
        """From CSV in UTF-8."""
        try:
            header, rows = table.read(raw)
        except ValueError as error:
            raise self.misfit(f"is no CSV: {error}") from error
        self._require_names(header)
        columns = dict(zip(header, self._transposed(header, rows), strict=True))
        return self._checked(
            {column.name: self._cells(column, columns[column.name]) for column in self._columns}
        )

    def write(self, arrays: Sequence[np.ndarray]) -> Any:
        """As a list of objects, one a row."""
        names = [column.name for column in self._columns]
        rows = zip(*(array.tolist() for array in arrays), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def write_raw(self, arrays: Sequence[np.ndarray]) -> bytes:
        """As CSV."""
        return table.write([column.name for column in self._columns], arrays)

    def to_model(self, arrays: Tensors) -> Any:
        """As a matrix, for a model of arrays."""
        return np.column_stack([arrays[column.name] for column in self._columns])

    def to_pandas(self, arrays: Tensors) -> Any:
        """As pandas' DataFrame."""
        import pandas as pd

        return pd.DataFrame({column.name: arrays[column.name] for column in self._columns})

    def from_model(self, value: Any) -> Sequence[np.ndarray]:
        """From a DataFrame, a dict of columns, or a matrix."""
        if isinstance(value, Mapping) or hasattr(value, "columns"):
            missing = [column.name for column in self._columns if column.name not in value]
            if missing:
                raise ModelError(f"output {self.declared.name!r} lacks the column {missing[0]!r}")
            found = [_answered(column, value[column.name]) for column in self._columns]
        else:
            matrix = np.asarray(value)
            if matrix.ndim != 2 or matrix.shape[1] != len(self._columns):  # noqa: PLR2004 - rows and columns
                raise self.broken(value)
            found = [_answered(column, matrix[:, index]) for index, column in enumerate(self._columns)]
        if len({len(array) for array in found}) > 1:
            raise ModelError(f"output {self.declared.name!r} has columns of different lengths")
        return found

    def schema(self) -> dict[str, Any]:
        """Of the form that is written."""
        properties = {column.name: _schema(column) for column in self._columns}
        row = {"type": "object", "properties": properties, "required": list(properties)}
        rows = {"type": "array", "items": row | {"additionalProperties": False}, "minItems": 1}
        return rows | {"description": f"{self.declared}"}

    def blank(self) -> Tensors:
        """A row of zeros."""
        return {column.name: zeros(column) for column in self._columns}

    def _of_records(self, records: list[Any]) -> dict[str, list[Any]]:
        names = {column.name for column in self._columns}
        for index, record in enumerate(records):
            if not isinstance(record, dict):
                raise self.misfit(f"has {tensors.name_of(record)} where an object belongs", [index])
            if record.keys() != names:
                self._require_names(record, [index])
        return {name: [record[name] for record in records] for name in names}

    def _of_columns(self, columns: Mapping[str, Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for name, values in columns.items():
            # pandas' own form has an object of index to value for each column.
            listed = list(values.values()) if isinstance(values, dict) else values
            if not isinstance(listed, list):
                raise self.misfit(f"has {tensors.name_of(values)} where the values of column {name!r} belong")
            found[name] = listed
        return found

    def _of_split(self, header: Any, rows: Any) -> dict[str, list[Any]]:
        if not isinstance(header, list) or not all(isinstance(name, str) for name in header):
            raise self.misfit('must have a list of names as "columns"')
        self._require_names(header)
        if not isinstance(rows, list):
            raise self.misfit('must have a list of rows as "data"')
        return dict(zip(header, self._transposed(header, rows), strict=True))

    def _transposed(self, header: Sequence[str], rows: Sequence[Any]) -> list[list[Any]]:
        for index, row in enumerate(rows):
            if not isinstance(row, list):
                raise self.misfit(f"has {tensors.name_of(row)} where a row belongs", [index])
            if len(row) != len(header):
                raise self.misfit(f"has {len(row)} values, expected {len(header)}", [index])
        return [[row[index] for row in rows] for index in range(len(header))]

    def _require_names(self, given: Any, position: Sequence[int] = ()) -> None:
        """Raise RequestError unless `given` are the names of the columns, in any order."""
        names = [column.name for column in self._columns]
        for name in names:
            if name not in given:
                raise self.misfit(f"lacks the column {name!r}", position)
        for name in given:
            if name not in names:
                raise self.misfit(f"has an unknown column {name!r:.40}", position)
        if len(given) > len(names):
            raise self.misfit("has a column twice", position)

    def _cells(self, column: TensorSpec, cells: Sequence[str]) -> list[Any]:
        """The values of a column of CSV. Raises RequestError."""
        values = []
        for index, cell in enumerate(cells):
            try:
                values.append(table.value(column, cell))
            except ValueError:
                what = f"has {cell!r:.40} where {column.dtype.noun} belongs"
                raise self._misfit_of(column, what, [index], column.dtype.name) from None
        return values

    def _checked(self, columns: Mapping[str, list[Any]]) -> Tensors:
        rows = len(columns[self._columns[0].name])
        if rows == 0:
            raise self.misfit("has no rows")
        return {column.name: self._array(column, columns[column.name], rows) for column in self._columns}

    def _array(self, column: TensorSpec, values: list[Any], rows: int) -> np.ndarray:
        if len(values) != rows:
            what = f"has {len(values)} values, the first one has {rows}"
            raise self._misfit_of(column, what, [], str(column))
        try:
            return tensors.from_flat(column, values, (rows,))
        except RequestError as error:
            what = str(error).rpartition(" has ")[2]
            row, expected = error.body.get("position", ()), str(error.body.get("expected"))
            raise self._misfit_of(column, f"has {what}", row, expected) from None

    def _misfit_of(
        self, column: TensorSpec, what: str, row: Sequence[int | str], expected: str
    ) -> RequestError:
        position = [*row, column.name]
        message = f"input {self.declared.name!r} at {position} {what}"
        return RequestError(message, field=self.declared.name, position=position, expected=expected)


class Series(Frame):
    """One column: a list in JSON, or a CSV with its name in the first line."""

    def read(self, value: Any) -> Tensors:
        """From a list."""
        if not isinstance(value, list):
            raise self.misfit(f"has {tensors.name_of(value)} where a list belongs")
        return {self.declared.name: tensors.from_nested(self._columns[0], value)}

    def write(self, arrays: Sequence[np.ndarray]) -> Any:
        """As a list."""
        return tensors.jsonable(arrays[0])

    def to_model(self, arrays: Tensors) -> Any:
        """As an array."""
        return arrays[self.declared.name]

    def to_pandas(self, arrays: Tensors) -> Any:
        """As pandas' Series."""
        import pandas as pd

        return pd.Series(arrays[self.declared.name], name=self.declared.name)

    def from_model(self, value: Any) -> Sequence[np.ndarray]:
        """From a Series, a list or an array."""
        return [_answered(self._columns[0], value)]

    def schema(self) -> dict[str, Any]:
        """Of a list."""
        return {"type": "array", "items": _schema(self._columns[0]), "minItems": 1}


def _answered(column: TensorSpec, values: Any) -> np.ndarray:
    """A column of an answer as a tensor; what is missing in a column of strings is None."""
    array = np.asarray(values)
    if column.dtype.name != "string":
        return tensors.conform(column, array)
    strings = np.empty(len(array), dtype=object)
    for index, value in enumerate(array):
        is_missing = value is None or value != value  # noqa: PLR0124 - as NaN is
        if not isinstance(value, str) and not (column.nullable and is_missing):
            raise ModelError(f"output {column.name!r} at [{index}] is {value!r:.40}, no string")
        strings[index] = None if is_missing else str(value)
    return strings


def _schema(column: TensorSpec) -> dict[str, Any]:
    said = value_schema(column.dtype)
    return said | {"type": [said["type"], "null"]} if column.nullable else said
