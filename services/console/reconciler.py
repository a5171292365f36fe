"""What lies in the watched bucket → what is published."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from services.console import drops
from services.console.domain.drops import Base
from services.console.domain.drops import drops as drops_of
from services.console.ports import Listing
from so1s.store import Store

log = structlog.get_logger()


@dataclass(frozen=True)
class Drops:
    """Publishes each complete upload of a bucket once."""

    base: Base
    listing: Listing
    store: Store

    async def reconcile(self) -> None:
        """List the bucket, and publish or refuse what is not known yet.

        Raises:
            Unreachable: it cannot be listed now.
        """
        found = drops_of(self.base, await self.listing.objects(self.base))
        async with self.store.read() as connection:
            known = await drops.known(connection)
        for drop in found:
            if drop.id in known:
                continue
            async with self.store.transaction() as tx:
                is_new = await drops.record(tx, drop)
            if is_new and drop.problem:
                log.warning("a dropped upload is refused", uri=drop.uri, reason=drop.problem)
