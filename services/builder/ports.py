"""What a builder needs of the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from services.builder.domain.archive import Limits
from services.builder.domain.attachment import Attachment
from services.builder.domain.compilation import Compilation
from services.builder.domain.eviction import Kept
from services.builder.domain.image import Base, Layer
from services.builder.domain.location import Location
from services.builder.domain.lock import Lock
from services.builder.domain.made import Pin
from so1s.events import Image, Signature
from so1s.requirements import Requirements
from so1s.supply_chain.formats import Kind
from so1s.supply_chain.keys import PublicKey

Log = Callable[[str], None]
"""Writes a line to the log of a build."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched."""

    sha256: str
    """Of the object's bytes; of a directory: of the lines `SHA256  PATH` of its files, sorted by path."""
    size_bytes: int
    files: int


class Artifacts(Protocol):
    """Where uploaded bytes lie; one adapter for each scheme of a URI."""

    async def fetch(self, location: Location, into: Path, limits: Limits) -> Fetched:
        """Copy an artifact into an empty directory: one object under its own name, a directory as a tree.

        Raises:
            BuildError: there is no such artifact, it may not be read, or it is too large or hostile.
            TemporaryError: the place does not answer.
        """
        ...


class Images(Protocol):
    """Where images go."""

    async def base(self, platform: str) -> Base:
        """What images stand on here; its layers are there.

        Args:
            platform: what the libraries above it run on.

        Raises:
            TemporaryError: the base cannot be read now, or is made for another platform.
        """
        ...

    async def has(self, layer: Layer) -> bool:
        """Whether a layer is there."""
        ...

    async def add(self, layer: Layer, file: Path) -> None:
        """Take a layer's bytes; the file may be moved. A layer that is there already stays."""
        ...

    async def fetch(self, layer: Layer, into: Path) -> None:
        """Write a layer's bytes to a new file.

        Raises:
            TemporaryError: it is not there, or has other bytes than its digest says.
        """
        ...

    async def publish(self, name: str, config: dict[str, Any], layers: list[Layer]) -> Image:
        """Make an image of layers that are there, and let `name` point to it.

        Args:
            name: `ACCOUNT/MODEL:VERSION`.
            config: an OCI image configuration.
            layers: from the lowest to the topmost.
        """
        ...

    async def attachments(self, image: Image, kind: Kind) -> list[Attachment]:
        """What is attached to an image under the tag of a kind, whoever attached it."""
        ...

    async def attach(self, image: Image, attached: Mapping[Kind, Sequence[Attachment]]) -> None:
        """Let these be all that is attached to an image under the tags of their kinds.

        Raises:
            AttachmentRefused: the place has images, and will not have all of these; it has the others.
            Unlisted: it has all of these, and will not have the list of them.
            TemporaryError: it does not take them now.
        """
        ...


class PackedLayers(Protocol):
    """Layers of libraries that builders with one database, and disks of their own, pack for one another."""

    def turn(self, key: str, say: Log) -> AbstractAsyncContextManager[None]:
        """Be the only builder that installs the libraries of a key, after the one before has ended.

        Args:
            key: of libraries: alike for builders that pack the same.
            say: is told that another one is waited for.
        """
        ...

    async def known(self, key: str) -> Layer | None:
        """The layer that a builder packed; the image store may have lost it."""
        ...

    async def tell(self, key: str, layer: Layer) -> None:
        """Let the others know of a layer that the image store has."""
        ...


class Cache(Protocol):
    """Things on the builder's disk that can be made anew."""

    def kept(self) -> Iterable[Kept]:
        """All of them."""
        ...

    def remove(self, kept: Kept, *, used_before: float) -> bool:
        """Remove one of them; False where a build asked for it meanwhile, or it is none of them.

        Args:
            kept: as it was told.
            used_before: what was used later stays.
        """
        ...


class Signer(Protocol):
    """Has a private key."""

    @property
    def public(self) -> PublicKey:
        """What verifies its signatures."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The ECDSA signature of the data's SHA-256, as ASN.1's DER has it."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Libraries that were installed."""

    lock: Lock
    """What they were installed from."""
    layer: Layer
    site_packages: Path
    """The layer's content on this machine."""
    cached: bool
    """Whether they were there already."""


