"""Contracts of events: JSON schemas, what may change in them, and the documents made of them.

    python -m so1s.contracts DIRECTORY --module acme.events            check
    python -m so1s.contracts DIRECTORY --module acme.events --write    write what may be written

keeps one schema file an event type, and refuses to overwrite it with a breaking change.
"""

from so1s.contracts.compatibility import Change, compare
from so1s.contracts.schemas import contract

__all__ = ["Change", "compare", "contract"]
