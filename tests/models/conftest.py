"""One builder for all models, and the table of what was proven with them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from so1s_lab import LAB_DIR
from so1s_lab.control_plane import ControlPlane
from so1s_lab.go import BIN
from so1s_lab.istio import Istio
from so1s_lab.istiod import PROGRAM as ISTIOD
from so1s_lab.runner import Runner
from tests.models.booting import Machine, unpacked_base
from tests.models.doors import ENVOY, ISTIO, ClusterGateway, Gateway, LaptopGateway
from tests.models.table import PAGE, Proof, with_proven

_GIB = 2**30


@pytest.fixture(scope="session")
def builder_directory(tmp_path_factory) -> Iterator[Path]:
    """Removed at the end: the libraries of some formats take gigabytes.

    Where SO1S_MODELS_DIRECTORY is set, libraries and layers stay in it, and the next part of the tests need
    neither install nor pack them.
    """
    directory = tmp_path_factory.mktemp("models")
    if kept := os.environ.get("SO1S_MODELS_DIRECTORY"):
        for part in ("libraries", "images"):
            Path(kept, part).mkdir(parents=True, exist_ok=True)
            (directory / part).symlink_to(Path(kept, part).resolve())
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def gateways(tmp_path_factory) -> Iterator[list[Gateway]]:
    """A laptop's, and a cluster's where `make lab` was called before."""
    laptop = LaptopGateway(tmp_path_factory.mktemp("laptop"))
    with ExitStack() as running:
        running.callback(laptop.stop)
        found = [Gateway(ENVOY, laptop.opened)]
        if (BIN / ISTIOD.name).exists():
            runner = running.enter_context(Runner(LAB_DIR / "run" / f"models-{os.getpid()}"))
            kubernetes = ControlPlane(runner.directory("kubernetes"))
            istio = Istio(runner.directory("istio"), kubernetes)
            kubernetes.start(runner)
            istio.start(runner)
            found.append(Gateway(ISTIO, ClusterGateway(kubernetes, istio).opened))
        yield found


@pytest.fixture(scope="session")
def machine(sandbox, gateways, tmp_path_factory) -> Iterator[Machine]:
    """Images are booted on the base image where it can be made here, else on this machine's own system."""
    directory = tmp_path_factory.mktemp("base")
    yield Machine(sandbox, unpacked_base(directory), gateways)
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
        PAGE.write_text(with_proven(PAGE.read_text(), proven))
