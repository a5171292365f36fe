"""What the router needs of the world, in its own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.router.domain.route import Route


class Mesh(Protocol):
    """The gateways that callers reach, and what they are told."""

    async def apply(self, routes: Sequence[Route]) -> Sequence[str]:
        """Tell the gateways to serve exactly these routes; a repetition changes nothing.

        What is in the mesh is compared with the routes, so that an edit by another hand is undone.
        A host goes from one route to the next in one step: until the next one's replicas answer
        their health checks, the mesh keeps the one before, and a later call goes on from there.

        Returns:
            The hosts whose route was not as told.

        Raises:
            TemporaryError: the mesh does not take anything now.
        """
        ...

    async def served(self, host: str) -> Sequence[int | None]:
        """The revision of a host's route that each gateway answers with; None where it has none."""
        ...

    def refusals(self) -> Mapping[str, str]:
        """Why hosts do not get the route that `apply` was told last, by host.

        The mesh will not take such a route as it is, so that to wait for it is in vain; the host keeps
        the route that it had, and the other hosts get theirs. A route that is merely not served yet is
        none of them.
        """
        ...
