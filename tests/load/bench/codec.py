"""The codec beside its parts: pydantic without the envelope, and JSON without rules."""

import json
from datetime import UTC, datetime
from pathlib import Path

from so1s.events import UsageSampled
from so1s.events.codec import decode, encode
from tests.load.bench.figure import Figure
from tests.load.bench.measure import medians, per_second
from tests.load.bench.samples import sample

_TIMES = 3000
_ROUNDS = 7


async def measure(_directory: Path) -> list[Figure]:
    event, now = sample(0), datetime.now(UTC)
    record = encode(event, id="1", source="so1s/collector", time=now, cause=None)
    headers, value, plain = record.headers, record.value, event.model_dump(mode="json")

    def ours_out() -> object:
        return encode(event, id="1", source="so1s/collector", time=now, cause=None)

    def ours_in() -> object:
        return decode(UsageSampled, headers, value)

    out, pydantic_out, json_out = await _rates(ours_out, event.model_dump_json, lambda: json.dumps(plain))
    into, pydantic_in, json_in = await _rates(
        ours_in, lambda: UsageSampled.model_validate_json(value), lambda: json.loads(value)
    )
    writing, reading = "encode an event with its envelope", "decode and validate both"
    return [
        Figure(writing, "events/s", out, "pydantic, data alone", pydantic_out),
        Figure(writing, "events/s", out, "json, data alone", json_out),
        Figure(reading, "events/s", into, "pydantic, data alone", pydantic_in),
        Figure(reading, "events/s", into, "json, no validation", json_in),
    ]


async def _rates(*work) -> list[float]:
    return await medians(*(per_second(each, _TIMES) for each in work), rounds=_ROUNDS)
