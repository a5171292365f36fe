"""The steps of a build, from an artifact to an image."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path, PurePosixPath
from typing import TypeVar

from services.builder.attestor import Attestor, Invocation
from services.builder.audit import Audit
from services.builder.contents import (
    COMPILED_MODEL,
    MODEL_FILES,
    Contents,
    arrange,
    complete,
    divide,
    read_contents,
    replace_model,
)
from services.builder.disk import Disk
from services.builder.domain.archive import Limits
from services.builder.domain.build import Build
from services.builder.domain.failure import BuildError
from services.builder.domain.image import MODEL_ROOT, RUNTIME_ROOT, Layer, configuration
from services.builder.domain.location import locate
from services.builder.domain.lock import Lock, merged
from services.builder.domain.made import Made, Source
from services.builder.domain.options import gpus, idle_gpus
from services.builder.domain.permission import Permissions, warnings
from services.builder.domain.releases import warnings_of
from services.builder.hashes import sha256_of, sha256_of_model
from services.builder.layers import pack
from services.builder.locks import compiling, libraries_of, needs, shipped
from services.builder.packages import installed, runtime_needs, runtime_version
from services.builder.ports import (
    Artifacts,
    Dependencies,
    DependencySource,
    Images,
    Inspector,
    Log,
    Tools,
)
from services.builder.stop import ended, in_thread
from so1s.events import Image, Signature, Tensor
from so1s.events.build import Step
from so1s.events.event import MAX_EVENT_BYTES
from so1s.events.model import Compilable, Format
from so1s.formats.zips import sklearn_that_saved
from so1s.modelfile import ModelFile

Report = Callable[[Step, str, float], Awaitable[None]]
"""Takes a finished step, one line about it, and its seconds."""

T = TypeVar("T")

_LARGEST_SIGNATURE_BYTES = MAX_EVENT_BYTES * 3 // 4
"""The rest of `ImageBuilt` needs room, too."""
_LONGEST_LIST = 300
"""Characters of inputs, or of outputs, in a line for people."""


@dataclass(frozen=True, slots=True)
class World:
    """What every build works with."""

    artifacts: Mapping[str, Artifacts]
    """By scheme of the URI."""
    dependencies: DependencySource
    inspector: Inspector
    images: Images
    runtime: Path
    """A directory that holds the package `so1s_runtime` and nothing else, and stays as it is."""
    prefixes: list[str]
    limits: Limits
    disk: Disk
    attestor: Attestor
    """Describes what is built, and signs it where this builder has a key."""
    permissions: Permissions = field(default_factory=Permissions)
    audit: Audit | None = None
    """Tells what is known against packages; None where nobody named a source."""
    layers: dict[Path, Layer] = field(default_factory=dict)
    """Of directories that stay as they are, as they were packed last."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a build gave."""

    image: Image
    format: Format
    """What it serves."""
    compiled_from: Compilable | None
    signature: Signature
    described: ModelFile | None
    """The artifact's `so1s.yaml`."""
    sha256: str
    """Of the artifact."""
    warnings: list[str]
    """What whoever runs it should know."""


@dataclass(frozen=True, slots=True)
class _Provided:
    serving: Dependencies
    compiling: Tools | None
    warnings: list[str]
    """Of what is known against them, and of what they were not made for."""


@dataclass(frozen=True, slots=True)
class _Packed:
    layers: list[Layer]
    """The weights', and what lies above them."""
    signature: Signature
    source: Source | None
    sha256: str
    """Of the model, as `Made` has it."""


