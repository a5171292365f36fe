"""The price book as a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from services.billing.domain.prices import Price, PriceBook
from so1s.errors import InvalidInput

log = structlog.get_logger()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    prices: list[Price]


def load(path: Path) -> PriceBook:
    """Read a price book, and warn of meters that it leaves free at first, which may be a mistake in a day.

    Raises:
        InvalidInput: the file is not TOML, or its prices break a rule; every problem is named.
        OSError: the file cannot be read.
    """
    try:
        book = PriceBook(_File.model_validate(tomllib.loads(path.read_text())).prices)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput.of("price_book", str(path), f"allowed: a TOML file; {error}") from error
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error, _File) from error
    for price in book.late:
        log.warning("a meter is free before its first price", meter=price.meter, day=str(price.valid_from))
    return book
