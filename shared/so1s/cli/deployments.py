"""The life of deployments: list, scale, roll back, remove, and read what they wrote."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from so1s.cli import api
from so1s.cli.ask import ask, say
from so1s.cli.options import Account, TimeoutSeconds, Wait, account_of, me
from so1s.cli.scaling import (
    Concurrency,
    CpuPercent,
    GpuPercent,
    LatencyP90,
    LatencyP99,
    MaxReplicas,
    MinReplicas,
    RequestsPerSecond,
    ScaleDownPace,
    ScaleDownWindow,
    ScaleUpPace,
    ScaleUpWindow,
)
from so1s.cli.terminal import Terminal, table, terminal
from so1s.errors import InvalidInput, So1sError
from so1s.events import (
    DeploymentFailed,
    DeploymentReady,
    DeploymentRemovalRequested,
    DeploymentRemoved,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    Event,
    VariantInUse,
)
from so1s.flow import DeploymentFailed as Failed
from so1s.platform import ClientSettings
from so1s.validation import checked

COLUMNS = {
    "deployment": "deployment",
    "serves": "serves",
    "revision": "revision",
    "state": "state",
    "replicas": "replicas",
    "restarts": "restarts",
    "endpoint": "endpoint",
}
_FOLLOW_SECONDS = 1.0
_FOLLOWED_LINES = 1000


def deployments(context: typer.Context, *, account: Account = None) -> None:
    """List an account's deployments."""
    settings = ClientSettings.load()
    terminal(context).show(fetch(settings, account_of(settings, account)), shown)


def scale(
    context: typer.Context,
    deployment: str,
    replicas: Annotated[int | None, typer.Argument(help="A fixed number.", show_default=False)] = None,
    *,
    account: Account = None,
    min_replicas: MinReplicas = None,
    max_replicas: MaxReplicas = None,
    cpu_percent: CpuPercent = None,
    gpu_percent: GpuPercent = None,
    requests_per_second: RequestsPerSecond = None,
    concurrency: Concurrency = None,
    latency_p90_ms: LatencyP90 = None,
    latency_p99_ms: LatencyP99 = None,
    scale_up_window_seconds: ScaleUpWindow = None,
    scale_down_window_seconds: ScaleDownWindow = None,
    scale_up_replicas_per_minute: ScaleUpPace = None,
    scale_down_replicas_per_minute: ScaleDownPace = None,
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 300,
) -> None:
    """Change how many replicas a deployment has. What is not said stays."""
    settings = ClientSettings.load()
    account = account_of(settings, account)
    said = {
        "min_replicas": replicas if min_replicas is None else min_replicas,
        "max_replicas": replicas if max_replicas is None else max_replicas,
        "cpu_percent": cpu_percent,
        "gpu_percent": gpu_percent,
        "requests_per_second": requests_per_second,
        "concurrency": concurrency,
        "latency_p90_ms": latency_p90_ms,
        "latency_p99_ms": latency_p99_ms,
        "scale_up_window_seconds": scale_up_window_seconds,
        "scale_down_window_seconds": scale_down_window_seconds,
        "scale_up_replicas_per_minute": scale_up_replicas_per_minute,
        "scale_down_replicas_per_minute": scale_down_replicas_per_minute,
    }
    changes = {name: value for name, value in said.items() if value is not None}
    if not changes:
        raise InvalidInput.missing("replicas", "allowed: a number, or one of the options")
    scaling = _find(settings, account, deployment)["scaling"] | changes
    request = checked(
        DeploymentScaleRequested, account=account, deployment=deployment, scaling=scaling, requested_by=me()
    )
    _become(terminal(context), settings, request, wait=wait, timeout_seconds=timeout_seconds)


def rollback(
    context: typer.Context,
    deployment: str,
    *,
    account: Account = None,
    to_revision: Annotated[
        int | None, typer.Option(help="so1s history lists them; the version before where absent.")
    ] = None,
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 300,
) -> None:
    """Go back to an earlier version, as a new revision. Replicas stay as many as they are."""
    settings = ClientSettings.load()
    account = account_of(settings, account)
    if settings.deployer_url or not settings.url:  # with a token, the deployer itself answers what is wrong
        present = _find(settings, account, deployment)["revision"]
        if to_revision is not None and not 1 <= to_revision <= present:
            raise InvalidInput.of("to_revision", to_revision, f"allowed: 1 to {present}")
    request = checked(
        DeploymentRollbackRequested,
        account=account,
        deployment=deployment,
        to_revision=to_revision,
        requested_by=me(),
    )
    _become(terminal(context), settings, request, wait=wait, timeout_seconds=timeout_seconds)