class Steps:
    """One build's way through its steps; each uses what those before it found."""

    def __init__(self, world: World, build: Build, directory: Path, log: Log) -> None:
        """Prepare a build.

        Args:
            world: what every build works with.
            build: what is to be built.
            directory: an empty one for its files.
            log: its log.
        """
        self._world = world
        self._build = build
        self._uploaded = build.uploaded
        self._directory = directory
        self._log = log
        self.step: Step | None = None
        """The one in hand."""

    async def run(self, report: Report) -> Built:
        """Take all steps.

        Raises:
            BuildError: the version cannot become an image.
            TemporaryError: it may, later.
        """
        sha256 = await self._take("fetch", self._fetch(), report)
        contents = await self._take("inspect", self._inspect(), report)
        libraries = await self._take("dependencies", self._provide(contents), report)
        model = await self._take("model", self._pack_model(contents, libraries, sha256), report)
        assembled = self._assemble(contents, libraries.serving, model, sha256)
        image, undescribed = await self._take("image", assembled, report)
        return Built(
            image,
            contents.served_format,
            contents.compiled_from,
            model.signature,
            contents.described,
            sha256,
            [*warnings(contents.format), *libraries.warnings, *undescribed],
        )

    async def _take(self, step: Step, work: Awaitable[tuple[T, str]], report: Report) -> T:
        self.step = step
        self._log(f"{step}: started")
        started = time.monotonic()
        result, detail = await work
        seconds = time.monotonic() - started
        self._log(f"{step}: {detail} ({seconds:.3f} s)")
        await report(step, detail, seconds)
        return result

    async def _fetch(self) -> tuple[str, str]:
        artifact = self._uploaded.artifact
        location = locate(artifact.uri, self._uploaded.account, self._world.prefixes)
        source = self._world.artifacts[location.scheme]
        fetched = await source.fetch(location, _made(self._directory / "fetched"), self._world.limits)
        self._require_known_bytes(fetched.sha256)
        return fetched.sha256, f"{fetched.size_bytes} bytes, sha256 {fetched.sha256[:12]}"

    def _require_known_bytes(self, sha256: str) -> None:
        said, known = self._uploaded.artifact.sha256, self._build.sha256
        if said not in {None, sha256}:
            raise BuildError.of("artifact", "artifact.sha256", said, f"{sha256}, as fetched")
        if self._build.image and known not in {None, sha256}:
            message = f"{self._build.name} was built from sha256 {known}, but its artifact is now {sha256}"
            raise BuildError("version_conflict", message)

    async def _inspect(self) -> tuple[Contents, str]:
        fetched = self._directory / "fetched"
        world = self._world
        contents = await in_thread(read_contents, fetched, self._uploaded, world.limits, world.permissions)
        for warning in warnings(contents.format):
            self._log(f"WARNING: {warning}")
        return contents, f"{contents.format} in {contents.file}"

    async def _provide(self, contents: Contents) -> tuple[_Provided, str]:
        source, described = self._world.dependencies, contents.described
        served = contents.served_format
        reserved = gpus(self._uploaded, described)
        own = libraries_of(served, reserved)
        if own != served:
            self._log(f"resources.gpus is said: {served} is served by the libraries of {own}")
        extras = (own, *needs(served, described.signature if described else None))
        lock = reduce(merged, map(shipped, extras))
        if contents.requirements:
            builds = self._world.permissions.may_build(self._uploaded.account)
            asked, needed = contents.requirements, runtime_needs(extras)
            on_cpu = not reserved
            lock = await source.lock(asked, needed, lock, self._log, builds=builds, on_cpu=on_cpu)
            for each in lock.origins:
                self._log(f"{each.pin} is {'built from source' if each.is_built else f'from {each.place}'}")
        elif not reserved:
            lock = await source.on_cpu(lock, runtime_needs(extras), self._log)
        serving, tools = await source.provide(lock, self._log), None
        if contents.compiled_from:
            tools = await source.install(compiling(contents.compiled_from), self._log)
        detail = "dependencies cached" if serving.cached else "dependencies installed"
        audit = self._world.audit
        known = await audit.warnings(serving, self._log) if audit else []
        reads_it = compiling(contents.compiled_from) if contents.compiled_from else lock
        odd = [*await self._saved_by_another_release(contents, reads_it), *idle_gpus(served, reserved)]
        for warning in odd:
            self._log(f"WARNING: {warning}")
        return _Provided(serving, tools, [*known, *odd]), detail

    async def _saved_by_another_release(self, contents: Contents, lock: Lock) -> list[str]:
        if contents.format != "skops":
            return []
        with (contents.files / contents.file).open("rb") as file:
            return warnings_of(await asyncio.to_thread(sklearn_that_saved, file), lock)

    async def _pack_model(
        self, contents: Contents, libraries: _Provided, artifact_sha256: str
    ) -> tuple[_Packed, str]:
        tree = _made(self._directory / "model")
        await asyncio.to_thread(arrange, tree, self._uploaded, contents)
        source = await self._compile(tree, contents, libraries)
        known = artifact_sha256 if contents.is_artifact and source is None else None
        async with self._hashing(tree, contents, known) as hashed:
            found = await self._world.inspector.check(tree, libraries.serving)
            sha256 = await hashed
        signature = _declared(contents) or found
        _require_room(signature)
        await asyncio.to_thread(complete, tree, signature)
        layers = await self._model_layers(tree)
        size = sum(layer.size_bytes for layer in layers)
        how = f"; {source.compilation}" if source else ""
        return _Packed(layers, signature, source, sha256), f"{_shown(signature)}; {size} bytes{how}"

    @asynccontextmanager
    async def _hashing(
        self, tree: Path, contents: Contents, known: str | None
    ) -> AsyncGenerator[Awaitable[str]]:
        """The hash of what the image serves, taken while it is tried in another process."""

        async def sha256() -> str:
            return known or await in_thread(
                sha256_of_model, tree / _model_file(contents, inside=True), contents.served_format
            )

        task = asyncio.create_task(sha256())
        try:
            yield task
        finally:
            task.cancel()
            await ended(task)

    async def _model_layers(self, tree: Path) -> list[Layer]:
        parts = [_made(self._directory / name) for name in ("weights", "code")]
        await asyncio.to_thread(divide, tree, *parts)
        weights = parts[0]
        return [
            await self._add_layer(part, MODEL_ROOT, weights=part is weights)
            for part in parts
            if any(part.iterdir())
        ]

    async def _compile(self, tree: Path, contents: Contents, libraries: _Provided) -> Source | None:
        """Let the model be its compiled self, where that is asked for."""
        if libraries.compiling is None:
            return None
        inspector = self._world.inspector
        if not _declared(contents):
            await asyncio.to_thread(complete, tree, await inspector.signature(tree, libraries.compiling))
        compilation = await inspector.compile(tree, tree / COMPILED_MODEL, libraries.compiling)
        sha256 = await in_thread(sha256_of, tree / MODEL_FILES / contents.file)
        await asyncio.to_thread(replace_model, tree, tree / COMPILED_MODEL)
        lock_sha256 = libraries.compiling.lock.sha256
        return Source(contents.format, contents.file, sha256, lock_sha256, compilation)

    async def _assemble(
        self, contents: Contents, dependencies: Dependencies, model: _Packed, sha256: str
    ) -> tuple[tuple[Image, list[str]], str]:
        runtime = await self._runtime_layer()
        base = await self._world.images.base(self._world.dependencies.platform)
        layers = [dependencies.layer, runtime, *model.layers]
        uploaded = self._uploaded
        labels = {
            "so1s.account": uploaded.account,
            "so1s.model": uploaded.model,
            "so1s.version": uploaded.version,
            "so1s.format": contents.served_format,
            **_source_labels(model.source),
        }
        config = configuration(base, labels=labels, layers=layers)
        name = f"{uploaded.key}:{uploaded.version}"
        image = await self._world.images.publish(name, config, [*base.layers, *layers])
        made = Made(
            image=image,
            uploaded=uploaded,
            format=contents.served_format,
            artifact_sha256=sha256,
            model_file=_model_file(contents),
            model_sha256=model.sha256,
            base=base,
            platform=self._world.dependencies.platform,
            lock_sha256=dependencies.lock.sha256,
            packages=await in_thread(installed, dependencies.site_packages, dependencies.lock),
            runtime_version=runtime_version(),
            runtime=runtime,
            source=model.source,
            described=contents.described,
        )
        return await self._attest(made)

    async def _attest(self, made: Made) -> tuple[tuple[Image, list[str]], str]:
        attestor = self._world.attestor
        warned = await attestor.attest(self._world.images, made, self._invocation)
        for warning in warned:
            self._log(f"WARNING: {warning}")
        how = "signed" if attestor.signs else "unsigned"
        return (made.image, warned), f"{made.image.digest}, {how}"

    @property
    def _invocation(self) -> Invocation:
        return Invocation(f"{self._build.name}#{self._build.number}", self._build.started_at or time.time())

    async def _runtime_layer(self) -> Layer:
        world = self._world
        layer = world.layers.get(world.runtime)
        if not layer or not await world.images.has(layer):
            layer = world.layers[world.runtime] = await self._add_layer(world.runtime, RUNTIME_ROOT)
        return layer

    async def _add_layer(self, tree: Path, root: PurePosixPath, *, weights: bool = False) -> Layer:
        file = self._directory / f"{tree.name}.layer"
        layer = await in_thread(pack, tree, root, file, weights=weights)
        if not await self._world.images.has(layer):
            await self._world.images.add(layer, file)
        return layer


