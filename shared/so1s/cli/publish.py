"""`so1s publish`: upload a model, say so, and watch it become a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from so1s.artifacts import fingerprint
from so1s.cli import api
from so1s.cli.ask import Interrupted
from so1s.cli.options import Account, TimeoutSeconds, account_of, numbers, pairs, require_platform
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
from so1s.cli.terminal import Terminal, print_json, terminal
from so1s.errors import InvalidInput
from so1s.flow import Step
from so1s.pipeline import PublishedModel, is_uri, publish_model
from so1s.platform import ClientSettings
from so1s.ways.http import versions

_WIDTH = 72

Text = Annotated[str | None, typer.Option(show_default=False)]
Whole = Annotated[int | None, typer.Option(show_default=False)]
Many = Annotated[list[str], typer.Option(show_default=False)]


def publish(
    context: typer.Context,
    path: Annotated[str, typer.Argument(help="A model's file or directory, or the URI of an uploaded one.")],
    *,
    model: Annotated[str, typer.Option(help="The series that the version belongs to.")],
    version: Annotated[
        str | None,
        typer.Option(help="Its name, for ever; the next number where it is absent.", show_default=False),
    ] = None,
    account: Account = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it serves, and show each step.")] = False,
    timeout_seconds: TimeoutSeconds = 600,
    format: Annotated[  # noqa: A002 - the event's word
        str | None, typer.Option(help="Recognised where it is absent.", show_default=False)
    ] = None,
    optimize: Annotated[
        str | None,
        typer.Option(
            help="onnx compiles it at the build; none does not, whatever so1s.yaml says.", show_default=False
        ),
    ] = None,
    uploaded_by: Text = None,
    label: Annotated[list[str], typer.Option(help="KEY=VALUE, by which costs are allocated.")] = [],  # noqa: B006 - typer copies it
    evaluation: Annotated[list[str], typer.Option(help="NAME=NUMBER, your own figures.")] = [],  # noqa: B006 - typer copies it
    priority: Annotated[
        str, typer.Option(help="Of its build among the account's own: low, normal or high.")
    ] = "normal",
    run_url: Text = None,
    commit: Text = None,
    dataset_uri: Text = None,
    build_only: Annotated[
        bool, typer.Option("--build-only", help="Build the image; deploy nothing.")
    ] = False,
    deployment: Annotated[str | None, typer.Option(help="The model's name where it is absent.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="The model's name where it is absent.")] = None,
    initial_percent: Annotated[int | None, typer.Option(help="Share of a variant that joins others.")] = None,
    requires: Annotated[list[str], typer.Option(help="A check that must pass before it takes traffic.")] = [],  # noqa: B006 - typer copies it
    strategy: Annotated[str | None, typer.Option(help="rolling, or static for scarce GPUs.")] = None,
    cpu_millicores: Whole = None,
    memory_mib: Whole = None,
    gpus: Whole = None,
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
    alert: Annotated[
        list[str], typer.Option(help="A rule, such as availability_below=0.99,for_seconds=300.")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Upload a model and publish it; with --wait, until it serves.

    What is left out is said by the model's so1s.yaml, and else by the platform's defaults.
    """
    settings, screen = ClientSettings.load(), terminal(context)
    require_platform(settings)
    settings.require_for_upload(account, of_file=not is_uri(path), say_account="--account NAME")
    account = account_of(settings, account)
    resources = {"cpu_millicores": cpu_millicores, "memory_mib": memory_mib, "gpus": gpus}
    scaling = {
        "min_replicas": min_replicas,
        "max_replicas": max_replicas,
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
    deploy = {
        "deployment": deployment,
        "endpoint": endpoint,
        "initial_percent": initial_percent,
        "requires": requires or None,
        "strategy": strategy,
        "resources": resources,
        "scaling": scaling,
    }
    published = publish_model(
        model,
        path,
        version=version or next_version(settings, account, model, path),
        account=account,
        format=format,
        optimize=optimize,
        uploaded_by=uploaded_by,
        lineage={"run_url": run_url, "commit": commit, "dataset_uri": dataset_uri},
        evaluation=numbers("evaluation", evaluation),
        labels=pairs("label", label),
        priority=priority,
        deploy=None if build_only else deploy,
        alerts=[_alert(each) for each in alert] or None,
        settings=settings,
    )
    if wait:
        _watch(screen, published, timeout_seconds)
    else:
        _tell(screen, published)


def next_version(settings: ClientSettings, account: str, model: str, path: str) -> str:
    """The number after the newest one; the newest one itself where it holds the same bytes.

    Raises:
        InvalidInput: neither a console nor the builder's API is known, or `path` is a URI.
    """
    if is_uri(path) or not (settings.url or settings.builder_url):
        allowed = (
            "allowed: --version NAME; numbers are given to local files where a builder or a console answers"
        )
        raise InvalidInput.missing("version", allowed)
    known = versions(settings, model) if settings.url else _built(settings, account, model)
    numbers_of = {int(each["version"]): each for each in known if each["version"].isdecimal()}
    newest = max(numbers_of, default=0)
    same = newest and numbers_of[newest]["sha256"] == fingerprint(Path(path))
    return str(newest if same else newest + 1)


def _built(settings: ClientSettings, account: str, model: str) -> list[dict[str, Any]]:
    builds = api.get(settings, "builder", "v1", "builds", account=account)["builds"]
    return [each for each in builds if each["model"] == model and each["state"] != "refused"]


def _alert(text: str) -> dict[str, Any]:
    found = numbers("alert", text.split(","))
    return {key: int(value) if key == "for_seconds" else value for key, value in found.items()}


def _tell(screen: Terminal, published: PublishedModel) -> None:
    event = published.event
    said = {"model": published.name, "event_id": published.event_id, "artifact": event.artifact}
    screen.show(said, lambda _: f"published  {published.name}")
    if not screen.is_json:
        over_http = "say --wait to see what becomes of it; to say it again is safe"
        over_kafka = f"so1s explain {published.name} shows what becomes of it"
        screen.note(over_http if published.settings.url else over_kafka)


def _watch(screen: Terminal, published: PublishedModel, timeout_seconds: float) -> None:
    def on_step(step: Step) -> None:
        if screen.is_json:
            print_json({"step": step.name, "detail": step.detail, "seconds": step.seconds}, indent=None)
        else:
            screen.line(
                (f"{step.name:<11}", "bold green"), f"{step.detail:<{_WIDTH}}", f"{step.seconds:6.1f}s"
            )

    try:
        published.wait_until_serving(timeout_seconds, on_step=on_step)
    except KeyboardInterrupt:
        raise Interrupted(f"{published.name} is published, and goes on; --wait again follows it") from None
