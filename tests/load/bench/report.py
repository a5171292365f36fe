"""The table, in a terminal and as a page."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from rich.table import Table

from tests.load.bench.figure import Figure, shown

_COLUMNS = ("figure", "ours", "unit", "beside", "theirs", "ratio")
_NUMBERS = {"ours", "theirs", "ratio"}
_FAST, _FAIR = 0.7, 0.4


@dataclass(frozen=True)
class Family:
    """Figures that one command measures: a chapter of the page."""

    title: str
    command: str


LAPTOP = Family("On one machine", "make bench")
CLUSTER = Family("On a cluster", "make bench CLUSTER=lab")


@dataclass(frozen=True)
class Section:
    """What one module measured."""

    title: str
    note: str
    """Where the difference comes from."""
    figures: Sequence[Figure]


def table(sections: Sequence[Section]) -> Table:
    """What a terminal shows."""
    made = Table(title="So1s beside its peers", title_justify="left", header_style="dim", border_style="dim")
    for column in _COLUMNS:
        made.add_column(column, justify="right" if column in _NUMBERS else "left")
    for section in sections:
        made.add_section()
        made.add_row(f"[bold cyan]{section.title}")
        for before, figure in pairwise([None, *section.figures]):
            name, *cells, ratio = _cells(figure)
            once = "" if before and before.name == name else name
            made.add_row(once, *cells, f"[{_colour(figure.ratio)}]{ratio}")
    return made


def page(before: str, family: Family, sections: Sequence[Section], notes: Sequence[str]) -> str:
    """What docs/benchmarks.md says: the figures of one family anew, those of the other as they were."""
    known = {chapter.partition("\n")[0]: chapter for chapter in before.split("\n## ")[1:]}
    known[family.title] = _chapter(family, sections, notes)
    chapters = [known[each.title] for each in (LAPTOP, CLUSTER) if each.title in known]
    return "\n## ".join([_HEAD, *(f"{each.rstrip()}\n" for each in chapters)])


def _chapter(family: Family, sections: Sequence[Section], notes: Sequence[str]) -> str:
    lines = [family.title, "", f"Written by `{family.command}`:", ""]
    lines += [*(f"- {note}" for note in [*machine(), *notes]), ""]
    for section in sections:
        lines += [f"### {section.title}", "", _line(_COLUMNS), _line(_rules())]
        lines += [*(_line(_cells(figure)) for figure in section.figures), "", section.note, ""]
    return "\n".join(lines)


def machine() -> list[str]:
    """What the figures were measured on."""
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return [
        f"{datetime.now().astimezone():%Y-%m-%d}",
        f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}",
        f"load average {load:.1f} at the end: others may use the machine, too",
    ]


def write(path: Path, family: Family, sections: Sequence[Section], notes: Sequence[str]) -> None:
    path.write_text(page(path.read_text(), family, sections, notes))


def _cells(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return figure.name, shown(figure.ours), figure.unit, figure.peer, shown(figure.theirs), ratio


def _colour(ratio: float | None) -> str:
    if ratio is None:
        return "default"
    return "green" if ratio >= _FAST else "yellow" if ratio >= _FAIR else "red"


def _rules() -> list[str]:
    return ["--:" if column in _NUMBERS else "---" for column in _COLUMNS]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


_HEAD = """\
# Benchmarks

Each figure stands beside a peer, another way to do the same, or beside a limit of the machine. Both were
measured in the same run, in turns, and the medians are shown. The ratio is how much of the peer's speed
ours has: 1 is as fast, 0.5 takes twice the time. Read ratios: the figures are this machine's.

One part alone is measured by `.venv/bin/python -m tests.load.bench PART`. `asgi` told, on a quiet machine,
that [uvicorn carries the inference server](decisions/0031-uvicorn-carries-the-inference-server.md).
"""
