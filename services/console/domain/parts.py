"""Uploads in parts: what is larger than one part is sent as many, each known by its checksum.

Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Annotated

from pydantic import Field

from services.console.domain.upload import Sha256, Upload
from so1s.errors import InvalidInput
from so1s.events.event import Value

MOST_PARTS = 10_000
LEAST_PART_BYTES = 5 * 2**20
MOST_PART_BYTES = 5 * 2**30
MOST_ARTIFACT_BYTES = 5 * 2**40
_STEP_BYTES = 2**20
_MOST_NAMED = 5
"""Of missing parts, in an error."""


class Part(Value):
    """One part of an upload."""

    number: Annotated[int, Field(ge=1, le=MOST_PARTS)]
    sha256: Sha256


class Begun(Upload):
    """An upload in parts that was offered."""

    upload_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,1024}$")]


class PartsAsked(Begun):
    """Which parts are going to be sent next."""

    parts: Annotated[list[Part], Field(min_length=1, max_length=100)]


@dataclass(frozen=True)
class Plan:
    """How an artifact is cut."""

    size_bytes: int
    part_bytes: int
    """Of each part but the last one."""

    @property
    def count(self) -> int:
        """How many parts there are."""
        return ceil(self.size_bytes / self.part_bytes)

    def bytes_of(self, number: int) -> int:
        """How large a part is; the first has the number 1.

        Raises:
            InvalidInput: there is no such part.
        """
        if not 1 <= number <= self.count:
            raise InvalidInput.of("parts.number", number, f"allowed: 1 to {self.count}")
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)


def plan(size_bytes: int, part_bytes: int) -> Plan:
    """Cut an artifact into parts of a size, or of a larger one where these would be too many."""
    least = ceil(size_bytes / MOST_PARTS / _STEP_BYTES) * _STEP_BYTES
    return Plan(size_bytes, max(part_bytes, least))


@dataclass(frozen=True)
class Sent:
    """A part that the store has."""

    number: int
    size_bytes: int
    etag: str
    sha256: str | None
    """As far as the store tells it."""


def check_whole(cut: Plan, sent: Iterable[Sent]) -> None:
    """Let only an upload be completed whose parts are all there.

    Raises:
        InvalidInput: it names some that are not.
    """
    there = {each.number: each.size_bytes for each in sent}
    wanted = range(1, cut.count + 1)
    missing = [number for number in wanted if there.get(number) != cut.bytes_of(number)]
    if missing:
        named = ", ".join(map(str, missing[:_MOST_NAMED]))
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise InvalidInput.of(
            "parts", f"without {named}{more}", f"allowed: all of 1 to {cut.count}, sent before"
        )
    if strange := sorted(there.keys() - set(wanted)):
        raise InvalidInput.of("parts", f"with {strange[0]}", f"allowed: 1 to {cut.count}")
