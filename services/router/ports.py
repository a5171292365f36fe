"""What the router needs of the world, in its own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.router.domain.route import Route


@dataclass(frozen=True)
class Failure:
    """Why a host does not get the route that the mesh was told."""

    reason: str
    refused: bool
    """Whether the mesh will not take the route as it is, so that to wait for it is in vain."""


class Mesh(Protocol):
    """The gateways that callers reach, and what they are told."""

    async def apply(self, routes: Sequence[Route], *, keep_strangers: bool = False) -> Sequence[str]:
        """Tell the gateways to serve exactly these routes; a repetition changes nothing.

        What is in the mesh is compared with the routes, so that an edit by another hand is undone.
        A host goes from one route to the next in one step: until the next one's replicas answer
        their health checks, the mesh keeps the one before, and a later call goes on from there.
        Each host stands alone: what fails for one is told by `failures`, and tried again by later calls.

        Args:
            routes: all that shall be served.
            keep_strangers: let stay what is in the mesh and no call told of; `strangers` tells it.

        Returns:
            The hosts whose route was not as told.

        Raises:
            TemporaryError: nobody knows what is in the mesh now.
        """
        ...

    async def served(self, host: str) -> Sequence[int | None]:
        """The revision of a host's route that each gateway answers with; None where it has none."""
        ...

    def failures(self) -> Mapping[str, Failure]:
        """Why hosts do not get the route that `apply` was told last, or why they do not go, by host.

        Such a host keeps the route that it had, and the other hosts get theirs. A route that is merely
        not served yet is none of them.
        """
        ...

    def strangers(self) -> Sequence[str]:
        """The names of what is in the mesh, was told of by no call, and stays: see `apply`."""
        ...
