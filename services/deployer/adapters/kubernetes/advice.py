"""What would fit, where replicas find no node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import structlog

from services.deployer.adapters.kubernetes import names
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.adapters.kubernetes.room import read_room
from services.deployer.domain.capacity import refusal_on_nodes
from services.deployer.domain.observation import Observation
from so1s.errors import TemporaryError
from so1s.events import Resources
from so1s.kubernetes import Api, Refused

log = structlog.get_logger()


class Advice:
    """The advice on each deployment that is short of room.

    The room is read once for each trouble: it changes all the time. Where it can't be read there is no
    advice, and all else goes on.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._known: dict[names.Key, str] = {}

    def forget(self, key: names.Key) -> None:
        """Give advice anew at the next trouble."""
        self._known.pop(key, None)

    async def give(
        self, api: Api, seen: Iterable[Observation], resources: Mapping[names.Key, Resources]
    ) -> list[Observation]:
        """The observations, with what is free said where replicas find no node.

        Args:
            api: to read the room from, once at most.
            seen: without advice.
            resources: what one replica of each deployment reserves, as far as it is known.
        """
        seen = list(seen)
        short = {_key(each): each.trouble.unscheduled for each in seen if each.trouble}
        short = {key: waiting for key, waiting in short.items() if waiting and key in resources}
        self._known = {key: said for key, said in self._known.items() if key in short}
        if unadvised := short.keys() - self._known.keys():
            self._known |= await self._look({key: (resources[key], short[key]) for key in unadvised}, api)
        return [_with(each, self._known.get(_key(each))) for each in seen]

    async def _look(
        self, waiting: Mapping[names.Key, tuple[Resources, int]], api: Api
    ) -> dict[names.Key, str]:
        try:
            free = await read_room(api, self._options)
        except (Refused, TemporaryError) as error:
            log.warning("what is free on the nodes can't be read", reason=str(error))
            return dict.fromkeys(waiting, "")
        return {key: refusal_on_nodes(one, count, free) for key, (one, count) in waiting.items()}


def _key(seen: Observation) -> names.Key:
    return seen.account, seen.deployment


def _with(seen: Observation, advice: str | None) -> Observation:
    if not (seen.trouble and advice):
        return seen
    return replace(seen, trouble=replace(seen.trouble, message=f"{seen.trouble.message} {advice}"))
