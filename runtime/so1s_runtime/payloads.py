"""What models were asked and answered, for whoever evaluates or audits them: off unless a sink is named.

A sample of the good answers, each a CloudEvent, cut to a size; the values of inputs and outputs that are
named stay out. It never delays or fails an answer: what the sink does not take in time is dropped, and
counted.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import numpy as np
import orjson

from so1s_runtime.identity import Identity
from so1s_runtime.manifest import Manifest, TensorSpec
from so1s_runtime.question import Question

EVENT_TYPE = "so1s.inference.v1"

T = TypeVar("T")
Ask = Callable[[Any], Question[T]]
Event = dict[str, Any]


class Payloads:
    """Taps questions; `put` takes an event without waiting."""

    def __init__(
        self,
        manifest: Manifest,
        put: Callable[[Event], None],
        *,
        fraction: float,
        most_values: int,
        redacted: frozenset[str],
    ) -> None:
        self._manifest = manifest
        self._put = put
        self._fraction = fraction
        self._most_values = most_values
        self._redacted = redacted

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
        manifest = self._manifest
        inputs = [(spec, question.inputs[spec.name]) for spec in manifest.signature.inputs]
        outputs = zip(question.outputs, arrays, strict=True)
        trace = {"traceparent": identity.trace.response} if identity.trace else {}
        correlation = {"correlationid": identity.correlation_id} if identity.correlation_id else {}
        self._put(
            {
                "specversion": "1.0",
                "id": identity.request_id,
                "source": f"/models/{manifest.name}/versions/{manifest.version}",
                "type": EVENT_TYPE,
                "time": datetime.now(UTC).isoformat(),
                "datacontenttype": "application/json",
                **trace,
                **correlation,
                "data": {
                    "model": manifest.name,
                    "version": manifest.version,
                    "inputs": [self._said(*each) for each in inputs],
                    "outputs": [self._said(*each) for each in outputs],
                },
            }
        )

    def _said(self, spec: TensorSpec, array: np.ndarray) -> Mapping[str, Any]:
        head = {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(array.shape)}
        if spec.name in self._redacted:
            return {**head, "redacted": True}
        values = [_cut(each) for each in array.reshape(-1)[: self._most_values].tolist()]
        return {**head, "data": values, **({"cut": True} if array.size > len(values) else {})}


_LONGEST_TEXT = 256


def _cut(value: Any) -> Any:
    """A text's beginning, the size of bytes, the beginning of anything else as JSON; a number is small."""
    if isinstance(value, bytes):
        return {"size_bytes": len(value)}
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text[:_LONGEST_TEXT]
