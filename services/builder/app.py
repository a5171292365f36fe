"""The composition root: settings → adapters → workers → service."""

from __future__ import annotations

import platform
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr

from services.builder import api, logs, metrics
from services.builder.adapters import bubblewrap
from services.builder.adapters.advisories_osv import OsvAdvisories
from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.artifacts_s3 import S3Artifacts
from services.builder.adapters.bubblewrap import Bubblewrap
from services.builder.adapters.cached_libraries import CachedLibraries
from services.builder.adapters.cached_wheels import CachedWheels
from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.images_registry import RegistryImages
from services.builder.adapters.inspector_process import Bounds, ProcessInspector
from services.builder.adapters.signing_key import SigningKey
from services.builder.adapters.source_builder import SourceBounds, SourceBuilder
from services.builder.adapters.uv_command import PlainUv, Uv
from services.builder.adapters.uv_enclosed import SCRATCH, EnclosedUv, InstallBounds, uv_cache
from services.builder.attestor import Attestor
from services.builder.audit import Audit
from services.builder.disk import Disk
from services.builder.domain.archive import Limits
from services.builder.domain.permission import Permissions
from services.builder.domain.reference import Reference
from services.builder.handlers import consumer
from services.builder.locks import OnGpu, shipped
from services.builder.packages import runtime_needs
from services.builder.packed import StoredLayers
from services.builder.ports import Cache, Images
from services.builder.retention import REMOVED, Retention
from services.builder.runtime import COMPILER, RUNTIME, stage
from services.builder.settings import Settings
from services.builder.steps import World
from services.builder.worker import Terms, Worker, Workers
from so1s.errors import InvalidInput
from so1s.events.model import Format
from so1s.loop import Loop
from so1s.registry import Registry
from so1s.service import Service
from so1s.store import Store

log = structlog.get_logger()

_MINUTE_SECONDS = 60
_HOUR_SECONDS = 3600
_DAY_SECONDS = 86_400


def build(settings: Settings) -> Service:
    """Put the builder together."""
    url = settings.database_url.get_secret_value()
    store = Store(url, producer="builder", schema=settings.database_schema)
    world = make_world(settings, store)
    workers = Workers(make_workers(settings, store, world), poll_seconds=settings.poll_seconds)
    consumer.provide(settings, workers)
    prepare = partial(_prepare, world, settings.prepared_formats)
    return Service(
        "builder",
        settings,
        consumer=consumer,
        store=store,
        migrations="services.builder.migrations",
        loops=[
            *workers.loops,
            Loop("prepare", prepare, every_seconds=_DAY_SECONDS, leader=False),
            Loop(
                "forget-logs",
                partial(logs.prune, store, settings.log_retention_days),
                every_seconds=_HOUR_SECONDS,
            ),
            Loop("disk", world.disk.keep_budget, every_seconds=_MINUTE_SECONDS, leader=False),
            Loop("forget-files", make_retention(settings).prune, every_seconds=_HOUR_SECONDS, leader=False),
        ],
        routes=api.routes(store, settings.builds_per_account),
    )


def make_workers(settings: Settings, store: Store, world: World) -> list[Worker]:
    """The workers of one process."""
    terms = Terms(
        settings.build_dir.absolute(),
        settings.lease_seconds,
        settings.deadline_seconds,
        settings.builds_per_account,
    )
    names = [f"{settings.instance}/{number}" for number in range(settings.workers)]
    return [Worker(name, store, world, terms) for name in names]


async def _prepare(world: World, formats: list[Format | OnGpu]) -> None:
    """Make libraries ready before an upload asks for them."""
    await world.images.base(world.dependencies.platform)  # a wrong one is told at the start, not by a build
    for model_format in formats:
        source, needed = world.dependencies, runtime_needs([model_format])
        lock = await source.on_cpu(shipped(model_format), needed, log.debug)
        dependencies = await source.provide(lock, log.debug)
        await world.inspector.warm(dependencies)
        log.info("libraries are ready", format=model_format, cached=dependencies.cached)


def make_retention(settings: Settings) -> Retention:
    """How long the files of this machine are kept."""
    directory = settings.build_dir.absolute()
    return Retention(
        settings.libraries_dir.absolute(),
        settings.library_retention_days,
        scratch=(
            (directory / "work", "*"),
            (directory / "inspectors", "*"),
            (settings.libraries_dir, "installing-*"),
            (settings.libraries_dir, f"{REMOVED}*"),
            (settings.libraries_dir / "wheels", "fetching-*"),
            (settings.libraries_dir / "wheels", f"{REMOVED}*"),
            (uv_cache(), SCRATCH),
            (settings.image_dir / "blobs/sha256", ".*"),
        ),
        scratch_seconds=settings.deadline_seconds + 2 * _HOUR_SECONDS,
        live=_inspector_directory(settings),
    )


def _inspector_directory(settings: Settings) -> Path:
    return settings.build_dir.absolute() / "inspectors" / settings.instance


