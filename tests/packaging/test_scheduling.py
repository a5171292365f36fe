"""How the tests are shared by processes."""

from dataclasses import dataclass
from pathlib import Path

from tests.scheduling import LONGEST, begin_with

ROOT = Path(__file__).parents[2]


@dataclass
class Item:
    nodeid: str


def test_what_begins_first_is_there():
    assert [path for path in LONGEST if not (ROOT / path).exists()] == []


def test_the_longest_begin_in_their_order_and_the_others_stay_in_theirs():
    items = [Item("tests/b.py::1"), Item("tests/a.py::1"), Item("tests/long/x.py::1"), Item("tests/a.py::2")]
    begin_with(["tests/long/", "tests/a.py"], items)
    assert [each.nodeid for each in items] == [
        "tests/long/x.py::1",
        "tests/a.py::1",
        "tests/a.py::2",
        "tests/b.py::1",
    ]
