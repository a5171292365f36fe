"""docs/lab.md says what the lab's parts are."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import so1s_lab

_PAGE = Path("docs/lab.md").read_text()
_ROW = re.compile(
    r"^\| (?P<part>[a-z0-9-]+) \| (?P<version>[^|]+) \| (?P<seconds>\d+\.\d) \| (?P<tests>[^|]+) \|",
    re.MULTILINE,
)
_ROWS = {row["part"]: row for row in _ROW.finditer(_PAGE)}


def _versions() -> dict[str, str]:
    """The version of each part, where it is known before it runs."""
    modules = (
        import_module(f"so1s_lab.{each.name}")
        for each in iter_modules(so1s_lab.__path__)
        if each.name[0] != "_"
    )
    return {
        each.name: each.version.removeprefix("v")
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each)
        and isinstance(getattr(each, "name", None), str)
        and isinstance(getattr(each, "version", None), str)
        and any(map(str.isdigit, each.version))  # a program of our own has no version
    }


@pytest.mark.parametrize(("part", "version"), _versions().items())
def test_the_table_has_every_part_with_its_version(part, version):
    if part == "istiod":
        version = version.rsplit("-", 1)[-1]  # a commit, beside the release that it is of
    assert version in _ROWS[part]["version"]


def test_every_test_that_the_table_names_is_there():
    named = {name for row in _ROWS.values() for name in row["tests"].split(", ")}
    assert {name for name in named if not Path("tests/lab", name).exists()} == set()


def test_the_table_has_the_parts_whose_version_the_machine_decides():
    assert {"registry", "prometheus"} <= _ROWS.keys()
