"""Rules: the conditions under which an incident is opened, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from so1s.errors import InvalidInput
from so1s.events import AlertRule, Value
from so1s.events.incident import Severity
from so1s.events.names import Name

C = TypeVar("C")
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Measure = Literal["availability", "latency-p90", "latency-p99", "restarts"]
"""A figure of a deployment that rules watch."""
FailureEvent = Literal["BuildFailed", "DeploymentFailed", "RoutesDegraded", "RoutesRejected"]


class RestartLoop(Value):
    """A deployment's replicas restart again and again."""

    restarts_at_least: Annotated[int, Field(ge=1)]
    within_seconds: Annotated[int, Field(ge=1, le=86_400)]


class Happened(Value):
    """An event says by itself that something is wrong."""

    event: FailureEvent
    except_reasons: list[str] = []
    """Values of the event's `reason` that nobody needs to be told of."""


class GatewayAway(Value):
    """A gateway does not answer those who measure it, so that no endpoint behind it is served."""

    gateway_answers_below: Annotated[float, Field(gt=0, le=1)]
    """The share of scrapes."""
    for_seconds: Seconds = 0


class DeadLettersKept(Value):
    """A service keeps events that it could not handle."""

    dead_letters_above: Annotated[int, Field(ge=0)]


_KINDS = ("event", "restarts_at_least", "gateway_answers_below", "dead_letters_above")


def _kind(when: Any) -> str:
    fields = when if isinstance(when, dict) else getattr(type(when), "model_fields", ())
    return next((kind for kind in _KINDS if kind in fields), "bound")


Condition = Annotated[
    Annotated[Happened, Tag("event")]
    | Annotated[RestartLoop, Tag("restarts_at_least")]
    | Annotated[GatewayAway, Tag("gateway_answers_below")]
    | Annotated[DeadLettersKept, Tag("dead_letters_above")]
    | Annotated[AlertRule, Tag("bound")],
    Discriminator(_kind),
]
"""Which of them it is shows in its fields; a bound is written as a model's author writes it."""


class Rule(Value):
    """When an incident is opened, how grave it is, and when it is resolved."""

    name: Name
    when: Condition
    severity: Severity = "warning"
    resolve_after_seconds: Seconds | None = None
    """How long health must last; as long as the condition must hold, where it is absent."""

    @property
    def hold_seconds(self) -> int:
        """How long the condition must hold before an incident is opened."""
        return self.when.for_seconds if isinstance(self.when, AlertRule | GatewayAway) else 0

    @property
    def settle_seconds(self) -> int:
        """How long health must last before the incident is resolved."""
        return self.hold_seconds if self.resolve_after_seconds is None else self.resolve_after_seconds

    @property
    def measure(self) -> Measure | None:
        """The deployment's figure that is watched, if it is one."""
        match self.when:
            case Happened() | GatewayAway() | DeadLettersKept():
                return None
            case RestartLoop():
                return "restarts"
            case AlertRule(availability_below=float() | int()):
                return "availability"
            case AlertRule(latency_p90_above_ms=float() | int()):
                return "latency-p90"
        return "latency-p99"


class Rulebook(Value):
    """All rules of an operator."""

    rules: list[Rule]
    update_every_seconds: Annotated[int, Field(ge=1)] = 30
    """An open incident's message is edited at most this often."""
    forget_after_seconds: Annotated[int, Field(ge=60)] = 900
    """An incident that no window speaks of any more is closed after this time."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        twice = [name for name, count in Counter(rule.name for rule in self.rules).items() if count > 1]
        if twice:
            raise ValueError(f"allowed: each name once, not {', '.join(twice)} again")
        return self

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read a rules file.

        Raises:
            InvalidInput: names every problem of the file at once.
        """
        try:
            return cls.model_validate(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise InvalidInput.of("rules", str(error), "allowed: YAML") from error
        except ValidationError as error:
            raise InvalidInput.from_pydantic(error, cls) from error

    def watching(self, own: Iterable[Rule] = ()) -> list[Rule]:
        """The rules that judge a deployment's windows, given its author's own.

        An author knows a model better than the operator does: where both watch the same figure, the
        author's rule counts, so that one problem makes one incident.
        """
        own = list(own)
        taken = {rule.measure for rule in own} | {None}
        return [rule for rule in self.rules if rule.measure not in taken] + own

    @property
    def pause(self) -> timedelta:
        """Between two edits of an open incident."""
        return timedelta(seconds=self.update_every_seconds)

    @property
    def silence(self) -> timedelta:
        """After which an incident is closed."""
        return timedelta(seconds=self.forget_after_seconds)

    def on(self, kind: type[C]) -> list[tuple[Rule, C]]:
        """The rules with a condition of this kind, each with the condition."""
        return [(rule, rule.when) for rule in self.rules if isinstance(rule.when, kind)]

    def telling_of(self, event: FailureEvent, reason: str | None = None) -> list[Rule]:
        """The rules that an event of this kind meets."""
        return [
            rule
            for rule in self.rules
            if isinstance(rule.when, Happened)
            and rule.when.event == event
            and reason not in rule.when.except_reasons
        ]


def author_rules(alerts: Iterable[AlertRule]) -> list[Rule]:
    """The `alerts:` of a model's author as rules, named by the figure: `author-availability`."""
    seen: Counter[str] = Counter()
    rules = []
    for alert in alerts:
        rule = Rule(name="author", when=alert, severity="critical")
        seen[name := f"author-{rule.measure}"] += 1
        suffix = f"-{seen[name]}" if seen[name] > 1 else ""
        rules.append(rule.model_copy(update={"name": name + suffix}))
    return rules
