"""What the deployments of an account share, in its namespace."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

import structlog

from services.deployer.adapters.kubernetes import manifests, names
from services.deployer.adapters.kubernetes.options import Options
from so1s.errors import TemporaryError
from so1s.kubernetes import Api, Refused

log = structlog.get_logger()

_FRESH_SECONDS = 600.0
"""How soon a pull secret that was renewed is copied again."""
_DOUBT_SECONDS = 10.0
"""How soon it is applied again where replicas seem to lack it: a kubelet pulls again after as long."""


class Accounts:
    """Makes it, and makes it again where it is found to be gone."""

    def __init__(self, api: Api, options: Options, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the parts.

        Args:
            api: the API server.
            options: of all deployments.
            clock: monotonic seconds.
        """
        self._api = api
        self._options = options
        self._clock = clock
        self._applied_at: dict[str, float] = {}

    async def ensure(self, account: str) -> None:
        """Make it be there, if it was not made lately.

        Raises:
            Refused: it will not be taken.
            TemporaryError: it is not taken now.
        """
        if self._age(account) >= _FRESH_SECONDS:
            await self._apply(account)
            self._applied_at[account] = self._clock()

    def forget(self, account: str) -> None:
        """Something of it is gone: the next call makes it anew."""
        self._applied_at.pop(account, None)

    async def mend(self, accounts: Iterable[str]) -> None:
        """Make it anew for accounts whose replicas seem to lack it, if it was made before."""
        for account in accounts:
            if not _DOUBT_SECONDS <= self._age(account) < math.inf:
                continue
            log.info("replicas may lack what their account's share; it is applied again", account=account)
            self._applied_at[account] = self._clock()
            try:
                await self._apply(account)
            except (Refused, TemporaryError) as error:
                log.warning(
                    "what an account's replicas share is not applied", account=account, reason=str(error)
                )

    def _age(self, account: str) -> float:
        return self._clock() - self._applied_at.get(account, -math.inf)

    async def _apply(self, account: str) -> None:
        for manifest in manifests.of_account(account, self._options):
            await self._api.apply(manifest, manager=names.MANAGER)
        if self._options.image_pull_secret:
            await self._copy_pull_secret(account, *self._options.image_pull_secret)

    async def _copy_pull_secret(self, account: str, namespace: str, name: str) -> None:
        source = await self._api.get("v1", "Secret", namespace, name)
        if source is None:
            raise TemporaryError(f"image_pull_secret: there is no Secret {namespace}/{name}")
        await self._api.apply(manifests.pull_secret(account, self._options, source), manager=names.MANAGER)
