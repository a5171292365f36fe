"""What a service's image has beside its libraries."""

import subprocess
import sys
import tomllib
from importlib.metadata import PathDistribution
from itertools import chain

import pytest
from packaging.requirements import Requirement

from deploy.images import sources
from services.builder.packages import runtime_version

ASKED = """
from importlib.metadata import requires, version
print(version("so1s-runtime"), *requires("so1s-runtime"), sep="\\n")
"""


@pytest.mark.parametrize("name", sources.services())
def test_its_code_has_all_packages_of_the_workspace_that_it_needs(tmp_path, name):
    locked = sources.locked(name)
    sources.copy_code(name, locked.members, tmp_path)

    assert (tmp_path / f"services/{name}/__main__.py").exists()
    assert (tmp_path / "so1s/__init__.py").exists()
    assert len(list(tmp_path.glob("*.dist-info/METADATA"))) == len(locked.members)


def test_the_builder_knows_the_version_and_the_needs_of_the_server_that_it_packs(tmp_path):
    sources.copy_code("builder", sources.locked("builder").members, tmp_path)

    asked = [
        sys._base_executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{ASKED}",
    ]
    version, *needs = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()

    assert version == runtime_version()
    project = tomllib.loads((sources.CHECKOUT / "runtime/pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    assert packages(needs) == packages(declared)


def packages(needs: list[str]) -> set[tuple[str, str]]:
    """Names and versions, whatever they are needed for."""
    return {(each.name, str(each.specifier)) for each in map(Requirement, needs)}


def test_an_installation_that_says_nothing_of_itself_makes_no_image(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "distribution", lambda _: PathDistribution(tmp_path / "empty.dist-info"))
    with pytest.raises(LookupError, match="has no METADATA"):
        sources.copy_code("builder", sources.locked("builder").members, tmp_path / "image")
