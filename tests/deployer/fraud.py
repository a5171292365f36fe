"""The deployment `fraud` of the account `risk`: what is said of it, and what is recorded."""

from __future__ import annotations

import json

from sqlalchemy import select

from services.deployer import store as deployments
from so1s.events import (
    CheckFinished,
    DeploymentRemovalRequested,
    DeploymentRequested,
    DeployOptions,
    Image,
    ImageBuilt,
    Signature,
    Workload,
    event_class,
)
from so1s.events.codec import unwrap
from so1s.events.envelope import Cause
from so1s.store.tables import outbox

DIGEST = f"sha256:{'a' * 64}"

IMAGE = Image(reference=f"oci:/images@{DIGEST}", digest=DIGEST, size_bytes=1)

NAMES = {"account": "risk", "deployment": "fraud"}

REMOVAL = DeploymentRemovalRequested(**NAMES, requested_by="jiho")


def wanted(version="1", **changes):
    return Workload(
        **{"model": "fraud", "version": version, "image": IMAGE, "endpoint": "fraud", "user": "jiho"}
        | changes
    )


def requested(version="1", expected=None, **changes):
    workload = wanted(version, **changes)
    return DeploymentRequested(**NAMES, workload=workload, expected_revision=expected, requested_by="jiho")


def built(**changes):
    standard = {"account": "risk", "model": "fraud", "version": "3", "image": IMAGE, "user": "jiho"}
    standard |= {"format": "skops", "signature": Signature(inputs=[], outputs=[]), "seconds": 1.0}
    return ImageBuilt(**standard | {"deploy": DeployOptions()} | changes)


def image(number):
    digest = f"sha256:{number:064x}"
    return Image(reference=f"oci:/images@{digest}", digest=digest, size_bytes=1)


def checked(revision, *, passed=True, check="quality"):
    verdict = {"model": "fraud", "version": "1", "check": check, "passed": passed, "reason": "accuracy 0.71"}
    return CheckFinished(**NAMES, revision=revision, **verdict)


async def figures(store, **values):
    """Record what the cluster showed."""
    async with store.transaction() as tx:
        await deployments.tell(tx, await deployments.find(tx, "risk", "fraud"), values)


async def serves(tell, store, number=1, **changes):
    """A first revision that takes traffic."""
    await tell(requested("1", image=image(number), **changes))
    await figures(store, ready_revision=1, serving_revision=1)


async def recorded(store):
    async with store.transaction(Cause("look", "look")) as tx:
        return await deployments.find(tx, "risk", "fraud")


async def said(store):
    """What was said, each after the event that it answers."""
    async with store.read() as connection:
        rows = (await connection.execute(select(outbox).order_by(outbox.c.position))).all()
    envelopes = [unwrap(json.loads(row.headers), row.value) for row in rows]
    assert all(each.cause_id == each.correlation_id for each in envelopes)
    return [(each.cause_id, each.open(event_class(each.type)).event) for each in envelopes]
