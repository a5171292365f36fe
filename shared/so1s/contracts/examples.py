"""One event of each type, as a chain from an upload to its charge says them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from so1s.events import (
    AlertRule,
    Artifact,
    BuildCancelled,
    BuildFailed,
    BuildRequested,
    BuildStepFinished,
    CheckFinished,
    DeploymentFailed,
    DeploymentProgressed,
    DeploymentReady,
    DeploymentRemovalRequested,
    DeploymentRemoved,
    DeploymentRequested,
    DeploymentRetiring,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    DeployOptions,
    EndpointRemovalRequested,
    EndpointRemoved,
    Event,
    GatewaySampled,
    HealthSampled,
    Image,
    ImageBuilt,
    IncidentOpened,
    IncidentResolved,
    Lineage,
    ModelUploaded,
    ReplicasChanged,
    ResourceOptions,
    Resources,
    RoutesApplied,
    RoutesDegraded,
    RoutesRejected,
    Scaling,
    ScalingOptions,
    Signature,
    Tensor,
    UsageCorrected,
    UsageSampled,
    VariantInUse,
    VariantReleased,
    WeightsChanged,
    Workload,
)

_AT = datetime(2030, 1, 1, 9, 0, 5, tzinfo=UTC)
_DIGEST = "sha256:41ab5c0f3c7d9c2f0a5f2d1f6f1c9f0d8e7b6a5948372615f4e3d2c1b0a99887"
_IMAGE = Image(reference=f"registry.example/risk/fraud@{_DIGEST}", digest=_DIGEST, size_bytes=104_857_600)
_LABELS = {"team": "fraud-ds"}
_ALERT = AlertRule(availability_below=0.99, for_seconds=300)

_VERSION: dict[str, Any] = {"account": "risk", "model": "fraud", "version": "3"}
_DEPLOYMENT: dict[str, Any] = {"account": "risk", "deployment": "fraud-next"}
_REVISION: dict[str, Any] = _DEPLOYMENT | {"revision": 2}
_ENDPOINT: dict[str, Any] = {"account": "risk", "endpoint": "fraud"}
_WINDOW: dict[str, Any] = {"window_start": _AT, "window_seconds": 5}
_USAGE: dict[str, Any] = {
    **_VERSION,
    **_DEPLOYMENT,
    **_WINDOW,
    "replica": "0f9d2c4e-7c1b-4c58-9f43-0f5d6a1e2b3c",
    "user": "airflow:risk_daily",
    "labels": _LABELS,
}

_EVENTS: list[Event] = [
    ModelUploaded(
        **_VERSION,
        artifact=Artifact(uri="s3://ml/risk/fraud/3.skops", sha256="9f" * 32, size_bytes=1_048_576),
        format="skops",
        uploaded_by="airflow:risk_daily",
        lineage=Lineage(commit="4f1c2ab", dataset_uri="s3://ml/risk/transactions/2029-12-31/"),
        evaluation={"auc": 0.943},
        labels=_LABELS,
        deploy=DeployOptions(
            deployment="fraud-next",
            endpoint="fraud",
            initial_percent=10,
            requires=["quality"],
            strategy="rolling",
            resources=ResourceOptions(cpu_millicores=500, memory_mib=1024),
            scaling=ScalingOptions(min_replicas=1, max_replicas=4, latency_p90_ms=50),
        ),
        alerts=[_ALERT],
    ),
    BuildRequested(**_VERSION, requested_by="user:jiho"),
    BuildCancelled(**_VERSION, cancelled_by="user:jiho"),
    BuildStepFinished(**_VERSION, step="dependencies", detail="dependencies cached", seconds=0.02),
    ImageBuilt(
        **_VERSION,
        image=_IMAGE,
        format="skops",
        signature=Signature(
            inputs=[Tensor(name="x", dtype="float32", shape=[-1, 30])],
            outputs=[Tensor(name="label", dtype="int64", shape=[-1])],
        ),
        user="airflow:risk_daily",
        labels=_LABELS,
        deploy=DeployOptions(deployment="fraud-next", endpoint="fraud", initial_percent=10),
        sources={"initial_percent": "event", "endpoint": "so1s.yaml"},
        alerts=[_ALERT],
        seconds=0.31,
    ),
    BuildFailed(
        **_VERSION,
        reason="dependencies",
        step="dependencies",
        message="no version of skops matches >=99",
        log_tail=["ERROR: No matching distribution found for skops>=99"],
    ),
    DeploymentRequested(
        **_DEPLOYMENT,
        workload=Workload(
            model="fraud",
            version="3",
            image=_IMAGE,
            endpoint="fraud",
            initial_percent=10,
            requires=["quality"],
            resources=Resources(cpu_millicores=500, memory_mib=1024),
            scaling=Scaling(max_replicas=4, latency_p90_ms=50),
            user="airflow:risk_daily",
            labels=_LABELS,
            alerts=[_ALERT],
        ),
        expected_revision=1,
        requested_by="user:jiho",
        sources={"initial_percent": "event"},
    ),
    DeploymentRollbackRequested(**_DEPLOYMENT, to_revision=1, requested_by="user:jiho"),
    DeploymentScaleRequested(
        **_DEPLOYMENT, scaling=Scaling(min_replicas=2, max_replicas=6), requested_by="user:jiho"
    ),
    DeploymentRemovalRequested(**_DEPLOYMENT, requested_by="user:jiho"),
    DeploymentProgressed(**_REVISION, ready=1, desired=2, message="1 of 2 replicas answer their probes"),
    DeploymentReady(
        **_REVISION,
        model="fraud",
        version="3",
        endpoint="fraud",
        initial_percent=10,
        requires=["quality"],
        service="k8s://fraud-next.so1s-risk.svc:8080",
        url="http://fraud-next.so1s-risk.svc:8080",
        replicas=2,
        user="airflow:risk_daily",
        labels=_LABELS,
        alerts=[_ALERT],
        seconds=1.6,
    ),
    DeploymentFailed(
        **_REVISION,
        reason="crash_loop",
        message="the server exits with status 1 at its start",
        log_tail=["ModelError: the model file is truncated"],
    ),
    ReplicasChanged(
        **_REVISION, ready=3, desired=3, restarts=0, reason="latency_p90_ms above 50", observed_at=_AT
    ),
    DeploymentRetiring(**_REVISION, endpoint="fraud"),
    DeploymentRemoved(**_REVISION),
    CheckFinished(
        **_REVISION,
        model="fraud",
        version="3",
        check="quality",
        passed=True,
        reason="accuracy 0.943, needs 0.900",
    ),
    WeightsChanged(
        **_ENDPOINT,
        weights={"fraud": 90, "fraud-next": 10},
        expected_revision=6,
        changed_by="user:jiho",
        reason="canary",
    ),
    RoutesApplied(
        **_ENDPOINT,
        revision=7,
        host="fraud--risk.so1s.localhost",
        url="http://fraud--risk.so1s.localhost:8080",
        weights={"fraud": 90, "fraud-next": 10},
        changed_by="user:jiho",
        seconds=0.012,
    ),
    RoutesRejected(**_ENDPOINT, field="weights", value="{'fruad': 1}", allowed="allowed: fraud, fraud-next"),
    RoutesDegraded(**_ENDPOINT, revision=7, gateways_serving=2, gateways=3),
    VariantReleased(**_REVISION),
    VariantInUse(**_REVISION, endpoint="fraud", reason="it is the only variant with a weight"),
    EndpointRemovalRequested(**_ENDPOINT, requested_by="user:jiho"),
    EndpointRemoved(**_ENDPOINT, removed_at=_AT),
    UsageSampled(
        **_USAGE,
        quantities={"cpu_reserved": 2_500_000, "cpu_used": 412_000, "memory_reserved": 5_120_000},
        quality="complete",
    ),
    UsageCorrected(
        **_USAGE,
        quantities={"cpu_reserved": 2_500_000, "cpu_used": 431_000, "memory_reserved": 5_120_000},
        quality="complete",
    ),
    HealthSampled(
        **_ENDPOINT,
        **_WINDOW,
        variant="fraud-next",
        model="fraud",
        version="3",
        requests=1200,
        errors=3,
        latency_p50_ms=2.3,
        latency_p90_ms=4.1,
        latency_p99_ms=10.2,
        replicas_ready=2,
        replicas_desired=2,
        restarts=0,
    ),
    GatewaySampled(
        account="so1s",
        gateway="envoy",
        window_start=_AT,
        window_seconds=5,
        scrapes=5,
        answered=4,
    ),
    IncidentOpened(
        account="risk",
        incident="5f1d8c3a",
        rule="availability",
        subject="endpoint fraud, variant fraud-next",
        severity="critical",
        summary="availability 0.912, below 0.990 for 5 minutes",
        opened_at=_AT,
    ),
    IncidentResolved(
        account="risk",
        incident="5f1d8c3a",
        rule="availability",
        subject="endpoint fraud, variant fraud-next",
        summary="availability 1.000",
        opened_at=_AT,
        resolved_at=datetime(2030, 1, 1, 9, 12, tzinfo=UTC),
    ),
]

EXAMPLES: dict[type[Event], Event] = {type(event): event for event in _EVENTS}
