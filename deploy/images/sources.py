"""What a service consists of, as the checkout tells: its code, and what uv.lock pins for it."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import uv

from deploy.images.recipe import Service

CHECKOUT = Path(__file__).resolve().parents[2]

_NOT_CODE = shutil.ignore_patterns("__pycache__", "pyproject.toml", ".*")


@dataclass(frozen=True)
class Locked:
    """What a service needs beside its own code."""

    requirements: str
    """Of the package index, one a line with its hashes, as pip reads them."""
    members: tuple[Path, ...]
    """Directories of the workspace."""


def services() -> list[str]:
    """The names of all that can run."""
    return sorted(path.parent.name for path in CHECKOUT.glob("services/*/__main__.py"))


def describe(name: str) -> Service:
    """A service, as its pyproject.toml has it."""
    said = _pyproject(CHECKOUT / "services" / name)["project"]
    return Service(name, said["description"], said["version"], said["license"])


def locked(name: str) -> Locked:
    """What uv.lock pins for a service alone.

    Raises:
        subprocess.CalledProcessError: uv refuses; it has printed why.
    """
    what = ["--package", f"so1s-{name}", "--no-dev", "--no-editable"]
    form = ["--frozen", "--no-header", "--no-annotate", "--quiet"]
    done = subprocess.run(  # noqa: S603 - the arguments are names of this checkout
        [uv.find_uv_bin(), "export", *what, *form],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines(keepends=True)
    members = tuple(CHECKOUT / line.strip() for line in lines if line.startswith("./"))
    return Locked("".join(line for line in lines if not line.startswith("./")), members)


def copy_code(name: str, members: tuple[Path, ...], into: Path) -> None:
    """Copy a service's package, and those of the members that it needs, into a new directory.

    Beside a member lies what its installation says of it: a service asks for versions and requirements.

    Raises:
        LookupError: the installation of a member says nothing.
    """
    for member in members:
        _copy_metadata(_pyproject(member)["project"]["name"], into)
        for package in _pyproject(member)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
            shutil.copytree(member / package, into / Path(package).name, ignore=_NOT_CODE)
    own = into / "services"
    shutil.copytree(CHECKOUT / "services" / name, own / name, ignore=_NOT_CODE)
    shutil.copyfile(CHECKOUT / "services" / "__init__.py", own / "__init__.py")


def _copy_metadata(name: str, into: Path) -> None:
    """Where `importlib.metadata` finds it: https://packaging.python.org/specifications/recording-installed-packages."""
    found = distribution(name)
    metadata = found.read_text("METADATA")
    if not metadata:
        raise LookupError(f"what is installed of {name} has no METADATA; uv sync installs it anew")
    home = into / f"{name.replace('-', '_')}-{found.version}.dist-info"
    home.mkdir(parents=True)
    (home / "METADATA").write_text(metadata, encoding="utf-8")


def _pyproject(directory: Path) -> dict:
    return tomllib.loads((directory / "pyproject.toml").read_text())
