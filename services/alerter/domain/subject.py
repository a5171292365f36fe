"""What an incident is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Subject:
    """The thing of an account that a rule watches, from its owner down to itself."""

    account: str
    names: tuple[tuple[str, str], ...]
    """Pairs of kind and name, such as `(("endpoint", "fraud"), ("variant", "fraud-next"))`."""

    @classmethod
    def of(cls, account: str, **names: str) -> Self:
        """Name a subject: `Subject.of("risk", endpoint="fraud", variant="fraud-next")`."""
        return cls(account, tuple(names.items()))

    @property
    def key(self) -> str:
        """One word for it within the account: `endpoint/fraud/variant/fraud-next`."""
        return "/".join(f"{kind}/{name}" for kind, name in self.names)

    @property
    def text(self) -> str:
        """What people read: `endpoint fraud, variant fraud-next`."""
        return ", ".join(f"{kind} {name}" for kind, name in self.names)

    @property
    def name(self) -> str:
        """The innermost name: `fraud-next`."""
        return self.names[-1][1]

    @property
    def deployment(self) -> str | None:
        """The deployment that is affected, if one is; a variant bears its deployment's name."""
        names = dict(self.names)
        return names.get("variant", names.get("deployment"))

    @property
    def endpoint(self) -> str | None:
        """The endpoint that is affected, if one is."""
        return dict(self.names).get("endpoint")