def _model_file(contents: Contents, *, inside: bool = False) -> str:
    """The path of what the image serves, as its author knows it, or beside the manifest."""
    if contents.compiled_from:
        return COMPILED_MODEL
    return f"{MODEL_FILES}/{contents.file}" if inside else contents.file


def _declared(contents: Contents) -> Signature | None:
    """What the author says of inputs and outputs."""
    return contents.described.signature if contents.described else None


def _require_room(signature: Signature) -> None:
    """Refuse a signature that no event can tell."""
    size = len(signature.model_dump_json())
    if size > _LARGEST_SIGNATURE_BYTES:
        many = f"{len(signature.inputs)} inputs and {len(signature.outputs)} outputs in {size} bytes of JSON"
        allowed = f"at most {_LARGEST_SIGNATURE_BYTES} bytes; a table may be one input of shape [-1, columns]"
        raise BuildError.of("format", "the model's signature", many, allowed)


def _source_labels(source: Source | None) -> dict[str, str]:
    if source is None:
        return {}
    return {"so1s.compiled-from": source.format, "so1s.compiled-by": source.compilation.compiler}


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _shown(signature: Signature) -> str:
    """Such as `x float32[-1,30] → label int64[-1]`, of a table with many columns the first ones."""
    return f"{_listed(signature.inputs)} → {_listed(signature.outputs)}"


def _listed(tensors: Sequence[Tensor]) -> str:
    text = ", ".join(map(str, tensors))
    return text if len(text) <= _LONGEST_LIST else f"{text[:_LONGEST_LIST]}…"
