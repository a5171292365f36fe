"""Texts, JSON values and files: one value alone, or a list of them."""

import base64
import binascii
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from so1s_runtime import tensors
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.iotypes.codec import Codec, Tensors, objects
from so1s_runtime.iotypes.media import ANY, JSON
from so1s_runtime.signature import TensorSpec

_WRITTEN = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class Values(Codec):
    """What is a string or bytes to the protocol."""

    def read(self, value: Any) -> Tensors:
        """One value, or a list of them, as it is declared."""
        if not self._is_list:
            return self._tensor([self._item(value, ())])
        if not isinstance(value, list):
            raise self.misfit("is no list")
        tensors.check_shape(self._spec, (len(value),))
        return self._tensor([self._item(each, (index,)) for index, each in enumerate(value)])

    def write(self, arrays: Sequence[np.ndarray]) -> Any:
        """One value, or a list of them."""
        items = [self._written(each) for each in arrays[0].reshape(-1)]
        return items if self._is_list else items[0]

    def write_raw(self, arrays: Sequence[np.ndarray]) -> bytes:
        """The one value."""
        value = arrays[0].reshape(-1)[0]
        return value if isinstance(value, bytes) else str(value).encode()

    def to_model(self, arrays: Tensors) -> Any:
        """The value alone, or an array of them."""
        items = [self._taken(each, self._position(index)) for index, each in enumerate(self._items(arrays))]
        return objects(items, (len(items),)) if self._is_list else items[0]

    def from_model(self, value: Any) -> Sequence[np.ndarray]:
        """From the value alone, or from a list or array of them."""
        if not self._is_list:
            return [objects([self._given(value)], (1,))]
        if not isinstance(value, list | tuple | np.ndarray):
            raise self.broken(value)
        return [objects([self._given(each) for each in value], (len(value),))]

    def schema(self) -> dict[str, Any]:
        """Of one value, or of a list of them."""
        item = self._schema()
        return {"type": "array", "items": item, "minItems": 1} if self._is_list else item

    @property
    def _is_list(self) -> bool:
        return bool(self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        """Of the list."""
        return self.declared.shape

    @property
    def _spec(self) -> TensorSpec:
        return TensorSpec(self.declared.name, DTYPES["string"], self._shape)

    def _items(self, arrays: Tensors) -> np.ndarray:
        return arrays[self.declared.name].reshape(-1)

    def _position(self, index: int) -> Sequence[int]:
        return (index,) if self._is_list else ()

    def _tensor(self, items: Sequence[Any]) -> Tensors:
        return {self.declared.name: objects(items, (len(items),))}

    def _check_size(self, size: int, position: Sequence[int]) -> None:
        most = self.declared.max_bytes
        if most is not None and size > most:
            raise self.misfit(f"has {size} bytes, at most {most} are taken", position, status=413)

    @abstractmethod
    def _item(self, value: Any, position: Sequence[int]) -> Any:
        """The item of the tensor that a value of JSON stands for."""

    @abstractmethod
    def _taken(self, item: Any, position: Sequence[int]) -> Any:
        """What the model's code gets for an item."""

    @abstractmethod
    def _given(self, value: Any) -> Any:
        """The item that a value of the model's code stands for."""

    @abstractmethod
    def _written(self, item: Any) -> Any:
        """What orjson writes for an item."""

    @abstractmethod
    def _schema(self) -> dict[str, Any]: ...


class Text(Values):
    """A `str`; a body of `text/plain` in UTF-8."""

    media = ("text/plain",)
    field = "text/plain"

    def read_raw(self, media: str, raw: bytes) -> Tensors:  # noqa: ARG002 - there is one
        """One text."""
        try:
            return self._tensor([raw.decode()])
        except UnicodeDecodeError as error:
            raise self.misfit("is not UTF-8", [error.start]) from error

    def blank(self) -> Tensors:
        """An empty text."""
        return self._tensor([""])

    def _item(self, value: Any, position: Sequence[int]) -> str:
        if not isinstance(value, str):
            raise self.misfit(f"has {tensors.name_of(value)} where a string belongs", position)
        return value

    def _taken(self, item: Any, position: Sequence[int]) -> str:
        self._check_size(len(item.encode()), position)
        return item

    def _given(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.broken(value)
        return str(value)

    def _written(self, item: Any) -> str:
        return item

    def _schema(self) -> dict[str, Any]:
        return {"type": "string", "description": str(self.declared)}


class Json(Values):
    """Any value of JSON; to the protocol a string that holds it."""

    media = (JSON,)

    def read_raw(self, media: str, raw: bytes) -> Tensors:  # noqa: ARG002 - there is one
        """The whole body, or part of a form."""
        return self.read(tensors.load_json(raw))

    def _item(self, value: Any, position: Sequence[int]) -> str:  # noqa: ARG002 - any value fits
        return orjson.dumps(value).decode()

    def _taken(self, item: Any, position: Sequence[int]) -> Any:
        self._check_size(len(item.encode()), position)
        try:
            return orjson.loads(item)
        except orjson.JSONDecodeError as error:
            raise self.misfit(f"is a string that is not JSON: {error}", position) from error

    def _given(self, value: Any) -> str:
        try:
            return orjson.dumps(value, option=_WRITTEN).decode()
        except TypeError as error:
            raise ModelError(f"output {self.declared.name!r} cannot be written as JSON: {error}") from error

    def _written(self, item: Any) -> Any:
        return orjson.Fragment(item)

    def _schema(self) -> dict[str, Any]:
        return {"description": "any JSON value"}


class File(Values):
    """`bytes`; base64 within JSON."""

    media = (ANY,)
    field = ANY

    def read_raw(self, media: str, raw: bytes) -> Tensors:  # noqa: ARG002 - bytes are bytes
        """One file."""
        return self._tensor([raw])

    def _item(self, value: Any, position: Sequence[int]) -> bytes:
        if not isinstance(value, str):
            raise self.misfit(f"has {tensors.name_of(value)} where a base64 string belongs", position)
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.misfit(f"is not base64: {error}", position) from error

    def _taken(self, item: Any, position: Sequence[int]) -> Any:
        raw = item if isinstance(item, bytes) else self._item(item, position)
        self._check_size(len(raw), position)
        return raw

    def _given(self, value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise self.broken(value)
        return bytes(value)

    def _written(self, item: Any) -> str:
        return base64.b64encode(item).decode()

    def _schema(self) -> dict[str, Any]:
        return {"type": "string", "contentEncoding": "base64", "description": str(self.declared)}
