"""The price book as a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.billing.domain.prices import Price, PriceBook
from so1s.errors import InvalidInput


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    prices: list[Price]


def load(path: Path) -> PriceBook:
    """Read a price book.

    Raises:
        InvalidInput: the file is not TOML, or its prices break a rule; every problem is named.
        OSError: the file cannot be read.
    """
    try:
        return PriceBook(_File.model_validate(tomllib.loads(path.read_text())).prices)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput.of("price_book", str(path), f"allowed: a TOML file; {error}") from error
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error, _File) from error
