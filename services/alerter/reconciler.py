"""Recorded incidents → Slack: one message each, and its history in the thread.

A message is sent in three steps: the attempt is committed, the call is made, its place is
committed. Whoever finds an attempt without a place looks for the message before sending it again,
so that neither a crash nor a lost answer posts twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.alerter import store
from services.alerter.domain.incident import Incident
from services.alerter.domain.message import render
from services.alerter.metrics import MESSAGES, UNTOLD
from services.alerter.ports import Mark, MessageGone, Messenger, Posted, Refused, SlowDown
from services.alerter.store import Untold, UntoldReply
from so1s.store import Store

log = structlog.get_logger()


class Teller:
    """Brings people's view of the incidents up to date."""

    def __init__(
        self,
        state: Store,
        messenger: Messenger,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._state = state
        self._messenger = messenger
        self._sleep = sleep

    async def tell(self) -> None:
        """One round over all that is untold.

        Raises:
            TemporaryError: the messenger is away; the rest waits for the next round.
            Refused: it will not take one of them; the others were told.
        """
        async with self._state.read() as connection:
            waiting = await store.untold(connection)
        UNTOLD.set(len(waiting))
        refused = None
        for untold in waiting:
            try:
                await self._tell_one(untold)
            except SlowDown as error:
                log.warning("slack asks for a pause", seconds=error.seconds)
                await self._sleep(error.seconds)
                return
            except Refused as error:
                log.warning("incident is refused", incident=untold.incident.id, reason=str(error))
                refused = error
            else:
                UNTOLD.dec()
        if refused:
            raise refused

    async def _tell_one(self, untold: Untold) -> None:
        incident = untold.incident
        try:
            posted, shown = await self._show(untold)
            for reply in untold.replies:
                await self._reply(posted, reply)
            if shown < incident.revision:
                await self._edit(posted, incident)
        except MessageGone as error:
            log.warning("incident cannot be told any more", incident=incident.id, reason=str(error))
            async with self._state.transaction() as tx:
                await store.give_up(tx, incident.id, incident.revision)

    async def _show(self, untold: Untold) -> tuple[Posted, int]:
        """Where the message is, and at least which revision it shows."""
        incident, shown = untold.incident, untold.told_revision
        if untold.posted is not None:
            return untold.posted, shown
        posted = await self._find(untold)
        if posted is None:
            account = incident.finding.subject.account
            posted = await self._messenger.post(render(incident), Mark(incident.id), account)
            shown = incident.revision
            MESSAGES.labels("post").inc()
        async with self._state.transaction() as tx:
            await store.mark_posted(tx, incident.id, posted, shown)
        return posted, shown

    async def _find(self, untold: Untold) -> Posted | None:
        mark = Mark(untold.incident.id)
        if untold.attempted_at is not None:
            account = untold.incident.finding.subject.account
            return await self._messenger.find(mark, account, untold.attempted_at)
        await self._attempt(mark)
        return None

    async def _edit(self, posted: Posted, incident: Incident) -> None:
        await self._messenger.edit(posted, render(incident), Mark(incident.id))
        MESSAGES.labels("edit").inc()
        async with self._state.transaction() as tx:
            await store.mark_posted(tx, incident.id, posted, incident.revision)

    async def _reply(self, posted: Posted, reply: UntoldReply) -> None:
        mark = Mark(reply.entry.incident, reply.entry.revision)
        if not reply.attempted:
            await self._attempt(mark)
        if not reply.attempted or await self._messenger.find_reply(posted, mark) is None:
            await self._messenger.reply(posted, reply.entry.text, mark)
            MESSAGES.labels("reply").inc()
        async with self._state.transaction() as tx:
            await store.mark_replied(tx, mark)

    async def _attempt(self, mark: Mark) -> None:
        async with self._state.transaction() as tx:
            await store.mark_attempt(tx, mark)
