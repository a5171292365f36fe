"""What the deployments of an account share: a namespace, and in it a service account and a pull secret.

With an account's last deployment the service account and the secret, which holds credentials, go too. The
namespace stays: others may have put something into it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

import structlog

from services.deployer.adapters.kubernetes import manifests, names
from services.deployer.adapters.kubernetes.options import Options
from so1s.errors import TemporaryError
from so1s.kubernetes import Api, Refused
from so1s.kubernetes.paths import path

log = structlog.get_logger()

_FRESH_SECONDS = 600.0
"""How soon a pull secret that was renewed is copied again."""
_DOUBT_SECONDS = 10.0
"""How soon it is applied again where replicas seem to lack it: a kubelet pulls again after as long."""
_REFUSED_SECONDS = 3600.0
"""How soon its removal is tried again where it was refused, as for a right that the deployer lacks."""


class Accounts:
    """Makes it, makes it again where it is found to be gone, and removes it once nothing needs it."""

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
        """Of each account that has it, as far as this process made it."""
        self._removed_from: dict[str, float] = {}
        """When its removal may be tried again, of each account where that did not work."""

    async def find(self) -> None:
        """Know of what is there from before.

        Raises:
            Refused: it may not be read.
            TemporaryError: the API does not answer.
        """
        found = await self._api.read(path("v1", "ServiceAccount"), {"labelSelector": names.MANAGED})
        for meta in (each["metadata"] for each in found["items"]):
            account = meta["labels"].get(names.ACCOUNT, "")
            if meta["namespace"] == self._options.namespace(account):
                self._applied_at[account] = -math.inf

    async def ensure(self, account: str) -> None:
        """Make it be there, if it was not made lately.

        Raises:
            Refused: it will not be taken.
            TemporaryError: it is not taken now.
        """
        self._applied_at.setdefault(account, -math.inf)  # a part of it is to go, too
        if self._age(account) >= _FRESH_SECONDS:
            await self._apply(account)
            self._applied_at[account] = self._clock()

    def forget(self, account: str) -> None:
        """Something of it is gone: the next call makes it anew."""
        self._applied_at[account] = -math.inf

    async def keep(self, in_use: AbstractSet[str]) -> None:
        """Remove it from the namespace of one other account: who observes deployments waits for it."""
        due = {each: self._removed_from.get(each, -math.inf) for each in self._applied_at.keys() - in_use}
        account = min(due, key=lambda each: due[each], default=None)
        if account is None or self._clock() < due[account]:
            return
        try:
            await self._remove(account)
        except Refused as error:
            log.warning("what an account's replicas shared stays", account=account, reason=str(error))
            self._removed_from[account] = self._clock() + _REFUSED_SECONDS
        except TemporaryError as error:
            log.debug("it is removed later", account=account, reason=str(error))
            self._removed_from[account] = self._clock()  # behind the others
        else:
            del self._applied_at[account]
            self._removed_from.pop(account, None)

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

    async def _remove(self, account: str) -> None:
        namespace = self._options.namespace(account)
        if self._options.image_pull_secret:
            await self._api.delete("v1", "Secret", namespace, names.PULL_SECRET)
        await self._api.delete("v1", "ServiceAccount", namespace, names.SERVER_ACCOUNT)

    async def _copy_pull_secret(self, account: str, namespace: str, name: str) -> None:
        source = await self._api.get("v1", "Secret", namespace, name)
        if source is None:
            raise TemporaryError(f"image_pull_secret: there is no Secret {namespace}/{name}")
        await self._api.apply(manifests.pull_secret(account, self._options, source), manager=names.MANAGER)
