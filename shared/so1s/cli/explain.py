"""`so1s explain`: how a version came to serve and to cost, from the upload to the charge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.text import Text
from rich.tree import Tree

from so1s import events as e
from so1s.cli import api
from so1s.cli.ask import run
from so1s.cli.build import Version, split
from so1s.cli.chain import Chain, Story, Usage, read_story
from so1s.cli.options import Account, account_of
from so1s.cli.terminal import Line, terminal
from so1s.errors import InvalidInput, Unreachable
from so1s.events.envelope import Received
from so1s.events.model import Dropped
from so1s.platform import ClientSettings

_STEP_WIDTH = 83
"""Where the times of steps end, in a terminal that is wide enough."""
_LONGEST_DETAIL = 60
_LONGEST: dict[type[e.Event], int] = {e.BuildFailed: 56, e.DeploymentFailed: 56, e.RoutesApplied: 200}
"""Of a failure, which is told whole below, as much as 80 columns hold; of a route its whole URL."""
_INDENT = 4
_SHA256 = "sha256:"


def explain(
    context: typer.Context,
    version: Version,
    *,
    account: Account = None,
    whole: Annotated[bool, typer.Option("--all", help="Each time that it was published.")] = False,
) -> None:
    """Show what became of a version. Upload, build, deployment, checks, route, usage and charge."""
    settings, screen = ClientSettings.load(), terminal(context)
    account = account_of(settings, account)
    model, number = split(version)
    story = run(settings, read_story(settings, account, model, number, whole=whole))
    charge = _charge(settings, account, model, number)
    screen.show(as_data(story, charge), lambda _: drawn(story, charge))


@dataclass(frozen=True)
class Charge:
    """What a version costs by now, or why that is not known."""

    rows: list[dict[str, Any]]
    unknown: str = ""

    @property
    def nano_usd(self) -> int:
        """In all."""
        return sum(row["amount_nano_usd"] for row in self.rows)


def _charge(settings: ClientSettings, account: str, model: str, version: str) -> Charge:
    try:
        found = api.get(settings, "billing", "v1", "bills", account, by="model,version,resource")
    except (Unreachable, InvalidInput) as error:
        return Charge([], unknown=str(error))
    mine = [row for row in found["rows"] if (row["model"], row["version"]) == (model, version)]
    return Charge(mine)


def as_data(story: Story, charge: Charge) -> dict[str, Any]:
    """The explanation for programs."""
    upload = story.last.upload.event
    return {
        "account": upload.account,
        "model": upload.model,
        "version": upload.version,
        **_chain_data(story.last),
        "earlier": [_chain_data(each) for each in story.earlier],
        "usage": vars(story.usage),
        "charge": {"nano_usd": charge.nano_usd, "rows": charge.rows, "unknown": charge.unknown or None},
    }


def _chain_data(chain: Chain) -> dict[str, Any]:
    return {
        "correlation_id": chain.upload.correlation_id,
        "uploaded_at": chain.upload.time,
        "events": [
            {
                "type": each.event.type,
                "id": each.id,
                "cause_id": each.cause_id,
                "source": each.source,
                "time": each.time,
                "data": each.event,
            }
            for each in chain.events
        ],
    }


def drawn(story: Story, charge: Charge) -> RenderableType:
    """The explanation for people."""
    told = [each for each in (*story.earlier, story.last) if each.events]
    trees = [_drawn_chain(each) for each in told]
    stands = next((at for at in reversed(range(len(told))) if not told[at].was_in_vain), -1)
    trees[stands].add(_usage(story.usage))
    _add_charge(trees[stands], charge)
    return Group(*_untold(story), *trees)


def _untold(story: Story) -> list[RenderableType]:
    """How often it was published before without being told of here."""
    untold = [each for each in story.earlier if not each.events]
    if not untold:
        return []
    times = "once" if len(untold) == 1 else f"{len(untold)} times"
    upload = story.last.upload.event
    said = f"published {times} before; so1s explain {upload.model}@{upload.version} --all tells of each"
    return [Text(said, style="yellow")]


def _drawn_chain(chain: Chain) -> Tree:
    upload = chain.upload.event
    by = f"   account {upload.account}, by {upload.uploaded_by}"
    tree = Tree(Text.assemble((f"{upload.model}@{upload.version}", "bold"), by), guide_style="dim")
    branches = _Branches(tree, chain.upload.time)
    for received in chain.events:
        branches.grow(received)
    return tree


class _Branches:
    """A tree that grows by events: the steps of a build under the build, a rollout under its deployment."""

    def __init__(self, tree: Tree, began: datetime | None) -> None:
        self._tree = tree
        self._began = began
        self._under: dict[type[e.Event], Tree] = {}

    def grow(self, received: Received[Any]) -> None:
        """Add what one event says."""
        event = received.event
        kind = type(event)
        parent = self._under.get(kind, self._tree)
        if kind in _UNDER_BUILD and kind not in self._under:
            parent = self._tree.add(Text("build", style="bold"))
            self._under |= dict.fromkeys(_UNDER_BUILD, parent)
        if kind is e.DeploymentRequested:
            parent = self._tree.add(Text(f"deployment {event.deployment}", style="bold"))
            self._under |= dict.fromkeys(_UNDER_DEPLOYMENT, parent)
        branch = parent.add(self._line(received, depth=1 if parent is self._tree else 2))
        for detail in _DETAILS.get(kind, _nothing)(event):
            branch.add(detail)

    def _line(self, received: Received[Any], *, depth: int) -> Line:
        event = received.event
        name, detail, style = _LINES.get(type(event), _other)(event)
        seconds = (received.time - self._began).total_seconds() if received.time and self._began else 0.0
        after = f"{max(seconds, 0.0):.1f}s"
        brief = _short(detail, _LONGEST.get(type(event), _LONGEST_DETAIL))
        return Line(Text(name, style), Text(brief), after, _STEP_WIDTH - _INDENT * depth)


Said = tuple[str, str, str]
"""A name, what is said of it, and a style."""
_UNDER_BUILD = (e.BuildStepFinished, e.ImageBuilt, e.BuildFailed)
_UNDER_DEPLOYMENT = (
    e.DeploymentRequested,
    e.DeploymentProgressed,
    e.DeploymentReady,
    e.DeploymentFailed,
    e.ReplicasChanged,
    e.CheckFinished,
)


def _short(detail: str, longest: int) -> str:
    return detail if len(detail) <= longest else detail[: longest - 1] + "…"


def _nothing(_event: e.Event) -> list[Text]:
    return []


def _other(event: e.Event) -> Said:
    return type(event).__name__, event.key, "yellow"


def _uploaded(event: e.ModelUploaded) -> Said:
    size, sha256 = event.artifact.size_bytes, event.artifact.sha256
    said = [decimal(size) if size is not None else "", f"sha256 {sha256[:12]}…" if sha256 else ""]
    return "uploaded", ", ".join(filter(None, said)) or event.artifact.uri, "green"


def _built(event: e.ImageBuilt) -> Said:
    return "built", f"{_digest(event.image.digest)}, {decimal(event.image.size_bytes)}", "green"


def _step(event: e.BuildStepFinished) -> Said:
    return event.step, _digest(event.detail) if event.detail.startswith(_SHA256) else event.detail, ""


def _digest(whole: str) -> str:
    return f"{whole[: len(_SHA256) + 12]}…"


def _ready(event: e.DeploymentReady) -> Said:
    replicas = "1 replica" if event.replicas == 1 else f"{event.replicas} replicas"
    candidate = f", candidate until {', '.join(event.requires)} passed" if event.candidate else ""
    return "ready", f"revision {event.revision}, {replicas}{candidate}", "green"


def _checked(event: e.CheckFinished) -> Said:
    verdict, style = ("passed", "green") if event.passed else ("failed", "red")
    return "check", f"{event.check} {verdict}: {event.reason}", style


def _upload_details(event: e.ModelUploaded) -> list[Line]:
    lineage = {name: value for name, value in event.lineage.model_dump().items() if value}
    dropped = {"dropped": _drop(event.dropped)} if event.dropped else {}
    said = {"artifact": event.artifact.uri, **dropped, **lineage, **event.evaluation, **event.labels}
    return [Line(Text(f"{name}:", "dim"), Text(str(value), "dim"), gap=1) for name, value in said.items()]


def _drop(dropped: Dropped) -> str:
    told = dropped.event or "found by a listing"
    who = f" by {dropped.principal}" if dropped.principal else ""
    return f"{told}{who}, {dropped.modified_at:%Y-%m-%d %H:%M:%S} UTC"


def _option_details(event: e.DeploymentRequested) -> list[Text]:
    """Each option with the layer that it came from."""
    workload = event.workload.model_dump(mode="json") | {"deployment": event.deployment}
    flat = _flat(workload)
    said = {name: layer for name, layer in event.sources.items() if name in flat}
    return [
        Text.assemble(f"{name}: {flat[name]}", (f"   ← {layer}", "cyan"))
        for name, layer in sorted(said.items())
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _failure_details(event: e.BuildFailed | e.DeploymentFailed) -> list[Text]:
    whole = [event.message] if len(f"{event.reason}: {event.message}") > _LONGEST[type(event)] else []
    return [Text(line, style="red") for line in (*whole, *event.log_tail)]


def _split_details(event: e.RoutesApplied) -> list[Text]:
    total = sum(event.weights.values()) or 1
    return [Text(f"{name}  {100 * weight / total:.1f} %") for name, weight in event.weights.items()]


_LINES: dict[type[e.Event], Any] = {
    e.ModelUploaded: _uploaded,
    e.BuildStepFinished: _step,
    e.ImageBuilt: _built,
    e.BuildFailed: lambda it: ("failed", f"{it.reason}: {it.message}", "red"),
    e.DeploymentRequested: lambda it: ("requested", f"by {it.requested_by}", ""),
    e.DeploymentProgressed: lambda it: ("progress", f"revision {it.revision}: {it.message}", ""),
    e.DeploymentReady: _ready,
    e.DeploymentFailed: lambda it: ("failed", f"{it.reason}: {it.message}", "red"),
    e.ReplicasChanged: lambda it: ("replicas", f"{it.ready}/{it.desired}: {it.reason}", ""),
    e.CheckFinished: _checked,
    e.RoutesApplied: lambda it: ("route", f"{it.url} revision {it.revision}", "green"),
    e.RoutesRejected: lambda it: ("rejected", f"{it.field}: {it.value}; {it.allowed}", "red"),
    e.IncidentOpened: lambda it: ("incident", f"{it.subject}: {it.summary}", "red"),
    e.IncidentResolved: lambda it: ("resolved", f"{it.subject}: {it.summary}", "green"),
    e.VariantInUse: lambda it: ("in use", f"{it.deployment}: {it.reason}", "yellow"),
    e.RoutesDegraded: lambda it: ("degraded", f"{it.gateways_serving} of {it.gateways} gateways", "yellow"),
}
_DETAILS: dict[type[e.Event], Any] = {
    e.ImageBuilt: lambda event: [Text(f"warning: {each}", style="yellow") for each in event.warnings],
    e.ModelUploaded: _upload_details,
    e.DeploymentRequested: _option_details,
    e.BuildFailed: _failure_details,
    e.DeploymentFailed: _failure_details,
    e.RoutesApplied: _split_details,
}


def _usage(usage: Usage) -> Line:
    name = Text("usage", "bold")
    if not usage.first or not usage.last:
        return Line(name, Text("nothing was metered yet"))
    qualities = ", ".join(f"{count} {quality}" for quality, count in usage.qualities.items())
    span = f"{usage.first:%Y-%m-%d %H:%M:%S} to {usage.last:%H:%M:%S} UTC"
    return Line(name, Text(f"{usage.windows} windows, {span} ({qualities})"))


def _add_charge(tree: Tree, charge: Charge) -> None:
    if charge.unknown:
        tree.add(Line(Text("charge", "bold"), Text(f"not known: {charge.unknown}")))
        return
    dollars = f"{charge.nano_usd / 10**9:.9f}"
    branch = tree.add(Text.assemble(("charge", "bold"), f"  {dollars} USD by now"))
    for row in charge.rows:
        branch.add(Text(f"{row['resource']}  {row['usage']}  {row['amount_usd']} USD"))
