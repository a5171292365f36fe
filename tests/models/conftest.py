"""One builder for all models, and the table of what was proven with them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest
import uv

from services.builder import app
from services.builder.locks import shipped
from so1s.events.model import Format
from tests.served_images import settings_in

TABLE = Path(__file__).parents[2] / "docs/models.md"
_MARKS = ("<!-- proven: begin -->", "<!-- proven: end -->")
_GIB = 2**30


@dataclass(frozen=True)
class Proof:
    """One model that was trained, uploaded, built and served, with answers like its library's."""

    example: str
    format: str
    library: str
    tolerance: float
    layer_mib: float
    start_seconds: float
    """Of a processor, from the server's start to its first answer: a busy machine does not change it."""

    def __str__(self) -> str:
        return (
            f"| {self.example} | {self.format} | {self.library} | {self.tolerance:g} | {self.layer_mib:.0f} "
            f"| {self.start_seconds:.1f} |"
        )


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


@pytest.fixture(scope="session")
def builder_directory(tmp_path_factory) -> Iterator[Path]:
    """Removed at the end: the libraries of some formats take gigabytes."""
    directory = tmp_path_factory.mktemp("models")
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


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
    target = directory / "beside"
    command = [
        uv.find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        *requirements,
    ]
    subprocess.run(command, check=True)
    return target


def require_disk(directory: Path, gib: float) -> None:
    """Skip a test that this machine has no room for."""
    free = shutil.disk_usage(directory).free / _GIB
    if free < gib:
        pytest.skip(f"needs {gib:g} GiB of disk, {free:.1f} are free")


@pytest.fixture(scope="session")
def proofs() -> Iterator[list[Proof]]:
    """What the tests of a session proved; written to docs/models.md where SO1S_WRITE_MODELS is set.

    What was skipped or failed keeps the row that it had.
    """
    proven: list[Proof] = []
    yield proven
    if os.environ.get("SO1S_WRITE_MODELS") and proven:
        before, _, rest = TABLE.read_text().partition(_MARKS[0])
        old, _, after = rest.partition(_MARKS[1])
        rows = {line.split("|")[1].strip(): line for line in old.splitlines()[3:]}
        rows |= {proof.example: str(proof) for proof in proven}
        head = (
            "| example | format | library | tolerance | libraries, MiB | start, s |\n"
            "| --- | --- | --- | --- | --- | --- |"
        )
        table = "\n".join(row for _, row in sorted(rows.items()))
        TABLE.write_text(f"{before}{_MARKS[0]}\n{head}\n{table}\n{_MARKS[1]}{after}")


def layer_mib(layout: Path, digest: str) -> float:
    """Of an image's layer of libraries, which is its first on a laptop."""
    manifest = json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())
    return manifest["layers"][0]["size"] / 2**20
