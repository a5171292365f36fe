"""The events of one chain as the services would say them, for tests that play these services."""

from typing import Any

from so1s import events

DIGEST = "sha256:" + "41ab" * 16
HOST = "{}--risk.so1s.localhost"


def built(model: str, *, deployed: bool = True) -> events.ImageBuilt:
    return events.ImageBuilt(
        account="risk",
        model=model,
        version="3",
        image=events.Image(reference=f"oci:/images@{DIGEST}", digest=DIGEST, size_bytes=1_000_000),
        format="skops",
        signature=events.Signature(inputs=[], outputs=[]),
        user="me",
        deploy=events.DeployOptions() if deployed else None,
        seconds=0.3,
    )


def build_failed(model: str) -> events.BuildFailed:
    return events.BuildFailed(
        account="risk",
        model=model,
        version="3",
        reason="dependencies",
        step="dependencies",
        message="uv could not install",
        log_tail=["No solution found", "  because numpy==9 does not exist"],
    )


def requested(model: str, **sources: str) -> events.DeploymentRequested:
    image = events.Image(reference=f"oci:/images@{DIGEST}", digest=DIGEST, size_bytes=1)
    workload = events.Workload(model=model, version="3", image=image, endpoint=model, user="me")
    return events.DeploymentRequested(
        account="risk", deployment=model, workload=workload, requested_by="me", sources=sources
    )


def ready(model: str, **changes: Any) -> events.DeploymentReady:
    fields = {
        "account": "risk",
        "deployment": model,
        "revision": 1,
        "model": model,
        "version": "3",
        "endpoint": model,
        "initial_percent": 0,
        "requires": [],
        "service": "file:///endpoints.json",
        "url": "http://127.0.0.1:1",
        "replicas": 1,
        "user": "me",
        "seconds": 1.0,
    }
    return events.DeploymentReady(**fields | changes)


def deployment_failed(model: str) -> events.DeploymentFailed:
    return events.DeploymentFailed(
        account="risk",
        deployment=model,
        revision=1,
        reason="crash_loop",
        message="it ended 5 times",
        log_tail=["MemoryError"],
    )


def checked(model: str, *, passed: bool) -> events.CheckFinished:
    return events.CheckFinished.of(ready(model), check="quality", passed=passed, reason="accuracy 0.950")


def applied(model: str, revision: int = 7, **weights: int) -> events.RoutesApplied:
    host = HOST.format(model)
    return events.RoutesApplied(
        account="risk",
        endpoint=model,
        revision=revision,
        host=host,
        url=f"http://{host}:8080",
        weights=weights or {model: 1},
        changed_by="router",
        seconds=0.012,
    )


def rejected(model: str, field: str, value: str, allowed: str) -> events.RoutesRejected:
    return events.RoutesRejected(
        account="risk", endpoint=model, field=field, value=value, allowed=f"allowed: {allowed}"
    )
