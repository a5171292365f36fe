"""Two versions of a service run side by side in an upgrade: the next step of its tables must suit both."""

import re

import pytest

from tests.store.steps import GOLDEN, golden, packages, steps

STEPS = [(owner, *step) for owner, directory in packages().items() for step in steps(directory)]
FIRST = "0001"


def breaks(sql: str) -> list[str]:
    """What the version before does not bear: all but new tables, and columns that it may leave out."""
    made = set(re.findall(r"CREATE TABLE (\w+)", sql))
    return [
        statement for statement in map(str.strip, sql.split(";")) if statement and not _adds(statement, made)
    ]


def _adds(statement: str, made: set[str]) -> bool:
    if statement.startswith("CREATE TABLE "):
        return True
    if index := re.match(r"CREATE (UNIQUE )?INDEX \w+ ON (\w+)", statement):
        # One that is unique refuses what the version before writes, where it writes at all.
        return not index[1] or index[2] in made
    column = re.match(r"ALTER TABLE \w+ ADD COLUMN (.*)", statement, re.DOTALL)
    return bool(column) and ("NOT NULL" not in column[1] or "DEFAULT" in column[1])


@pytest.mark.parametrize(("owner", "revision", "sql"), STEPS, ids=[f"{each[0]}-{each[1]}" for each in STEPS])
def test_a_step_stays_as_databases_have_taken_it(owner, revision, sql):
    path = golden(owner, revision)
    assert path.exists(), "a new step: python -m tests.store.steps"
    assert sql == path.read_text(), (
        "databases have taken this step, and will not take it again: add another one"
    )


def test_no_step_has_gone():
    known = {path.relative_to(GOLDEN).with_suffix("").as_posix() for path in GOLDEN.glob("*/*.sql")}
    assert known == {f"{owner}/{revision}" for owner, revision, _ in STEPS}


@pytest.mark.parametrize(
    ("owner", "revision", "sql"),
    [each for each in STEPS if each[1] != FIRST],
    ids=[f"{each[0]}-{each[1]}" for each in STEPS if each[1] != FIRST],
)
def test_the_version_before_bears_a_later_step(owner, revision, sql):
    assert breaks(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE builds DROP COLUMN model",
        "ALTER TABLE builds ALTER COLUMN model SET NOT NULL",
        "ALTER TABLE builds RENAME TO build",
        "ALTER TABLE builds ADD COLUMN stage VARCHAR(20) NOT NULL",
        "CREATE UNIQUE INDEX ix ON builds (model)",
        "DROP TABLE builds",
        "UPDATE builds SET model = 1",
    ],
)
def test_a_step_that_the_version_before_does_not_bear_is_seen(sql):
    assert breaks(sql) == [sql]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE builds ADD COLUMN stage VARCHAR(20)",
        "ALTER TABLE builds ADD COLUMN stage VARCHAR(20) DEFAULT '' NOT NULL",
        "CREATE INDEX ix ON builds (model)",
        "CREATE TABLE pets (name VARCHAR(40));\n\nCREATE UNIQUE INDEX ix ON pets (name)",
    ],
)
def test_a_step_that_adds_is_fine(sql):
    assert breaks(sql) == []
