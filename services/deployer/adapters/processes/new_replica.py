"""What a deployment's replicas are made from."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from services.deployer.adapters.processes.world import ReplicaRecord
from services.deployer.domain.template import template
from services.deployer.ports import Deployment


def same_process(deployment: Deployment) -> dict[str, Any]:
    """What a replica's record says of its deployment and can say anew while the process runs on."""
    workload = deployment.workload
    return {
        "revision": deployment.revision,
        "endpoint": workload.endpoint,
        "user": workload.user,
        "labels": workload.labels,
    }


def new_record(deployment: Deployment, *, gated: bool) -> ReplicaRecord:
    """A replica that has not started yet."""
    workload, cause = deployment.workload, deployment.cause
    return ReplicaRecord(
        uid=f"{deployment.name}-{uuid.uuid4().hex[:12]}",
        account=deployment.account,
        deployment=deployment.name,
        model=workload.model,
        version=workload.version,
        resources=workload.resources,
        image=workload.image.reference,
        template=template(workload),
        gated=gated,
        started_at=datetime.now(UTC),
        event_id=cause.event_id,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
        **same_process(deployment),
    )