def remove(
    context: typer.Context,
    deployment: str,
    *,
    account: Account = None,
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 300,
) -> None:
    """Retire a deployment. Where an endpoint sends traffic to it, it goes once none does."""
    settings, screen = ClientSettings.load(), terminal(context)
    request = checked(
        DeploymentRemovalRequested,
        account=account_of(settings, account),
        deployment=deployment,
        requested_by=me(),
    )
    if not wait:
        _said(screen, say(settings, request))
        return
    answers = (DeploymentRemoved, DeploymentFailed, VariantInUse)
    (answer,) = ask(settings, request, answers, timeout_seconds=timeout_seconds)
    if isinstance(answer, VariantInUse):
        raise So1sError(_use(answer))  # who waits for that may wait for ever
    _require_success(answer)
    screen.show(answer, lambda _: f"{deployment} removed")


def logs(
    context: typer.Context,
    deployment: str,
    *,
    account: Account = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000)] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show what a deployment's replicas wrote."""
    settings, screen = ClientSettings.load(), terminal(context)
    account = account_of(settings, account)
    seen = _log(settings, account, deployment, lines)
    screen.lines(seen)
    while follow:
        time.sleep(_FOLLOW_SECONDS)
        now = _log(settings, account, deployment, _FOLLOWED_LINES)
        for line in after(seen, now):
            typer.echo(line)
        seen = now


def after(seen: list[str], now: list[str]) -> list[str]:
    """The lines of `now` that follow the last line of `seen`."""
    if not seen:
        return now
    for position in range(len(now) - 1, -1, -1):
        if now[position] == seen[-1]:
            return now[position + 1 :]
    return now


def fetch(settings: ClientSettings, account: str) -> list[dict[str, Any]]:
    """An account's deployments, as the deployer has them."""
    return api.get(settings, "deployer", "v1", "deployments", account=account)["deployments"]


def shown(found: list[dict[str, Any]]) -> RenderableType:
    """Deployments as a table."""
    rows = [
        each | {"serves": _serves(each), "replicas": f"{each['ready']}/{each['desired']}"} for each in found
    ]
    return table(rows, COLUMNS, empty="no deployments yet: so1s publish DIR --model NAME --wait")


def _serves(deployment: dict[str, Any]) -> str:
    """The version that takes traffic; where none may yet, the one that shall."""
    version = deployment.get("serving") or deployment
    return f"{version['model']}@{version['version']}"


def _log(settings: ClientSettings, account: str, deployment: str, lines: int) -> list[str]:
    return api.text(
        settings, "deployer", "v1", "deployments", account, deployment, "logs", lines=lines
    ).splitlines()


def _find(settings: ClientSettings, account: str, deployment: str) -> dict[str, Any]:
    found = fetch(settings, account)
    for each in found:
        if each["deployment"] == deployment:
            return each
    known = ", ".join(each["deployment"] for each in found) or "none yet"
    raise InvalidInput.of("deployment", deployment, f"allowed: a deployment of {account}: {known}")


def _become(
    screen: Terminal, settings: ClientSettings, request: Event, *, wait: bool, timeout_seconds: float
) -> None:
    """Ask for another revision, and wait until it is ready."""
    if not wait:
        _said(screen, say(settings, request))
        return
    kinds = (DeploymentReady, DeploymentFailed)
    *_, answer = ask(
        settings,
        request,
        kinds,
        timeout_seconds=timeout_seconds,
        last=_is_end,
        hear=lambda event: screen.note(_candidacy(event)),
    )
    _require_success(answer)
    screen.show(answer, _ready)


def _is_end(answer: Event) -> bool:
    """Whether nothing is left to wait for, such as the checks on a candidate."""
    return not isinstance(answer, DeploymentReady) or not answer.candidate


def _candidacy(answer: Event) -> str:
    assert isinstance(answer, DeploymentReady)
    return f"revision {answer.revision} waits for check {', '.join(answer.requires)}"


def _require_success(answer: Event) -> None:
    if isinstance(answer, DeploymentFailed):
        raise Failed(f"{answer.deployment}: {answer.message}", answer, answer.log_tail)


def _use(answer: VariantInUse) -> str:
    by_weight = f"so1s weights set {answer.endpoint} …"
    by_removal = f"so1s endpoint remove {answer.endpoint}"
    return (
        f"{answer.deployment} is in use: {answer.reason}; the request stands: it goes by itself "
        f"after `{by_weight}` without it, or `{by_removal}`, and so1s status shows it until then; "
        f"`so1s rollback {answer.deployment} --to-revision {answer.revision}` keeps it"
    )


def _ready(answer: Event) -> str:
    assert isinstance(answer, DeploymentReady)
    serves = f"{answer.model}@{answer.version}"
    return f"{answer.deployment} revision {answer.revision}: {answer.replicas} ready, {serves}"


def _said(screen: Terminal, event_id: str) -> None:
    screen.show({"event_id": event_id}, lambda _: "published; so1s status shows what becomes of it")
