"""What every part of the lab is."""

from __future__ import annotations

from typing import Protocol

from so1s_local.process import Unit


class MissingPartError(Exception):
    """A part cannot run on this machine; the message says what is missing, and how to get it."""


class Part(Protocol):
    """One real program; its addresses are attributes of its own."""

    @property
    def name(self) -> str:
        """What it is called in tables and logs: `etcd`."""
        ...

    @property
    def version(self) -> str:
        """The version of the program itself."""
        ...

    def prepare(self) -> None:
        """Build or download what it needs, and write its configuration; may take minutes the first time.

        Raises:
            MissingPartError: it cannot run on this machine.
        """
        ...

    def unit(self) -> Unit:
        """What to run, and how to know that it is ready; asked once it is prepared."""
        ...
