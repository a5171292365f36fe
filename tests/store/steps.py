"""The steps of all migrations as SQL: `python -m tests.store.steps` keeps new ones in tests/store/steps."""

import io
from collections.abc import Iterator
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

_ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "steps"


def packages() -> dict[str, Path]:
    """The directories of migrations, by whose they are."""
    services = {path.parent.name: path for path in _ROOT.glob("services/*/migrations")}
    return {"so1s": _ROOT / "shared/so1s/store/migrations", **services}


def steps(directory: Path) -> Iterator[tuple[str, str]]:
    """Each revision and its SQL for PostgreSQL, the first one first."""
    for script in reversed(list(ScriptDirectory(str(directory)).walk_revisions())):
        said = io.StringIO()
        options = {"as_sql": True, "output_buffer": said}
        context = MigrationContext.configure(dialect_name="postgresql", opts=options)
        with Operations.context(context):
            script.module.upgrade()
        yield script.revision, said.getvalue().strip() + "\n"


def golden(owner: str, revision: str) -> Path:
    """Where a step's SQL is kept."""
    return GOLDEN / owner / f"{revision}.sql"


def main() -> None:
    for owner, directory in packages().items():
        for revision, sql in steps(directory):
            path = golden(owner, revision)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(sql)


if __name__ == "__main__":
    main()
