"""Who waits for a version's build: each upload and request is answered in its own chain, by its own wish."""

from __future__ import annotations

from collections.abc import Callable

from services.builder.domain.build import Build, Wish
from so1s.events import Event
from so1s.events.envelope import Cause
from so1s.events.ids import derived_id
from so1s.store import Transaction, answers


async def record(tx: Transaction, wish: Wish, number: int, cause: Cause | None = None) -> None:
    """Owe an event an answer, once the build of this number of the version, or a later one, ends.

    It is the event in hand where no `cause` is given.
    """
    await answers.promise(tx, wish.version_name, number, request=wish.model_dump_json(), cause=cause)


async def answer(tx: Transaction, build: Build, say: Callable[[Wish], Event]) -> None:
    """Tell everyone who waits for a build how it ended."""
    for owed in await answers.take(tx, build.name, build.number):
        event = say(Wish.from_json(owed.request))
        # An upload that failed is answered anew when its version is built again.
        event_id = derived_id("builder", owed.cause.event_id, event.type, event.key, build.number)
        tx.emit(event, id=event_id, cause=owed.cause)
