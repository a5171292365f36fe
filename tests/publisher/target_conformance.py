"""What every adapter of `so1s.artifacts.Target` promises to a pipeline, and to the builder after it.

A module that makes a `place` runs them.
"""

import asyncio
import hashlib
import tempfile
import uuid
from pathlib import Path
from typing import Any, Protocol

import pytest

from services.builder.domain.archive import Limits
from services.builder.domain.location import Location
from services.builder.ports import Artifacts
from so1s.artifacts import Target
from so1s.errors import InvalidInput, So1sError, Unreachable

MIB = 2**20
SMALL = b"weights" * 1000


class Place(Protocol):
    """Where uploads go, and a builder that looks there."""

    artifacts: Artifacts
    base: str

    def target(self) -> Target:
        """As a pipeline has it that starts now."""
        ...

    def away(self) -> Target:
        """A target that cannot be reached."""
        ...

    def mark(self, uri: str) -> Any:
        """What differs once an object was written again, though by the same bytes."""
        ...


@pytest.fixture
def prefix() -> str:
    """A version that no other test has."""
    return f"risk/m-{uuid.uuid4().hex[:8]}/1"


@pytest.fixture
def write(tmp_path):
    def make(body: bytes = SMALL, name: str = "model.onnx") -> Path:
        (tmp_path / name).write_bytes(body)
        return tmp_path / name

    return make


def put(target: Target, file: Path, prefix: str) -> str:
    return target.put(file, prefix, hashlib.sha256(file.read_bytes()).hexdigest())


def fetched(place: Place, uri: str) -> bytes:
    """What a builder fetches."""
    with tempfile.TemporaryDirectory() as into:
        limits = Limits(artifact_bytes=20 * MIB, unpacked_bytes=1, files=1, ratio=1)
        asyncio.run(place.artifacts.fetch(Location(uri, place.base), Path(into), limits))
        (file,) = Path(into).iterdir()
        return file.read_bytes()


@pytest.mark.parametrize("size", [0, 1, len(SMALL), 17 * MIB])
def test_a_builder_finds_what_was_put_where_the_target_said(place, write, prefix, size):
    body = (SMALL * (size // len(SMALL) + 1))[:size]
    assert fetched(place, put(place.target(), write(body), prefix)) == body


@pytest.mark.parametrize("name", ["my model (1).onnx", "modèle.onnx", "a%20b#c?d+e&f.onnx"])
def test_a_builder_finds_a_file_of_any_name_or_the_name_is_refused(place, write, prefix, name):
    uri, refused = _put_or_refused(place.target(), write(name=name), prefix)
    assert refused == ["file"] if uri is None else fetched(place, uri) == SMALL


def _put_or_refused(target: Target, file: Path, prefix: str) -> tuple[str | None, list[str]]:
    """The URI; or None, and the fields that are refused."""
    try:
        return put(target, file, prefix), []
    except InvalidInput as error:
        return None, [problem.field for problem in error.problems]


def test_bytes_that_are_there_are_not_sent_again(place, write, prefix):
    uri = put(place.target(), write(), prefix)
    before = place.mark(uri)
    assert put(place.target(), write(), prefix) == uri
    assert place.mark(uri) == before


def test_other_bytes_of_a_version_have_a_place_of_their_own(place, write, prefix):
    bodies = [SMALL, SMALL[1:], SMALL[:-1] + b"x"]
    uris = [put(place.target(), write(body), prefix) for body in bodies]
    assert [fetched(place, uri) for uri in uris] == bodies


@pytest.mark.parametrize("size", [len(SMALL), 17 * MIB])
def test_bytes_that_changed_since_they_were_announced_are_not_taken(place, write, prefix, size):
    announced = (SMALL * (size // len(SMALL) + 1))[:size]
    sha256 = hashlib.sha256(announced).hexdigest()
    for other in (announced[:-1] + b"x", announced + b"x", announced[:-1]):
        with pytest.raises(So1sError, match="sha256"):
            place.target().put(write(other), prefix, sha256)
    assert fetched(place, place.target().put(write(announced), prefix, sha256)) == announced


def test_a_place_that_is_away_is_told_of(place, write, prefix):
    away = place.away()
    with pytest.raises(Unreachable):
        put(away, write(), prefix)