class Libraries(Protocol):
    """What a model can be tried with; `Dependencies` are, too."""

    @property
    def lock(self) -> Lock:
        """What they were installed from."""
        ...

    @property
    def site_packages(self) -> Path:
        """Where they are on this machine."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """Libraries that no image holds."""

    lock: Lock
    site_packages: Path


class DependencySource(Protocol):
    """Where libraries come from."""

    @property
    def platform(self) -> str:
        """What the libraries run on, such as `linux-x86_64-cp311`."""
        ...

    async def lock(
        self,
        asked: Requirements,
        needed: Sequence[str],
        base: Lock,
        log: Log,
        *,
        builds: bool = False,
        on_cpu: bool = False,
    ) -> Lock:
        """What gives a model all that it asks for, and its server all that this needs.

        The same is given the same lock.

        Args:
            asked: by the model's author.
            needed: by the server: requirements, too.
            base: that the server is tested with; its versions are taken where the author asks for no others.
            log: of the build.
            builds: whether packages without a wheel are built from source, which runs their authors' code.
            on_cpu: whether PyTorch, where the author names it and no file of it, is the one for the CPU
                alone, if there is one.

        Raises:
            BuildError: there is no such set of libraries; the message has the resolver's own words.
            TemporaryError: the index does not answer.
        """
        ...

    async def on_cpu(self, lock: Lock, needed: Sequence[str], log: Log) -> Lock:
        """The libraries of a lock, in the same versions, with PyTorch for the CPU alone.

        It is the lock itself where that holds no PyTorch, and where no index has one for the CPU alone.

        Args:
            lock: of a format.
            needed: by the server of that format, PyTorch included: requirements.
            log: of the build.

        Raises:
            BuildError: that index has another version of PyTorch alone.
            TemporaryError: it does not answer.
        """
        ...

    async def provide(self, lock: Lock, log: Log) -> Dependencies:
        """The libraries of a lock, as a layer that the image store holds.

        Raises:
            BuildError: they are not what the lock says; `log` has the installer's own words.
            TemporaryError: the index does not answer.
        """
        ...

    async def install(self, lock: Lock, log: Log) -> Tools:
        """The libraries of a lock, on this machine alone.

        Raises:
            BuildError: as `provide` does.
            TemporaryError: likewise.
        """
        ...


class Advisories(Protocol):
    """Who knows of vulnerabilities."""

    async def of(self, packages: Sequence[Pin]) -> Mapping[Pin, list[str]]:
        """The names of the advisories about each package; packages without any are left out.

        Raises:
            TemporaryError: it does not answer.
        """
        ...


class Inspector(Protocol):
    """Tries a model outside of this process, with its own libraries and bounds on time and memory."""

    @property
    def isolates(self) -> bool:
        """Whether a model that runs code reaches nothing but its own files, whatever it does."""
        ...

    async def warm(self, dependencies: Libraries) -> None:
        """Make ready what takes long, so that the first model need not wait for it."""
        ...

    async def signature(self, directory: Path, dependencies: Libraries) -> Signature:
        """What goes in and out of the model of a directory with its manifest.

        It is what the manifest says, or what the model itself tells where the manifest says neither.

        Raises:
            BuildError: it is no model of its format, or breaks the bounds.
        """
        ...

    async def check(self, directory: Path, dependencies: Libraries) -> Signature:
        """Load the model of a directory with its manifest and call it once, as its server does at the start.

        Returns:
            what `signature` does.

        Raises:
            BuildError: the server would not start on it.
        """
        ...

    async def compile(self, directory: Path, into: Path, tools: Libraries) -> Compilation:
        """Compile the model of a directory with its manifest to ONNX, and compare the answers of both.

        Args:
            directory: of the model.
            into: the file to write.
            tools: the model's library, and what compiles it.

        Raises:
            BuildError: it cannot be compiled, or an answer differs by more than is allowed.
        """
        ...
