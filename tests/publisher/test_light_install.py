"""What works without the extra `service`, and what an import costs."""

import subprocess
import sys

import pytest

BLOCKED = ("alembic", "boto3", "faststream", "prometheus_client", "sqlalchemy", "starlette", "uvicorn")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["publisher", "pipeline", "events", "modelfile", "cli.app"])
def test_a_pipeline_needs_none_of_the_packages_of_a_service(module):
    block = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r}))"
    assert run(f"{block}; import so1s.{module}; print('imported')") == "imported"


def test_importing_the_library_imports_nothing_else():
    assert (
        run("import sys, so1s; print([m for m in sys.modules if m.startswith(('pydantic', 'aiokafka'))])")
        == "[]"
    )


def test_every_exported_name_can_be_had():
    assert run("import so1s; [getattr(so1s, name) for name in so1s.__all__]; print('all')") == "all"


AWAY = """
import so1s
try:
    with so1s.Publisher(so1s.ClientSettings(kafka="127.0.0.1:1"), patience_seconds=0.1):
        pass
except so1s.Unreachable as error:
    print(error)
"""


def test_where_nobody_configures_logging_aiokafkas_tries_to_connect_are_not_printed():
    done = subprocess.run([sys.executable, "-c", AWAY], capture_output=True, text=True, check=True)
    assert "Kafka does not answer at 127.0.0.1:1" in done.stdout
    assert "Unable connect" not in done.stderr
