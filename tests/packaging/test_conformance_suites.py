"""A port's suite holds each adapter to all of it, also once it has a promise more."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
IN_PART = {TESTS / "lab/test_cluster_kubernetes.py"}
"""Its servers answer no HTTP; the real ones of `lab/test_cluster_real_servers.py` are held to the rest."""
FUNCTIONS = ast.FunctionDef, ast.AsyncFunctionDef


def promises(suite: Path) -> set[str]:
    found = (node.name for node in ast.parse(suite.read_text()).body if isinstance(node, FUNCTIONS))
    return {name for name in found if name.startswith("test_")}


def taken(suite: Path) -> Iterator[tuple[Path, set[str]]]:
    """Which of its promises each other module runs that runs some."""
    module = ".".join(("tests", *suite.relative_to(TESTS).with_suffix("").parts))
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text()
        if f"from {module} import" in text:
            imports = (node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom))
            names = {each.name for node in imports if node.module == module for each in node.names}
            if mine := {name for name in names if name.startswith("test_")}:
                yield path, mine


def test_whoever_runs_a_ports_suite_runs_all_of_it():
    suites = [*TESTS.glob("*/*conformance.py"), TESTS / "builder/test_builder_images_port.py"]
    users = {suite: dict(taken(suite)) for suite in suites}
    assert sum(map(len, users.values())) > 10
    left_out = {
        (path.name, name)
        for suite, found in users.items()
        for path in found.keys() - IN_PART
        for name in promises(suite) - found[path]
    }
    assert left_out == set()
