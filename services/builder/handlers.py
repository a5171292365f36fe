"""Events in → builds recorded; workers do the rest."""

from __future__ import annotations

from services.builder import refused, wishes
from services.builder import store as builds
from services.builder.domain.build import Build, Wish, failure
from services.builder.domain.failure import BuildError
from services.builder.domain.location import locate
from services.builder.domain.version import Bound, conflict
from services.builder.refusals import refuse
from services.builder.settings import Settings
from services.builder.worker import Workers
from so1s.events import BuildCancelled, BuildFailed, BuildRequested, ImageBuilt, ModelUploaded
from so1s.events.envelope import Received
from so1s.service import Consumer
from so1s.store import Transaction

consumer = Consumer("builder")


@consumer.on(ModelUploaded, rejected=refuse)
async def queue_build(
    uploaded: ModelUploaded, received: Received, tx: Transaction, settings: Settings, workers: Workers
) -> BuildFailed | None:
    """Queue the build of a version, or wait for the one that goes on.

    The same bytes again are built again, from what is cached.
    """
    known = await builds.find(tx, uploaded.account, uploaded.model, uploaded.version)
    bound = known.bound if known else None
    try:
        _check(uploaded, bound, settings)
    except BuildError as error:
        failed = failure(uploaded, error)
        await refused.record(tx, failed)
        return failed
    await refused.forget(tx, uploaded)
    # A clock that is ahead must not make this the newest upload for ever.
    wish = Wish(uploaded=uploaded, uploaded_at=min(received.time or tx.now, tx.now))
    if known and known.gives(uploaded):
        await builds.join(tx, known, wish)
        return None
    if known:
        await _tell_cancelled(tx, known)
    sha256 = uploaded.artifact.sha256 or (bound.sha256 if bound else None)
    await builds.queue(tx, wish, known, sha256)
    workers.wake()
    return None


@consumer.on(BuildRequested, rejected=refuse)
async def queue_again(
    requested: BuildRequested, tx: Transaction, workers: Workers
) -> ImageBuilt | BuildFailed | None:
    """Queue a known version's build, or wait for the one that goes on.

    Who asks waits for the image alone: an old version must not displace a newer one. Where there never was
    one, it goes on to be deployed in the chain of its upload, as that said.
    """
    known = await builds.find(tx, requested.account, requested.model, requested.version)
    if known is None:
        return await _unknown(tx, requested)
    if known.goes_on:
        await wishes.record(tx, known.wish.of_image_alone, known.number)
        return None
    if known.state == "built" and requested.only_failed:
        return known.ending
    await _tell_cancelled(tx, known)
    if known.image:
        await builds.queue(tx, known.wish, known, known.sha256, image_alone=True)
    else:
        await builds.queue(tx, known.wish, known, known.sha256, cause=known.cause)
        await wishes.record(tx, known.wish.of_image_alone, known.number + 1)
    workers.wake()
    return None


@consumer.on(BuildCancelled, rejected=refuse)
async def cancel_build(cancelled: BuildCancelled, tx: Transaction) -> ImageBuilt | BuildFailed | None:
    """End a build that waits, and let the worker of a running one end it.

    Of one that ended, who asks is told how.
    """
    known = await builds.find(tx, cancelled.account, cancelled.model, cancelled.version)
    if known is None:
        return await _unknown(tx, cancelled)
    if known.state == "running":
        await builds.cancel(tx, known, cancelled.cancelled_by)
        await wishes.record(tx, known.wish.of_image_alone, known.number)
    elif known.state == "queued":
        failed = _cancelled(known, cancelled.cancelled_by)
        await builds.end_cancelled(tx, known, failed)
        await wishes.answer(tx, known, lambda _wish: failed)
        return failed
    return known.ending


def _check(uploaded: ModelUploaded, bound: Bound | None, settings: Settings) -> None:
    """Let nothing be built from a foreign place, or under the name of other bytes.

    Raises:
        BuildError: it may not be built.
    """
    locate(uploaded.artifact.uri, uploaded.account, settings.artifact_prefixes)
    if bound and (problem := conflict(bound, uploaded.artifact)):
        raise BuildError("version_conflict", f"{uploaded.key}@{uploaded.version} {problem}")


async def _tell_cancelled(tx: Transaction, build: Build) -> None:
    """Tell who waits for a build that was about to be cancelled when another took its place."""
    if build.cancelled_by:
        failed = _cancelled(build, build.cancelled_by)
        await wishes.answer(tx, build, lambda _wish: failed)


def _cancelled(build: Build, by: str) -> BuildFailed:
    return failure(build.uploaded, BuildError("cancelled", f"cancelled by {by}"))


async def _unknown(tx: Transaction, request: BuildRequested | BuildCancelled) -> BuildFailed:
    why = await refused.find(tx.connection, request.account, request.model, request.version)
    never = "was never uploaded; publish a ModelUploaded first"
    return BuildFailed(
        account=request.account,
        model=request.model,
        version=request.version,
        reason="artifact",
        step=None,
        message=f"{request.key}@{request.version} {f'was refused: {why}' if why else never}",
    )
