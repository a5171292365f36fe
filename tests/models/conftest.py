"""One builder for all models, and the table of what was proven with them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TABLE = Path(__file__).parents[2] / "docs/models.md"
_MARKS = ("<!-- proven: begin -->", "<!-- proven: end -->")


@dataclass(frozen=True)
class Proof:
    """One model that was trained, uploaded, built and served, with answers like its library's."""

    example: str
    format: str
    library: str
    tolerance: float
    layer_mib: float

    def __str__(self) -> str:
        return (
            f"| {self.example} | {self.format} | {self.library} | {self.tolerance:g} | {self.layer_mib:.0f} |"
        )


@pytest.fixture(scope="session")
def builder_directory(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def proofs() -> Iterator[list[Proof]]:
    """What the tests of a session proved; written to docs/models.md where SO1S_WRITE_MODELS is set."""
    proven: list[Proof] = []
    yield proven
    if os.environ.get("SO1S_WRITE_MODELS") and proven:
        before, _, rest = TABLE.read_text().partition(_MARKS[0])
        after = rest.partition(_MARKS[1])[2]
        head = "| example | format | library | tolerance | libraries, MiB |\n| --- | --- | --- | --- | --- |"
        rows = "\n".join(map(str, sorted(proven, key=lambda proof: proof.example)))
        TABLE.write_text(f"{before}{_MARKS[0]}\n{head}\n{rows}\n{_MARKS[1]}{after}")


def layer_mib(layout: Path, digest: str) -> float:
    """Of an image's layer of libraries, which is its first on a laptop."""
    manifest = json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())
    return manifest["layers"][0]["size"] / 2**20
