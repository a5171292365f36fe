"""The library's wheel: typed, whole, and light without its extra."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "shared/so1s"
EXTRAS = tomllib.loads((ROOT / "shared/pyproject.toml").read_text())["project"]["optional-dependencies"]


def package(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_-]", requirement)[0].lower().replace("-", "_")


OF_SERVICES = {package(requirement) for requirement in EXTRAS["service"]}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    uv = ROOT / ".tools/bin/uv"
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", directory, ROOT / "shared"], check=True)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture
def metadata(wheel):
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(files.read(name).decode())


def test_every_module_and_the_mark_of_types_are_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as files:
        packed = {name for name in files.namelist() if name.startswith("so1s/")}
    wanted = {f"so1s/{path.relative_to(SOURCE)}" for path in SOURCE.rglob("*.py")} | {"so1s/py.typed"}
    assert packed >= wanted


def test_what_a_service_needs_is_no_requirement_of_a_pipeline(metadata):
    always = {package(line) for line in metadata.get_all("Requires-Dist") if "extra ==" not in line}
    assert {"faststream", "sqlalchemy", "alembic"} <= OF_SERVICES
    assert not always & OF_SERVICES
    assert metadata["Requires-Python"] == ">=3.11"


@pytest.mark.parametrize(
    "module", ["so1s", "so1s.events", "so1s.publisher", "so1s.contracts", "so1s.contracts.asyncapi"]
)
def test_the_wheel_alone_serves_a_pipeline_without_the_extra(wheel, module):
    program = f"""
import sys
sys.path.insert(0, {str(wheel)!r})
sys.modules.update(dict.fromkeys({OF_SERVICES!r}))
import {module}
print({module}.__file__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(wheel))
