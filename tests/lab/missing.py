"""What becomes of a test whose parts cannot run on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from so1s_lab.part import MissingPartError

REQUIRED = os.environ.get("SO1S_LAB_REQUIRED") == "1"
"""Where set, a part that cannot run fails the tests that need it; elsewhere they are skipped."""


def end_for_want_of(what: str) -> NoReturn:
    """Skip the test, which needs what this machine lacks; where nothing may be missing, let it fail."""
    (pytest.fail if REQUIRED else pytest.skip)(what)


@contextmanager
def skipped_where_missing() -> Iterator[None]:
    """Skip the test, with the reason, where a part cannot run on this machine."""
    try:
        yield
    except MissingPartError as missing:
        end_for_want_of(str(missing))
