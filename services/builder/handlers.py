"""Events in → builds recorded; workers do the rest."""

from __future__ import annotations

from services.builder import store as builds
from services.builder.domain.build import failure
from services.builder.domain.failure import BuildError
from services.builder.domain.location import locate
from services.builder.domain.version import conflict
from services.builder.settings import Settings
from services.builder.worker import Workers
from so1s.events import BuildCancelled, BuildFailed, BuildRequested, ModelUploaded
from so1s.events.envelope import Received
from so1s.service import Consumer
from so1s.store import Transaction

consumer = Consumer("builder")


@consumer.on(ModelUploaded)
async def queue_build(
    uploaded: ModelUploaded, received: Received, tx: Transaction, settings: Settings, workers: Workers
) -> BuildFailed | None:
    """Queue the build of a version; the same bytes again are built again, from what is cached."""
    try:
        locate(uploaded.artifact.uri, uploaded.account, settings.artifact_prefixes)
    except BuildError as error:
        return failure(uploaded, error)
    known = await builds.find(tx, uploaded.account, uploaded.model, uploaded.version)
    bound = known.bound if known else None
    if bound and (problem := conflict(bound, uploaded.artifact)):
        return failure(
            uploaded, BuildError("version_conflict", f"{uploaded.key}@{uploaded.version} {problem}")
        )
    sha256 = uploaded.artifact.sha256 or (bound.sha256 if bound else None)
    # A clock that is ahead must not make this the newest upload for ever.
    uploaded_at = min(received.time or tx.now, tx.now)
    await builds.queue(tx, uploaded, known, sha256, uploaded_at)
    workers.wake()
    return None


@consumer.on(BuildRequested)
async def queue_again(requested: BuildRequested, tx: Transaction, workers: Workers) -> BuildFailed | None:
    """Queue a known version's build.

    One that has been built is built alone: an old version must not displace a newer one. One that never was
    goes on to be deployed, as its upload said.
    """
    known = await builds.find(tx, requested.account, requested.model, requested.version)
    if known is None:
        return _unknown(requested)
    uploaded = known.uploaded.model_copy(update={"deploy": None}) if known.image else known.uploaded
    await builds.queue(tx, uploaded, known, known.sha256, known.uploaded_at)
    workers.wake()
    return None


@consumer.on(BuildCancelled)
async def cancel_build(cancelled: BuildCancelled, tx: Transaction) -> BuildFailed | None:
    """End a build that waits, and let the worker of a running one end it; one that ended stays as it is."""
    known = await builds.find(tx, cancelled.account, cancelled.model, cancelled.version)
    if known is None:
        return _unknown(cancelled)
    if known.state == "running":
        await builds.cancel(tx, known, cancelled.cancelled_by)
    elif known.state == "queued":
        error = BuildError("cancelled", f"cancelled by {cancelled.cancelled_by}")
        await builds.end(tx, known, "cancelled", error.reason, str(error))
        return failure(known.uploaded, error)
    return None


def _unknown(request: BuildRequested | BuildCancelled) -> BuildFailed:
    return BuildFailed(
        account=request.account,
        model=request.model,
        version=request.version,
        reason="artifact",
        step=None,
        message=f"{request.key}@{request.version} was never uploaded; publish a ModelUploaded first",
    )
