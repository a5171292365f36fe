"""In-toto statements: what somebody says of an image, and nothing of whether they may be believed.

The formats are few fields of JSON: own models of them are smaller than the protobuf library for them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from so1s.supply_chain.formats import IN_TOTO, STATEMENT, STATEMENTS, pre_authentication

_SHA256 = "sha256"


class Subject(BaseModel):
    """What a statement is about."""

    model_config = ConfigDict(extra="ignore")

    name: str = ""
    digest: dict[str, str] = {}


class Statement(BaseModel):
    """Subjects, and a predicate about them."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, serialize_by_alias=True)

    type_: str = Field(default=STATEMENT, alias="_type")
    subject: list[Subject]
    predicate_type: str = Field(alias="predicateType")
    predicate: dict[str, Any] = {}

    @classmethod
    def of(cls, name: str, digest: str, predicate_type: str, predicate: dict[str, Any]) -> Self:
        """A statement about one image; `digest` is `sha256:…`."""
        subject = Subject(name=name, digest={_SHA256: digest.removeprefix(f"{_SHA256}:")})
        return cls(subject=[subject], predicate_type=predicate_type, predicate=predicate)

    @classmethod
    def parse(cls, payload: bytes) -> Self | None:
        """Read one; None where it is something else."""
        try:
            statement = cls.model_validate_json(payload)
        except ValidationError:
            return None
        return statement if statement.type_ in STATEMENTS else None

    def is_about(self, digest: str) -> bool:
        """Whether an image is among the subjects."""
        algorithm, _, value = digest.partition(":")
        return any(subject.digest.get(algorithm) == value for subject in self.subject)

    def to_json(self) -> bytes:
        """The same bytes for the same statement."""
        return json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":")).encode()


def newest(statements: Sequence[Statement], predicate_type: str) -> dict[str, Any] | None:
    """What the last statement of a type says: what is attached later lies behind."""
    found = [each.predicate for each in statements if each.predicate_type == predicate_type]
    return found[-1] if found else None


def envelope(statement: Statement, sign: Callable[[bytes], bytes]) -> bytes:
    """The DSSE envelope of a statement, with one signature."""
    payload = statement.to_json()
    signature = sign(pre_authentication(IN_TOTO, payload))
    signatures = [{"keyid": "", "sig": base64.b64encode(signature).decode()}]
    fields = {
        "payloadType": IN_TOTO,
        "payload": base64.b64encode(payload).decode(),
        "signatures": signatures,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
