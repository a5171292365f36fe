"""The libraries that a checkout does not hold, installed as the builder does for its images."""

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import uv

from services.builder import app
from services.builder.locks import shipped
from so1s.events.model import Format
from tests.served_images import settings_in


@dataclass(frozen=True)
class Libraries:
    """The libraries of a format, as the builder installs them for its images."""

    site_packages: Path
    home: Path
    """Where libraries write what they remember."""

    def run(self, script: Path, *arguments: str, beside: Path | None = None) -> str:
        """What a script prints that runs on them alone, and on what lies `beside` them."""
        paths = [str(self.site_packages), *([str(beside)] if beside else [])]
        environment = {"PATH": os.defpath, "PYTHONPATH": ":".join(paths), "HOME": str(self.home)}
        command = [sys._base_executable, "-S", "-s", str(script), *arguments]
        done = subprocess.run(
            command, check=False, env=environment, capture_output=True, text=True, timeout=1200
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def version(self, package: str) -> str:
        (found,) = distributions(name=package, path=[str(self.site_packages)])
        return found.version


async def libraries_of(directory: Path, model_format: Format) -> Libraries:
    """The libraries of a format, installed by the builder of a directory."""
    world = app.make_world(settings_in(directory))
    dependencies = await world.dependencies.provide(shipped(model_format), print)
    world.inspector.close()
    home = directory / "home"
    home.mkdir(exist_ok=True)
    return Libraries(dependencies.site_packages, home)


def packages_beside(directory: Path, *requirements: str) -> Path:
    """Packages alone, without what they need, in a directory of their own."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(directory)]
    subprocess.run([*command, *requirements], check=True)
    return directory
