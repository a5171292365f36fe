"""`so1s weights`: how an endpoint's traffic is split."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.cli import api, times
from so1s.cli.ask import ask, say
from so1s.cli.options import Account, Reason, TimeoutSeconds, Wait, account_of, integers, me
from so1s.cli.terminal import terminal
from so1s.errors import InvalidInput, So1sError
from so1s.events import Event, RoutesApplied, RoutesDegraded, RoutesRejected, WeightsChanged
from so1s.flow import RoutesRejected as Rejected
from so1s.platform import ClientSettings
from so1s.validation import checked
from so1s.ways import http

app = typer.Typer(no_args_is_help=True, help="Split an endpoint's traffic between its variants.")

_BAR = 20
_ANOTHER_FORM = (KeyError, ValueError, TypeError, AttributeError)
"""What an answer raises that was not expected, such as that of another version."""
_ON_THE_ROUTE = {"attached", "requested"}


@app.command("set")
def set_weights(
    context: typer.Context,
    endpoint: str,
    weights: Annotated[
        list[str], typer.Argument(help="The whole set, VARIANT=WEIGHT; 0 keeps one attached.")
    ],
    *,
    account: Account = None,
    expected_revision: Annotated[
        int | None, typer.Option(help="Refuse if the route has another one.")
    ] = None,
    reason: Reason = "",
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 60,
) -> None:
    """Declare an endpoint's weights. Ends once every gateway serves them."""
    settings, screen = ClientSettings.load(), terminal(context)
    change = checked(
        WeightsChanged,
        account=account_of(settings, account),
        endpoint=endpoint,
        weights=integers("weights", weights),
        expected_revision=expected_revision,
        changed_by=me(),
        reason=reason,
    )
    if not wait:
        event_id = say(settings, change)
        screen.show({"event_id": event_id}, lambda _: "weights published")
        return
    before = _route_before(settings, change)
    answers = (RoutesApplied, RoutesRejected, RoutesDegraded)
    *_, answer = ask(
        settings,
        change,
        answers,
        timeout_seconds=timeout_seconds,
        last=lambda event: not isinstance(event, RoutesDegraded),
        hear=lambda event: screen.note(_lag(event)),
        look=_Look(settings, change, screen.note),
    )
    if isinstance(answer, RoutesRejected):
        raise Rejected(f"{answer.field}: {answer.value} is not allowed; {answer.allowed}", answer)
    assert isinstance(answer, RoutesApplied)
    screen.show(answer, lambda it: f"revision {it.revision} applied in {it.seconds * 1000:.0f} ms")
    by_console = _is_console_alone(settings)
    detached = _left(before, answer) if by_console else _detached(settings, answer)
    for variant in detached or []:
        screen.note(
            f"{variant} is detached, as the weights do not name it; `so1s remove {variant}` ends its replicas"
        )
    if detached is None:
        who = "console" if by_console else "router"
        screen.note(
            f"whether this detached a variant is not known, as the {who} did not tell the weights before; "
            "so1s status shows what is on the route, and which deployments there are"
        )


def _is_console_alone(settings: ClientSettings) -> bool:
    return bool(settings.url and not settings.router_url)


def _detached(settings: ClientSettings, applied: RoutesApplied) -> list[str] | None:
    """The variants that a revision of a route left behind, but for those that are being removed.

    None where the router does not tell soon. The answer to the change is shown before it is asked.
    """
    with suppress(So1sError, *_ANOTHER_FORM):
        endpoint = _find(settings, applied.account, applied.endpoint, api.get_soon)
        weights = {each["revision"]: each["weights"] for each in endpoint["history"]} | {0: {}}
        left = weights[applied.revision - 1].keys() - applied.weights.keys()
        detached = {each["variant"] for each in endpoint["variants"] if each["state"] == "detached"}
        return sorted(left & detached)
    return None


def _route_before(settings: ClientSettings, change: WeightsChanged) -> dict[str, Any] | None:
    """The endpoint as a console tells of it, which knows no route but the newest; None where none tells soon.

    A router is asked afterwards.
    """
    if not _is_console_alone(settings):
        return None
    with suppress(So1sError, *_ANOTHER_FORM):
        endpoints = http.status(settings, seconds=api.SOON_SECONDS)["endpoints"]
        return next((each for each in endpoints if each["endpoint"] == change.endpoint), None)
    return None


