"""What a request is called in answers and logs."""

import os
import re
from itertools import count
from typing import NamedTuple

# A caller's id is repeated in headers and logs, so it is short and printable.
_ID = re.compile(r"[\x21-\x7e]{1,128}")

# Ids are unique, not secret: a random number for the process, then a count.
_PROCESS = os.urandom(8).hex()
_COUNT = count()


def request_id(given: str | None) -> str:
    """The caller's id where it may be repeated, else a new one."""
    return given if given and _ID.fullmatch(given) else f"{_PROCESS}{next(_COUNT):016x}"


class Asked(NamedTuple):
    """A request as metrics and logs tell of it; `started` is of `time.perf_counter`."""

    route: str
    method: str
    path: str
    id: str
    started: float
