"""The table of docs/models.md: each format, what goes in, and before which doors it was called."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.models.doors import ENVOY, ISTIO, SERVER

PAGE = Path(__file__).parents[2] / "docs/models.md"
_MARKS = ("<!-- proven: begin -->", "<!-- proven: end -->")
_DOORS = (SERVER, ENVOY, ISTIO)
_HEAD = ["example", "format", "goes in", "library", "tolerance", *_DOORS, "libraries, MiB", "start, s"]
_PROVEN = "✓"


@dataclass(frozen=True)
class Proof:
    """One model that was trained, uploaded, built and served, with answers like its library's."""

    example: str
    format: str
    types: Sequence[str]
    """The IO types that go in."""
    library: str
    tolerance: float
    doors: Collection[str]
    """Before which it was called in each way."""
    layer_mib: float
    start_seconds: float

    def row(self, before: Sequence[str]) -> list[str]:
        """Its cells; a door that was not there has the mark that it had `before`."""
        old = dict(zip(_HEAD, before, strict=False))
        marks = [_PROVEN if each in self.doors else old.get(each, "") for each in _DOORS]
        types = ", ".join(f"`{each}`" for each in self.types)
        figures = [f"{self.layer_mib:.0f}", f"{self.start_seconds:.1f}"]
        return [self.example, self.format, types, self.library, f"{self.tolerance:g}", *marks, *figures]


def with_proven(page: str, proofs: Iterable[Proof]) -> str:
    """The page with what was proven; what was skipped or failed keeps the row that it had."""
    before, _, rest = page.partition(_MARKS[0])
    old, _, after = rest.partition(_MARKS[1])
    rows = {cells[0]: cells for cells in map(_cells, old.splitlines()[3:])}
    rows |= {each.example: each.row(rows.get(each.example, ())) for each in proofs}
    made = [_HEAD, ["---"] * len(_HEAD), *(cells for _, cells in sorted(rows.items()))]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in made)
    return f"{before}{_MARKS[0]}\n{table}\n{_MARKS[1]}{after}"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
