"""For pipelines: put a model where builders look, say so, and wait until it serves.

model = so1s.publish_model("fraud", "out/", version=run_id)
model.wait_until_serving(timeout_seconds=600)
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from so1s import modelcheck
from so1s.artifacts import target, upload
from so1s.blocking import wait_for
from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.events import AlertRule, Artifact, DeployOptions, Lineage, ModelUploaded
from so1s.events.envelope import Received
from so1s.events.ids import content_id, derived_id
from so1s.flow import ENDED_BY, TOLD_BY, Flow, FlowFailed, Serving, Step
from so1s.modelfile import FILE_NAME
from so1s.platform import ClientSettings
from so1s.publisher import SOURCE, Publisher
from so1s.validation import checked
from so1s.ways import Way, way_to

OnStep = Callable[[Step], None]

_AGAIN_SECONDS = 0.5
"""Between two tries to hear from a platform that is away."""

_WAITS_FOR = {
    "": "the event to appear on its topic",
    "published": "the build (so1s build logs {name})",
    "built": "the replicas (so1s status; so1s logs {model})",
    "ready": "{checks}the route (so1s weights show {endpoint})",
    "checked": "{checks}the route (so1s weights show {endpoint})",
}


class NotServing(So1sError, TimeoutError):
    """The time is over; the message says how far the version got. It may serve later."""


@dataclass(frozen=True)
class PublishedModel:
    """A version that was published."""

    event: ModelUploaded
    event_id: str
    settings: ClientSettings = field(repr=False)

    @property
    def name(self) -> str:
        """Such as `fraud@3`."""
        return f"{self.event.model}@{self.event.version}"

    def wait_until_serving(self, timeout_seconds: float = 600, *, on_step: OnStep | None = None) -> Serving:
        """Wait until the version serves; where nothing is to be deployed, until it is built.

        Args:
            timeout_seconds: from now.
            on_step: told each step as it is reached, the past ones first.

        The platform may be away for a while meanwhile.

        Raises:
            BuildFailed: it did not become an image; ends with the log's last lines.
            DeploymentFailed: its replicas did not become ready; ends with the log's last lines.
            RoutesRejected: its route was refused, or a required check failed.
            NotServing: the time is over; a TimeoutError that says how far it got.
            Unreachable: the platform did not answer in all that time.
        """
        return wait_for(self.until_serving(timeout_seconds, on_step=on_step))

    async def until_serving(self, timeout_seconds: float = 600, *, on_step: OnStep | None = None) -> Serving:
        """`wait_until_serving` for code with an event loop; a cancellation ends the waiting alone."""
        following = _Following(Flow(self.event.model, self.event.version), on_step or _ignore)
        way = way_to(self.settings)
        away: Unreachable | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    try:
                        return await following.to_its_end(way, self.event_id)
                    except Unreachable as error:  # the flow goes on without us: so do we
                        away = error
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError as error:
            if away and not following.began:
                raise away from error
            raise NotServing(following.how_far(timeout_seconds)) from error


def publish_model(
    model: str,
    path: str | Path,
    *,
    version: str,
    account: str | None = None,
    format: str | None = None,  # noqa: A002 - the event's word
    optimize: str | None = None,
    uploaded_by: str | None = None,
    lineage: Lineage | Mapping[str, Any] | None = None,
    evaluation: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    priority: str = "normal",
    deploy: DeployOptions | Mapping[str, Any] | None = DeployOptions(),  # noqa: B008 - immutable
    alerts: Iterable[AlertRule | Mapping[str, Any]] | None = None,
    settings: ClientSettings | None = None,
) -> PublishedModel:
    """Upload a model and publish `ModelUploaded`. Safe to repeat, as schedulers do.

    A repetition is the same event, and changes nothing; but where the upload has failed it is a new one, so
    that it is built and deployed again, and waited for anew. One that a later upload superseded stays so.

    Args:
        model: the series that the version belongs to.
        path: a file, a directory, or the URI of what is uploaded already (`s3://…`).
        version: its name, for ever; `[A-Za-z0-9._-]`, at most 63 characters.
        account: whose it is; `SO1S_ACCOUNT` where it is absent, or else the token's.
        format: recognised from the bytes where it is absent.
        optimize: `onnx` compiles the model at its build; `none` does not, whatever `so1s.yaml` says.
        uploaded_by: who is charged for it; where it is absent, the Airflow DAG, the login, or `unknown`.
        lineage: where it comes from: `run_url`, `commit`, `dataset_uri`.
        evaluation: figures of your own, such as `{"auc": 0.943}`.
        labels: by which costs are allocated.
        priority: of its build among the account's own: `low`, `normal` or `high`.
        deploy: overrides the model's `so1s.yaml`; None builds the image alone.
        alerts: overrides the model's `so1s.yaml`.
        settings: of the platform; the environment and the laptop's platform say them where they are absent.

    Raises:
        InvalidInput: with each field that breaks a rule, its value and what is allowed.
        TopicMissing: the platform was never started.
        Unauthorized: the token is not valid.
        Unreachable: Kafka, the console or S3 does not answer.
    """
    settings = settings or ClientSettings.load()
    settings.require_for_upload(account, of_file=not is_uri(path), say_account="account=…")
    values = {
        "account": account or account_meant(settings),
        "model": model,
        "version": version,
        "artifact": {"uri": str(path) if is_uri(path) else "file:///not-uploaded-yet"},
        "format": format,
        "optimize": optimize,
        "uploaded_by": uploaded_by or _who(),
        "lineage": lineage or {},
        "evaluation": evaluation or {},
        "labels": labels or {},
        "priority": priority,
        "deploy": deploy,
        "alerts": alerts if alerts is None else list(alerts),
    }
    event = _checked(values)  # before an upload that may take long
    if not is_uri(path):
        event = event.model_copy(update={"artifact": _upload(Path(path), event, settings)})
    with Publisher(settings) as publisher:
        event_id = _occasion(publisher, event)
        return PublishedModel(event, publisher.publish(event, id=event_id, source=SOURCE), settings)


def _occasion(publisher: Publisher, event: ModelUploaded) -> str:
    """The id to say an upload with: the first one, or, after each that failed, the next one.

    Each follows from the one before, so that all who try again after the same failure say the same event.
    """
    event_id = content_id(SOURCE, event.type, event.key, event.to_json())
    start = Flow(event.model, event.version)
    while start.after_all(publisher.past(event_id, ENDED_BY)).may_be_tried_again:
        event_id = derived_id(SOURCE, event_id, event.type, event.key, ordinal=1)
    return event_id


def _upload(path: Path, event: ModelUploaded, settings: ClientSettings) -> Artifact:
    described = path / FILE_NAME
    if described.is_file():
        modelcheck.check(
            path, event.format, event.optimize
        )  # a typing error shows here, not in a build's log
    return upload(path, target(settings), prefix=f"{event.account}/{event.model}/{event.version}")


def account_meant(settings: ClientSettings) -> str | None:
    """The account that settings mean: the one they name, or else their token's; None where nothing says it.

    Raises:
        Unauthorized: the token is not valid.
        Unreachable: the console does not answer.
    """
    if settings.account or not settings.url:
        return settings.account
    from so1s.ways.http import token_info

    return token_info(settings).account


def is_uri(path: str | Path) -> bool:
    """Whether it names what is uploaded already."""
    return isinstance(path, str) and "://" in path


def _checked(values: dict[str, Any]) -> ModelUploaded:
    event = checked(ModelUploaded, **values)
    if event.deploy and (problem := modelcheck.disorder(event.deploy.scaling)):
        raise InvalidInput([problem])
    return event


def _who() -> str:
    if dag := os.environ.get("AIRFLOW_CTX_DAG_ID"):
        return f"airflow:{dag}"
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # a pod's user may have a number alone
        return "unknown"


def _ignore(_step: Step) -> None:
    """Where nobody wants to be told."""


class _Following:
    """A flow on its way."""

    def __init__(self, flow: Flow, on_step: OnStep) -> None:
        self._start = self._flow = flow
        self._on_step = on_step
        self._events: dict[tuple[str, str], Received[Any]] = {}
        self._told: set[tuple[str, str]] = set()

    @property
    def began(self) -> bool:
        """Whether any of its events was seen."""
        return bool(self._flow.steps)

    async def to_its_end(self, way: Way, chain: str) -> Serving:
        async with aclosing(way.chain(chain, TOLD_BY)) as told:
            while self._flow.end is None:
                self._see(await anext(told))
        if isinstance(self._flow.end, FlowFailed):
            raise self._flow.end
        return self._flow.end

    def _see(self, received: list[Received[Any]]) -> None:
        """Look at the flow anew with what came: events come in any order, and again and again."""
        for each in received:
            self._events.setdefault((each.source, each.id), each)  # said again, it has a later time
        self._flow = self._start.after_all(self._events.values())
        for step in self._flow.steps:
            if (step.name, step.detail) not in self._told:
                self._told.add((step.name, step.detail))
                self._on_step(step)

    def how_far(self, seconds: float) -> str:
        flow = self._flow
        steps = ", ".join(f"{step.name} after {step.seconds:.1f} s" for step in flow.steps) or "nothing"
        name = f"{flow.model}@{flow.version}"
        unjudged = [check for check in flow.ready.requires if check not in flow.passed] if flow.ready else []
        waits = _WAITS_FOR[flow.last].format(
            name=name,
            model=flow.model,
            checks="".join(f"the check {check} (so1s dlq list {check}), then " for check in unjudged),
            endpoint=flow.ready.endpoint if flow.ready else "",
        )
        return f"{name} does not serve after {seconds:g} s; reached: {steps}; it waits for {waits}"
