"""What each IO type promises, of a server and of every gateway before one.

Whoever runs this has the fixtures `doors` and `column`, which is what the table calls them.
"""

import os
from collections.abc import Iterator

import pytest

from tests.iotypes.calls import CALLS, Call, Doors
from tests.iotypes.table import PAGE, with_proven


@pytest.fixture(scope="module")
def proven(column: str) -> Iterator[set[Call]]:
    """What was answered as it should be; written to docs/models.md where SO1S_WRITE_MODELS is set."""
    seen: set[Call] = set()
    yield seen
    if os.environ.get("SO1S_WRITE_MODELS"):
        PAGE.write_text(with_proven(PAGE.read_text(), column, seen))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.io_type} as {call.way}")
def test_a_value_of_each_io_type_goes_in_and_comes_out_in_each_way(
    doors: Doors, proven: set[Call], call: Call
):
    assert call.answered(doors) == call.wanted
    proven.add(call)
