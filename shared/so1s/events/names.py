"""The names that events carry, and their rules.

A host is one DNS label, `ENDPOINT--ACCOUNT`, so that one wildcard certificate serves all: names
hold no `--`, and both together stay within the 63 characters of RFC 1035.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

_NAME = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_VERSION = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = r"[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?"


def propose_name(text: str, longest: int) -> str:
    """The valid name nearest to `text`, at most `longest` characters; empty where none is near."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")


def propose_version(text: str) -> str:
    """The valid version nearest to `text`; empty where none is near."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:63].strip("._-")


def host_label(endpoint: str, account: str) -> str:
    """The first DNS label of an endpoint's host."""
    return f"{endpoint}--{account}"


def _matching(pattern: str, rule: str, propose: Callable[[str], str]) -> Callable[[str], str]:
    matches = re.compile(pattern).fullmatch

    def check(value: str) -> str:
        if matches(value):
            return value
        near = propose(value)
        hint = f"; for example {near!r}" if matches(near) else ""
        raise ValueError(f"allowed: {rule}{hint}")

    return check


def _name(shortest: int, longest: int) -> tuple[AfterValidator, object]:
    pattern = rf"(?=.{{{shortest},{longest}}}\Z){_NAME}"
    rule = f"{shortest} to {longest} characters of a-z, 0-9 and single '-' between them"
    check = _matching(pattern, rule, lambda text: propose_name(text, longest))
    schema = Field(json_schema_extra={"pattern": f"^{_NAME}$", "minLength": shortest, "maxLength": longest})
    return AfterValidator(check), schema


_version_rule = "1 to 63 characters of A-Z, a-z, 0-9, '.', '_' and '-', with a letter or digit at both ends"
_key_rule = "1 to 63 characters of a-z, 0-9, '.', '_', '/' and '-', with a letter or digit at both ends"

Account = Annotated[str, *_name(3, 20)]
"""A tenant's name."""

Name = Annotated[str, *_name(3, 40)]
"""The name of a model, a deployment, an endpoint or a check."""

Version = Annotated[
    str,
    AfterValidator(_matching(_VERSION, _version_rule, propose_version)),
    Field(json_schema_extra={"pattern": f"^{_VERSION}$"}),
]
"""The name of one immutable member of a model's series."""

Said = Annotated[str, Field(max_length=255)]
"""A name or version as somebody said it, which may break its rule: for events that refuse it."""

Actor = Annotated[str, Field(min_length=1, max_length=128)]
"""Who did something: a user or a pipeline, such as `user:jiho` or `airflow:risk_daily`."""

LabelKey = Annotated[str, AfterValidator(_matching(_LABEL_KEY, _key_rule, lambda text: text.lower()))]
Labels = Annotated[dict[LabelKey, Annotated[str, Field(max_length=63)]], Field(max_length=16)]
"""At most 16 `key: value` pairs by which costs are allocated."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""The sha256 of an image's manifest, as OCI writes it."""
