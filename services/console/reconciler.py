"""What lies in the watched bucket → what is published."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.console import drops
from services.console.domain.drops import Base, Drop
from services.console.domain.drops import drops as drops_of
from services.console.heard import Heard
from services.console.metrics import (
    DROP_LAG_SECONDS,
    DROPS_LISTED,
    DROPS_REFUSED,
    DROPS_TAKEN,
    LISTING_SECONDS,
    OBJECTS_LISTED,
)
from services.console.ports import Listing
from so1s.store import Store

log = structlog.get_logger()


@dataclass(frozen=True)
class Drops:
    """Publishes each complete upload of a bucket once."""

    base: Base
    listing: Listing
    store: Store
    heard: Heard
    days: float
    """How long a drop is remembered after its files are gone."""

    async def reconcile(self) -> None:
        """List the bucket, publish or refuse what is not known yet, and forget what is long gone.

        Raises:
            Unreachable: it cannot be listed now.
        """
        found = await self._list()
        async with self.store.read() as connection:
            known = await drops.known(connection)
        for drop in found:
            if drop.id not in known:
                await self._take(drop)
        present = {drop.id for drop in found}
        gone = {each for each, since in known.items() if since is None and each not in present}
        back = {each for each, since in known.items() if since is not None and each in present}
        async with self.store.transaction() as tx:
            await drops.mark(tx, gone, gone_at=tx.now.timestamp())
            await drops.mark(tx, back, gone_at=None)
            await drops.prune(tx, self.days)

    async def _list(self) -> Sequence[Drop]:
        with LISTING_SECONDS.time():
            objects = await self.listing.objects(self.base)
        found = drops_of(self.base, objects)
        OBJECTS_LISTED.set(len(objects))
        DROPS_LISTED.set(len(found))
        return found

    async def _take(self, drop: Drop) -> None:
        notice, seconds_ago = self.heard.take(drop.key) or (None, 0.0)
        async with self.store.transaction() as tx:
            is_new = await drops.record(tx, drop, notice)
        if not is_new:
            return
        if drop.problem:
            DROPS_REFUSED.labels(drop.reason).inc()
            log.warning("a dropped upload is refused", uri=drop.uri, reason=drop.problem)
            return
        DROPS_TAKEN.inc()
        DROP_LAG_SECONDS.labels("modification").observe(max(time.time() - drop.modified_at, 0.0))
        if notice:
            DROP_LAG_SECONDS.labels("notification").observe(seconds_ago)
