"""What the laptop's platform is told: one TOML file."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from so1s.errors import InvalidInput
from so1s.events.names import Account

Port = Annotated[int, Field(ge=0, le=65535)]


class LocalSettings(BaseModel):
    """One machine's platform."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: Account
    domain: str
    window_seconds: Annotated[int, Field(ge=1, le=3600)]
    log_format: Literal["json", "console"]
    ports: dict[str, Port]
    services: dict[str, dict[str, str | int | float | bool]]


def load(path: Path | None = None) -> LocalSettings:
    """Read a settings file; the shipped one where none is given.

    Raises:
        InvalidInput: with every field that is wrong; or the file cannot be read.
    """
    try:
        text = (path or files("so1s_local").joinpath("local.toml")).read_text()
    except OSError as error:
        raise InvalidInput.of("config", str(path), f"allowed: a file ({error.strerror})") from error
    try:
        return LocalSettings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput.of(str(path), str(error), "allowed: TOML") from error
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error, LocalSettings) from error
