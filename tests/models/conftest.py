"""One builder for all models, and the table of what was proven with them."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.models.booting import Machine, unpacked_base

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

    def __str__(self) -> str:
        return (
            f"| {self.example} | {self.format} | {self.library} | {self.tolerance:g} | {self.layer_mib:.0f} "
            f"| {self.start_seconds:.1f} |"
        )


@pytest.fixture(scope="session")
def builder_directory(tmp_path_factory) -> Iterator[Path]:
    """Removed at the end: the libraries of some formats take gigabytes."""
    directory = tmp_path_factory.mktemp("models")
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def machine(sandbox, tmp_path_factory) -> Iterator[Machine]:
    """Images are booted on the base image where it can be made here, else on this machine's own system."""
    directory = tmp_path_factory.mktemp("base")
    yield Machine(sandbox, unpacked_base(directory))
    shutil.rmtree(directory, ignore_errors=True)


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
