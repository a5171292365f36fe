"""The composition root: settings → adapters → workers → service."""

from __future__ import annotations

import platform
import sys
from functools import partial
from pathlib import Path

import structlog

from services.builder import api
from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.artifacts_s3 import S3Artifacts
from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.inspector_process import ProcessInspector
from services.builder.domain.archive import Limits
from services.builder.handlers import consumer
from services.builder.runtime import stage
from services.builder.settings import Settings
from services.builder.steps import World
from services.builder.worker import Terms, Worker, Workers
from services.builder.retention import Retention
from so1s.events.model import Format
from so1s.loop import Loop
from so1s.service import Service
from so1s.store import Store

log = structlog.get_logger()

_DAY_SECONDS = 86_400


def build(settings: Settings) -> Service:
    """Put the builder together."""
_HOUR_SECONDS = 3600
    url = settings.database_url.get_secret_value()
    store = Store(url, producer="builder", schema=settings.database_schema)
    world = make_world(settings)
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
            Loop("forget-files", make_retention(settings).prune, every_seconds=_HOUR_SECONDS, leader=False),
        ],
        routes=api.routes(store, settings.build_dir.absolute() / "logs"),
    )


def make_workers(settings: Settings, store: Store, world: World) -> list[Worker]:
    """The workers of one process."""
    terms = Terms(settings.build_dir.absolute(), settings.lease_seconds, settings.deadline_seconds)
    names = [f"{settings.instance}/{number}" for number in range(settings.workers)]
    return [Worker(name, store, world, terms) for name in names]


async def _prepare(world: World, formats: list[Format]) -> None:
    """Make libraries ready before an upload asks for them."""
    for model_format in formats:
        dependencies = await world.dependencies.provide(model_format, log.debug)
        await world.inspector.warm(dependencies)
        log.info("libraries are ready", format=model_format, cached=dependencies.cached)


def make_world(settings: Settings) -> World:
    """What builds work with, each part as the settings say."""
    directory = settings.build_dir.absolute()
    python = _base_interpreter()
    images = LayoutImages(settings.image_dir)
    runtime = stage(directory / "runtime", python)
def make_retention(settings: Settings) -> Retention:
    """How long the files of this machine are kept."""
    directory = settings.build_dir.absolute()
    return Retention(
        directory / "logs",
        settings.log_retention_days,
        scratch=(
            (directory / "work", "*"),
            (settings.libraries_dir, "installing-*"),
            (settings.image_dir / "blobs/sha256", ".*"),
        ),
        scratch_seconds=settings.deadline_seconds + _HOUR_SECONDS,
    )


    return World(
        artifacts={"file": FileArtifacts(), "s3": S3Artifacts(settings)},
        dependencies=UvDependencies(settings.libraries_dir, images, python=python, platform=_platform()),
        inspector=ProcessInspector(
            python=python,
            runtime=runtime,
            seconds=settings.inspect_seconds,
            memory_mib=settings.inspect_memory_mib,
        ),
        images=images,
        runtime=runtime,
        prefixes=settings.artifact_prefixes,
        limits=Limits(
            artifact_bytes=settings.max_artifact_bytes,
            unpacked_bytes=settings.max_unpacked_bytes,
            files=settings.max_files,
            directory=directory / "inspectors" / settings.instance,
            ratio=settings.max_archive_ratio,
        ),
    )


def _base_interpreter() -> Path:
    """The interpreter that images of base `host` run on: this one, outside of its virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable))


def _platform() -> str:
    version = sys.version_info
    return f"{sys.platform}-{platform.machine()}-cp{version.major}{version.minor}"