def _left(before: dict[str, Any] | None, applied: RoutesApplied) -> list[str] | None:
    """The variants that a revision of a route left behind; None where the one before it is not known."""
    with suppress(*_ANOTHER_FORM):
        revision, variants = (before["revision"], before["variants"]) if before else (0, [])
        if revision in {applied.revision, applied.revision - 1}:
            return sorted({each["variant"] for each in variants} - applied.weights.keys())
    return None


@dataclass
class _Look:
    """Says what a change waits for, and says it again when that is another thing."""

    settings: ClientSettings
    change: WeightsChanged
    note: Callable[[str], None]
    said: list[str] = field(default_factory=list)

    def __call__(self, event_id: str) -> None:
        """Ask the router; where it does not answer, the change is waited for all the same."""
        with suppress(So1sError):
            endpoint = _find(self.settings, self.change.account, self.change.endpoint)
            waits = [obstacles(each) for each in endpoint["waits"] if each["event_id"] == event_id]
            if waits and waits != self.said:
                self.said = waits
                self.note("; ".join(waits))


def obstacles(change: dict[str, Any]) -> str:
    """What a change of weights waits for, and how long it may."""
    waits = [f"{variant} waits for {what}" for variant, what in change["for"].items()]
    return f"{'; '.join(waits) or 'it is being applied'}, until {times.clock(change['until'])}"


def _lag(event: Event) -> str:
    assert isinstance(event, RoutesDegraded)
    serving = f"{event.gateways_serving} of {event.gateways} gateways answer with revision {event.revision}"
    return f"{serving}: {event.reason}" if event.reason else f"{serving} by now"


@app.command("show")
def show_weights(context: typer.Context, endpoint: str, *, account: Account = None) -> None:
    """Show an endpoint's variants and their shares."""
    settings = ClientSettings.load()
    terminal(context).show(_find(settings, account_of(settings, account), endpoint), shares)


def _find(
    settings: ClientSettings, account: str, endpoint: str, get: Callable[..., Any] = api.get
) -> dict[str, Any]:
    endpoints = get(settings, "router", "v1", "endpoints", account=account)["endpoints"]
    found = next((each for each in endpoints if each["endpoint"] == endpoint), None)
    if found is None:
        known = ", ".join(each["endpoint"] for each in endpoints) or "none yet"
        raise InvalidInput.of("endpoint", endpoint, f"allowed: an endpoint of {account}: {known}")
    return found


def shares(endpoint: dict[str, Any]) -> RenderableType:
    """An endpoint's variants, drawn to scale."""
    variants = [each for each in endpoint["variants"] if each["state"] in _ON_THE_ROUTE]
    total = sum(each["weight"] for each in variants) or 1
    width = max((len(each["variant"]) for each in variants), default=0)
    applied = "" if endpoint["applied"] else "  not applied yet"
    head = f"  revision {endpoint['revision']}{applied}  {endpoint['url']}"
    return Group(
        Text.assemble((endpoint["endpoint"], "bold"), head),
        *(_share(each, each["weight"] / total, width) for each in variants),
        *(_coming(each) for each in endpoint["waits"]),
    )


def _coming(change: dict[str, Any]) -> Text:
    weights = " ".join(f"{variant}={weight}" for variant, weight in change["weights"].items())
    return Text(f"then {weights}: {obstacles(change)}", style="yellow")


def _share(variant: dict[str, Any], part: float, width: int) -> Text:
    version = f"{variant['model']}@{variant['version']}" if variant["model"] else variant["state"]
    text = f"{variant['variant']:<{width}}  {variant['weight']:>7}  {100 * part:5.1f} %  {version:<20} "
    bar, hindered = "█" * round(_BAR * part), _hindered(variant)
    return Text.assemble(text, (bar, "cyan"), "  " if bar and hindered else "", (hindered, "yellow"))


def _hindered(variant: dict[str, Any]) -> str:
    """Why a variant may take no traffic, or why it is still there; empty where nothing is to be said."""
    checks, in_use = variant["checks"], variant["in_use"]
    waits = [name for name, verdict in checks.items() if verdict["passed"] is None]
    failed = [
        f"{name} failed: {verdict['reason']}"
        for name, verdict in checks.items()
        if verdict["passed"] is False
    ]
    stays = [f"is to go, but {in_use}"] if in_use else []
    return "; ".join([f"waits for the check {name}" for name in waits] + failed + stays)
