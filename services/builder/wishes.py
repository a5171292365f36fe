"""Who waits for a version's build: each upload and request is answered in its own chain, by its own wish."""

from __future__ import annotations

from collections.abc import Callable

from services.builder.domain.build import Build, Wish
from so1s.events import Event
from so1s.store import Transaction, answers


async def record(tx: Transaction, wish: Wish, number: int) -> None:
    """Owe the event in hand an answer, once the build of this number of the version, or a later one, ends."""
    await answers.promise(tx, wish.version_name, number, request=wish.model_dump_json())


async def answer(tx: Transaction, build: Build, say: Callable[[Wish], Event]) -> None:
    """Tell everyone who waits for a build how it ended."""
    for owed in await answers.take(tx, build.name, build.number):
        tx.emit(say(Wish.from_json(owed.request)), cause=owed.cause)