def make_world(settings: Settings, store: Store | None = None) -> World:
    """What builds work with, each part as the settings say; with a store, as one of several replicas."""
    directory = settings.build_dir.absolute()
    python = _base_interpreter()
    images = make_images(settings)
    runtime = stage(directory / "runtime", python)
    sandbox = make_sandbox(settings, python)
    uv = make_uv(settings, sandbox)
    glibc = settings.base_glibc if settings.base_image else None
    return World(
        artifacts={"file": FileArtifacts(), "s3": S3Artifacts(settings)},
        dependencies=UvDependencies(
            settings.libraries_dir,
            images,
            python=python,
            platform=_platform(),
            glibc=glibc,
            uv=uv,
            sources=make_source_builder(settings, sandbox, uv, python, glibc),
            torch_cpu_index=settings.torch_cpu_index,
            packed=StoredLayers(store, settings.instance, settings.lease_seconds) if store else None,
        ),
        inspector=ProcessInspector(
            directory=_inspector_directory(settings),
            python=python,
            runtime=stage(directory / "runtime", python, (RUNTIME, COMPILER)),
            bounds=Bounds(
                seconds=settings.inspect_seconds,
                memory_mib=settings.inspect_memory_mib,
                temporary_mib=settings.inspect_temporary_mib,
                processes=settings.inspect_processes,
                processors=settings.inspect_processors,
            ),
            sandbox=sandbox,
        ),
        images=images,
        runtime=runtime,
        prefixes=settings.artifact_prefixes,
        limits=Limits(
            artifact_bytes=settings.max_artifact_bytes,
            unpacked_bytes=settings.max_unpacked_bytes,
            files=settings.max_files,
            ratio=settings.max_archive_ratio,
            input_bytes=settings.max_input_bytes,
        ),
        permissions=Permissions(
            settings.user_code_accounts,
            settings.pickle_accounts,
            tried=sandbox is not None or settings.code_without_sandbox,
            sources=settings.source_accounts,
            urls=settings.package_urls,
        ),
        attestor=make_attestor(settings),
        audit=make_audit(settings),
        disk=make_disk(settings, images),
    )


def make_disk(settings: Settings, images: Images) -> Disk:
    """What this machine's builders write, and what of it may go."""
    directory, libraries = settings.build_dir.absolute(), settings.libraries_dir.absolute()
    wheels = uv_cache()
    directories = [directory, libraries, wheels]
    caches: list[Cache] = [
        CachedLibraries(libraries),
        CachedLibraries(libraries / "wheels"),
        CachedWheels(wheels),
    ]
    if isinstance(images, LayoutImages):
        directories.append(settings.image_dir.absolute())
        caches.append(images)
    return Disk(
        directories,
        directory / "work",
        caches,
        settings.disk_budget_bytes,
        in_use_seconds=settings.deadline_seconds + _MINUTE_SECONDS,
    )


def make_sandbox(settings: Settings, python: Path) -> Bubblewrap | None:
    """What models are tried and libraries installed in.

    Raises:
        InvalidInput: the settings ask for one that does not work here.
    """
    sandbox, why = bubblewrap.find(settings.sandbox, python)
    if sandbox is None:
        log.warning(
            "models are tried and libraries installed without a sandbox", setting=settings.sandbox, reason=why
        )
    else:
        log.info("models are tried and libraries installed in a sandbox", program=sandbox.program)
    metrics.SANDBOXED.set(sandbox is not None)
    return sandbox


def make_uv(settings: Settings, sandbox: Bubblewrap | None) -> Uv:
    """What installs libraries, in a sandbox where one works."""
    if sandbox is None:
        return PlainUv(settings.package_hosts)
    bounds = InstallBounds(
        seconds=settings.install_seconds,
        memory_mib=settings.install_memory_mib,
        written_mib=settings.install_written_mib,
    )
    indexes = [settings.torch_cpu_index] if settings.torch_cpu_index else []
    return EnclosedUv(sandbox, bounds, settings.package_hosts, indexes)


def make_source_builder(
    settings: Settings, sandbox: Bubblewrap | None, uv: Uv, python: Path, glibc: str | None
) -> SourceBuilder | None:
    """What builds packages from source, where a sandbox works."""
    if sandbox is None:
        return None
    bounds = SourceBounds(
        seconds=settings.source_seconds,
        memory_mib=settings.source_memory_mib,
        temporary_mib=settings.source_temporary_mib,
        processors=settings.source_processors,
    )
    return SourceBuilder(sandbox, uv, bounds, python, glibc)


def make_attestor(settings: Settings) -> Attestor:
    """Who describes images, and signs them where a key is said.

    Raises:
        InvalidInput: what is said is no key.
    """
    pem = settings.signing_key
    if settings.signing_key_file:
        pem = _read_key(settings.signing_key_file)
    if pem is None:
        log.warning("images are described, not signed: neither signing_key_file nor signing_key is set")
        return Attestor(None, settings.builder_id)
    key = SigningKey.parse(pem, settings.signing_key_password)
    log.info("images are signed", public_key=key.public.fingerprint)
    return Attestor(key, settings.builder_id)


def make_audit(settings: Settings) -> Audit | None:
    """Who is asked for known vulnerabilities, where somebody is named."""
    if settings.advisories_url is None:
        return None
    return Audit(OsvAdvisories(settings.advisories_url), settings.advisories_refuse)


def _read_key(path: Path) -> SecretStr:
    try:
        return SecretStr(path.read_text())
    except (OSError, ValueError) as error:
        allowed = "allowed: a PEM file that can be read"
        raise InvalidInput.of("signing_key_file", str(path), allowed) from error


def make_images(settings: Settings) -> Images:
    """A registry where one is said, else a directory."""
    if settings.image_registry is None or settings.base_image is None:
        return LayoutImages(settings.image_dir)
    url = urlsplit(settings.image_registry)
    registry = Registry(
        f"{url.scheme}://{url.netloc}",
        user=settings.image_registry_user,
        password=settings.image_registry_password,
        ca_file=settings.image_registry_ca_file,
    )
    return RegistryImages(registry, prefix=url.path.strip("/"), base=Reference.parse(settings.base_image))


def _base_interpreter() -> Path:
    """What images run on the like of, and models are tried with: outside of this virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable))


def _platform() -> str:
    version = sys.version_info
    return f"{sys.platform}-{platform.machine()}-cp{version.major}{version.minor}"
