"""The body as a whole: JSON by the names of inputs, or the only input itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from so1s import content_types
from so1s.content_types import ANY, CSV, JSON, TEXT, content_type_of
from so1s.modelfile import ModelFile
from so1s.modelfile_tensors import DeclaredTensor
from so1s.sample import tables, values
from so1s.sample.misfit import Misfit, name_of

_MEDIA: Mapping[str, Sequence[str]] = {
    "text": [TEXT],
    "json": [JSON],
    "file": [ANY],
    "image": content_types.IMAGES,
    "dataframe": [CSV],
    "series": [CSV],
}
"""What a body may be that is the only input itself."""
_READERS: Mapping[str, Callable[[DeclaredTensor, Any], int]] = {
    "numpy": values.nested,
    "series": values.nested,
    "dataframe": tables.of_json,
    **dict.fromkeys(("text", "json", "file", "image"), values.bodies),
}


def check(described: ModelFile, name: str, content: bytes) -> None:
    """Hold a sample against the declared inputs; where none are, against its own name.

    Args:
        described: what declares them.
        name: of the sample's file, which tells the type of its content.
        content: of that file.

    Raises:
        Misfit: the inference server would refuse it. What it takes is never refused; images are not unpacked.
    """
    inputs = described.inputs or []
    is_plain = all(each.type == "numpy" for each in (*inputs, *(described.outputs or [])))
    content_type = content_type_of(name)
    if content_type == JSON or (inputs and is_plain):
        body = _json(content)
        if inputs:
            _by_name(inputs, body, is_plain=is_plain)
    elif inputs:
        _only(inputs, content_type, content)


def _json(content: bytes) -> Any:
    try:
        body = json.loads(content.decode(), parse_constant=_refuse, parse_float=_number)
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate is no text
    except (ValueError, RecursionError) as error:
        raise Misfit(f"allowed: JSON, by its name or its inputs; {error}") from error
    return body


def _refuse(said: str) -> Any:
    raise ValueError(f"{said} is none")


def _number(said: str) -> float:
    number = float(said)
    return number if math.isfinite(number) else _refuse(said)


def _by_name(inputs: Sequence[DeclaredTensor], body: Any, *, is_plain: bool) -> None:
    if len(inputs) == 1 and _is_bare(inputs[0], body, is_plain=is_plain):
        body = {inputs[0].name: body}
    takes = f"allowed: an object with {', '.join(map(str, inputs))}"
    if not isinstance(body, dict):
        raise Misfit(f"{takes}; it is {name_of(body)}")
    known = [each.name for each in inputs]
    for name in sorted(body.keys() - known):
        raise Misfit(f"{takes}; no input is called {name!r:.40}")
    for name in known:
        if name not in body:
            raise Misfit(f"{takes}; input {name!r} is missing")
    lengths = {each.name: _READERS[each.type](each, body[each.name]) for each in inputs}
    rows = {each.name: lengths[each.name] for each in inputs if values.counts_rows(each)}
    if len(set(rows.values())) > 1:
        raise Misfit(f"allowed: as many rows of each input; there are {rows}")


def _is_bare(only: DeclaredTensor, body: Any, *, is_plain: bool) -> bool:
    """Whether the body is the only input's value, and not an object of values by name."""
    if is_plain:
        return isinstance(body, list)
    return not (isinstance(body, dict) and body.keys() == {only.name})


def _only(inputs: Sequence[DeclaredTensor], content_type: str, content: bytes) -> None:
    media = _MEDIA.get(inputs[0].type, ()) if len(inputs) == 1 else ()
    if content_type not in media:
        known = ", ".join(dict.fromkeys([JSON, *media]))
        raise Misfit(f"allowed: {known}; its name says {content_type}")
    if content_type == CSV:
        tables.of_csv(inputs[0], content)
    else:
        values.raw(inputs[0], content)
