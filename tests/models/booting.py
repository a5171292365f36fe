"""From an upload to the answer of its image, booted as a pod has it."""

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import zstandard

from deploy.images.foundation import Foundation
from services.builder.adapters.bubblewrap import Bubblewrap
from so1s.events import ImageBuilt, ModelUploaded
from so1s_lab.base_image import base_layout
from so1s_lab.part import MissingPartError
from so1s_runtime.manifest import read
from tests.boxed import answer_of
from tests.models.doors import Gateway, Seen, answers
from tests.models.ways import Answer, Asked
from tests.served_images import blob, build_of, settings_in, unpacked

_SECONDS = 900
_ORDINARY = {"user": 65532, "writable": ["/tmp"], "interfaces": ["lo"], "code": 0}


@dataclass(frozen=True)
class Machine:
    """Boots images: as an ordinary user, on files that cannot be written, without a network."""

    sandbox: Bubblewrap
    system: Path | None
    """Our base image, unpacked; None for this machine's own programs and libraries."""
    gateways: Sequence[Gateway]
    """What calls may come through where a server runs outside of the sandbox."""

    def answer(self, config: dict[str, Any], root: Path, body: object) -> dict[str, Any]:
        """What `tests.boxed` tells of a server that was sent a body to predict from."""
        seen = answer_of(self.sandbox, config, root, "/predict", body, system=self.system, seconds=_SECONDS)
        assert {name: seen[name] for name in _ORDINARY} == _ORDINARY
        return seen


def unpacked_base(into: Path) -> Path | None:
    """The base image's files, as root's; None where it cannot be made here, or has another Python."""
    try:
        foundation = Foundation(base_layout())
    except MissingPartError:
        return None
    abi = f"linux-{platform.machine()}-cp{sys.version_info.major}{sys.version_info.minor}"
    if foundation.image.platform != abi:
        return None
    for layer in foundation.image.layers:
        with foundation.blob(layer.digest).open("rb") as packed:
            plain = zstandard.ZstdDecompressor().stream_reader(packed).readall()
        subprocess.run(["tar", "-x", "-C", into], input=plain, check=True)
    return into


@dataclass(frozen=True)
class Booted:
    """An image, and what its server answered to the sample."""

    built: ImageBuilt
    answer: dict[str, Any]
    answers: Mapping[Seen, Answer]
    """What it answered outside of the sandbox, to the same in each way and before each door."""
    types: Sequence[str]
    """The IO types that go in."""
    packages: Mapping[str, str]
    """The image's, and their versions."""
    layer_mib: float
    """Of its libraries, which are the first layer on a laptop."""
    start_seconds: float
    """Of a processor, from the server's start to its first answer: a busy machine does not change it."""
    log: str


async def booted(directory: Path, machine: Machine, event: ModelUploaded) -> Booted:
    """Build an upload by the builder of a directory, which lets it run code, and boot its image."""
    allowed = {"user_code_accounts": ["risk"], "pickle_accounts": ["risk"], "code_without_sandbox": True}
    settings = settings_in(directory, inspect_seconds=_SECONDS, **allowed)
    built = (await build_of(settings, event))[-1]
    assert isinstance(built, ImageBuilt), built
    layout = directory / "images"
    # Of its own name: importlib.metadata remembers a directory by its time, which all images give theirs.
    root = directory / f"root-{built.image.digest.removeprefix('sha256:')}"
    try:
        config = unpacked(layout, built.image.digest, root)
        packages = {
            each.name: each.version for each in distributions(path=[*map(str, root.glob("opt/so1s/*"))])
        }
        asked = Asked(read(root / "opt/so1s/model"), _sample(event))
        seen = machine.answer(config, root, asked.sample)
        called = await answers(machine.gateways, config, root, asked)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    libraries = json.loads(blob(layout, built.image.digest))["layers"][0]
    size = libraries["size"] / 2**20
    used = seen["processor_seconds"]
    return Booted(built, seen["answer"], called, asked.types, packages, size, used, seen["log"])


def _sample(event: ModelUploaded) -> dict[str, Any]:
    return json.loads(Path(event.artifact.uri.removeprefix("file://"), "sample.json").read_text())
