"""The table of docs/models.md: in which ways each IO type was sent, and before which doors."""

from collections.abc import Collection
from pathlib import Path

from tests.iotypes.calls import CALLS, Call

PAGE = Path(__file__).parents[2] / "docs/models.md"
COLUMNS = ("a server", "Envoy (laptop)", "Istio (cluster)")

_MARKS = ("<!-- io types: begin -->", "<!-- io types: end -->")
_PROVEN = "✓"


def rows(page: str) -> list[list[str]]:
    """The cells of each row of a page's table."""
    lines = page.partition(_MARKS[0])[2].partition(_MARKS[1])[0].splitlines()[3:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def expected() -> list[list[str]]:
    """The rows of a table where everything is proven."""
    return [[*_head(io_type), *([_PROVEN] * len(COLUMNS))] for io_type in _types()]


def with_proven(page: str, column: str, seen: Collection[Call]) -> str:
    """The page, where a column is proven of the types of which every call was seen to be answered.

    What was not seen keeps the mark that it had.
    """
    known = {tuple(row[:2]): row[2:] for row in rows(page)}
    made = []
    for io_type in _types():
        marks = known.get(_head(io_type), [""] * len(COLUMNS))
        if all(call in seen for call in CALLS if call.io_type == io_type):
            marks[COLUMNS.index(column)] = _PROVEN
        made.append([*_head(io_type), *marks])
    head = ["type", "sent as", *COLUMNS]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *made)]
    before, _, rest = page.partition(_MARKS[0])
    return "\n".join([before + _MARKS[0], *lines, _MARKS[1] + rest.partition(_MARKS[1])[2]])


def _types() -> list[str]:
    return list(dict.fromkeys(call.io_type for call in CALLS))


def _head(io_type: str) -> tuple[str, str]:
    return f"`{io_type}`", ", ".join(call.way for call in CALLS if call.io_type == io_type)
