"""What models were asked and answered, for whoever evaluates or audits them: off unless a sink is named.

A sample of the good answers, each a CloudEvent, cut to a size; the values of inputs and outputs that are
named stay out. It never delays or fails an answer: what the sink does not take in time is dropped, and
counted.
"""

import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np

from so1s_runtime.identity import Identity
from so1s_runtime.iotypes.types import Types
from so1s_runtime.logs import log
from so1s_runtime.manifest import Manifest, TensorSpec
from so1s_runtime.question import Question

EVENT_TYPE = "so1s.inference.v1"

# Of the texts and numbers of an event, which its tensors share.
_MOST_CHARACTERS = 64 * 1024

T = TypeVar("T")
Ask = Callable[[Any], Question[T]]
Event = dict[str, Any]


class Payloads:
    """Taps questions; `put` takes an event without waiting, and `drop` is told of one that cannot be made.

    `owner` says whose model it is, as far as that is known: its `account` and `deployment`.
    """

    def __init__(
        self,
        manifest: Manifest,
        put: Callable[[Event], None],
        *,
        fraction: float,
        most_values: int,
        redacted: frozenset[str],
        drop: Callable[[], None],
        owner: Mapping[str, str],
    ) -> None:
        self._manifest = manifest
        self._put = put
        self._fraction = fraction
        self._most_values = most_values
        self._redacted = redacted
        self._drop = drop
        self._owner = owner
        self._was_told = False
        within = "".join(f"/{kind}s/{name}" for kind, name in owner.items())
        # Callers name requests as they like: an event is one of its kind by its source and its id.
        self._source = f"{within}/models/{manifest.name}/versions/{manifest.version}"
        signature = manifest.signature
        self._share = _MOST_CHARACTERS // (len(signature.inputs) + len(signature.outputs))

    def tapped(self, ask: Ask[T], identity: Identity) -> Ask[T]:
        """The same, but that a sampled question is told of once it is answered."""
        if random.random() >= self._fraction:  # noqa: S311 - nothing secret is drawn
            return ask

        def asked(body: Any) -> Question[T]:
            question = ask(body)
            question.tap = partial(self._see, identity)
            return question

        return asked

    def _see(self, identity: Identity, question: Question, arrays: Sequence[np.ndarray]) -> None:
        try:
            self._put(self._event(identity, question, arrays))
        except Exception as error:  # noqa: BLE001 - whatever a value is, its caller gets the answer
            self._drop()
            if not self._was_told:  # the count tells how it goes on
                self._was_told = True
                log(logging.WARNING, "payloads are dropped", reason=type(error).__name__)

    def _event(self, identity: Identity, question: Question, arrays: Sequence[np.ndarray]) -> Event:
        manifest = self._manifest
        inputs = [(spec, question.inputs[spec.name]) for spec in manifest.signature.inputs]
        outputs = zip(question.outputs, arrays, strict=True)
        trace = {"traceparent": identity.trace.response} if identity.trace else {}
        correlation = {"correlationid": identity.correlation_id} if identity.correlation_id else {}
        return {
            "specversion": "1.0",
            "id": identity.request_id,
            "source": self._source,
            "type": EVENT_TYPE,
            "time": datetime.now(UTC).isoformat(),
            "datacontenttype": "application/json",
            **trace,
            **correlation,
            "data": {
                **self._owner,
                "model": manifest.name,
                "version": manifest.version,
                "inputs": [self._said(*each) for each in inputs],
                "outputs": [self._said(*each) for each in outputs],
            },
        }

    def _said(self, spec: TensorSpec, array: np.ndarray) -> Mapping[str, Any]:
        head = {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(array.shape)}
        if spec.name in self._redacted:
            return {**head, "redacted": True}
        cut = map(_cut, array.flat[: self._most_values].tolist())
        values = list(takewhile(_Room(self._share).takes, cut))
        return {**head, "data": values, **({"cut": True} if array.size > len(values) else {})}


def redacted(names: frozenset[str], types: Types) -> frozenset[str]:
    """The tensors of the inputs and outputs of these names; names of neither are told in the log."""
    tensors = {
        each.declared.name: [tensor.name for tensor in each.declared.tensors]
        for each in (*types.inputs, *types.outputs)
    }
    found = {tensor for name in names & tensors.keys() for tensor in tensors[name]}
    known = tensors.keys() | {name for each in tensors.values() for name in each}
    if unknown := names - known:
        # No error: an operator names for all servers what some of their models have.
        log(logging.WARNING, "no input or output has a name that is redacted", names=sorted(unknown))
    return names | found


_LONGEST_TEXT = 256
_LONGEST_NUMBER = 24
_JSON = json.JSONEncoder(ensure_ascii=False, skipkeys=True, separators=(",", ":"), default=str)


class _Room:
    """How many more characters fit."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def takes(self, value: Any) -> bool:
        """Whether a value fits, which then takes its room."""
        self._left -= len(value) if isinstance(value, str) else _LONGEST_NUMBER
        return self._left >= 0


def _cut(value: Any) -> Any:
    """A text's beginning, the size of bytes, the beginning of anything else as JSON; a number is small."""
    if isinstance(value, bytes):
        return {"size_bytes": len(value)}
    if value is None or isinstance(value, bool | int | float):
        return value
    return value[:_LONGEST_TEXT] if isinstance(value, str) else _beginning(value)


def _beginning(value: Any) -> str:
    """As JSON, of which no more is made than is kept."""
    text = ""
    for part in _JSON.iterencode(value):
        text += part[:_LONGEST_TEXT]
        if len(text) >= _LONGEST_TEXT:
            break
    return text[:_LONGEST_TEXT]
