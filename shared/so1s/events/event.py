"""What an event is, and the catalogue of all of them.

An event's class is the only place that names its type, topic, key and version:

    class ModelUploaded(Event, key=("account", "model")): ...

gives the type `so1s.ModelUploaded.v1` on the topic `so1s.model-uploaded`, keyed `ACCOUNT/MODEL`.
An event type of your own is declared the same way, with a `prefix` of your own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from so1s.errors import InvalidInput, Problem
from so1s.events.names import Account

MAX_EVENT_BYTES = 512 * 1024
"""The largest data of an event: half of Kafka's default message limit of 1 MiB."""

_PREFIX = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")


@dataclass(frozen=True)
class Topic:
    """A Kafka topic as it is provisioned."""

    name: str
    partitions: int
    retention_days: int


class Value(BaseModel):
    """A part of an event: immutable and strict."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Event(Value):
    """A past-tense fact or a request; a producer forbids unknown fields, a consumer ignores them."""

    account: Account

    type: ClassVar[str]
    topic: ClassVar[Topic]
    key_fields: ClassVar[tuple[str, ...]]

    def __init_subclass__(
        cls,
        *,
        key: tuple[str, ...] = (),
        version: int = 1,
        prefix: str = "so1s",
        partitions: int = 12,
        retention_days: int = 7,
        **kwargs: Any,
    ) -> None:
        """Name the type and the topic, and enter the class into the catalogue.

        Args:
            key: the fields that make the partition key; the first is `account`.
            version: of the class; a breaking change is a new class with the next number.
            prefix: of the type and the topic: `so1s`, or your own, such as `risk`.
            partitions: of the topic; never changed afterwards, since keys would move.
            retention_days: how long Kafka keeps the topic's events.
            kwargs: pydantic's own.
        """
        super().__init_subclass__(**kwargs)
        if not key:
            return  # a base class of a family is no event
        if key[0] != "account":
            raise TypeError(f"{cls.__name__}: key must start with 'account', not {key[0]!r}")
        if not _PREFIX.fullmatch(prefix):
            raise TypeError(f"{cls.__name__}: prefix must be of a-z, 0-9, '-' and '.', not {prefix!r}")
        bare = cls.__name__.removesuffix(f"V{version}")
        suffix = "" if version == 1 else f".v{version}"
        kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", bare).lower()
        cls.type = f"{prefix}.{bare}.v{version}"
        cls.topic = Topic(f"{prefix}.{kebab}{suffix}", partitions, retention_days)
        cls.key_fields = key

    @classmethod
    def __pydantic_init_subclass__(cls, **_kwargs: Any) -> None:
        """Enter the class, now that its fields are known, into the catalogue."""
        if "type" not in vars(cls):
            return
        if unknown := set(cls.key_fields) - set(cls.model_fields):
            raise TypeError(f"{cls.__name__}: key names {sorted(unknown)}, which are no fields of it")
        known = _catalogue.setdefault(cls.type, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__name__}: {cls.type} is declared by {known.__module__} already")
        _catalogue[cls.type] = cls

    @property
    def key(self) -> str:
        """The partition key and CloudEvents subject, such as `risk/fraud`."""
        return "/".join(str(getattr(self, field)) for field in self.key_fields)

    def to_json(self) -> bytes:
        """The data as it goes on the wire.

        Raises:
            InvalidInput: the data is larger than `MAX_EVENT_BYTES`.
        """
        data = self.model_dump_json().encode()
        _check_size(data)
        return data

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the data of this class; unknown fields are ignored.

        Raises:
            InvalidInput: the data breaks the class's rules, or is larger than `MAX_EVENT_BYTES`.
        """
        _check_size(data)
        try:
            return cls.model_validate_json(data, extra="ignore")
        except ValidationError as error:
            raise InvalidInput.from_pydantic(error, cls) from error


_catalogue: dict[str, type[Event]] = {}


def _check_size(data: bytes) -> None:
    if len(data) > MAX_EVENT_BYTES:
        rule = f"allowed: at most {MAX_EVENT_BYTES} bytes"
        raise InvalidInput([Problem("event", f"{len(data)} bytes", rule)])


def catalogue() -> dict[str, type[Event]]:
    """Every event class known here, by type."""
    return dict(sorted(_catalogue.items()))


def event_class(type_: str) -> type[Event]:
    """The class of a type.

    Raises:
        InvalidInput: no class of that type is known.
    """
    if type_ not in _catalogue:
        raise InvalidInput.of("type", type_, f"allowed: {', '.join(sorted(_catalogue))}")
    return _catalogue[type_]
