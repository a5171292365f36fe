from pathlib import Path

import pytest

import services.alerter
from services.alerter.domain.rules import Rulebook, author_rules
from so1s.errors import InvalidInput
from so1s.events import AlertRule


def test_the_committed_rules_are_valid_and_cover_every_kind_of_trouble():
    text = Path(services.alerter.__file__).with_name("rules.yaml").read_text()
    names = {rule.name for rule in Rulebook.from_yaml(text).rules}
    assert names >= {
        "availability",
        "latency",
        "restart-loop",
        "build-failed",
        "deployment-failed",
        "routes-degraded",
        "gateway-unreachable",
        "dead-letters",
    }


def test_a_rules_file_names_all_its_problems_at_once():
    with pytest.raises(InvalidInput) as caught:
        Rulebook.from_yaml("""
            update_every_seconds: 0
            rules:
              - {name: Availability, when: {availability_below: 2}}
              - {name: slow, severity: fatal, when: {latency_p99_above_ms: 5, availability_below: 0.5}}
              - {name: gone, when: {event: BuildCancelled}}
              - {name: loop, when: {restarts_at_least: 3}}
        """)
    fields = {problem.field for problem in caught.value.problems}
    assert fields == {
        "update_every_seconds",
        "rules.0.name",
        "rules.0.when.bound.availability_below",
        "rules.1.severity",
        "rules.1.when.bound",
        "rules.2.when.event.event",
        "rules.3.when.restarts_at_least.within_seconds",
    }


@pytest.mark.parametrize(
    "text", ["", "rules: [", "rules: [{name: a-rule}]", "rules: [{name: b-rule, when: 1}]"]
)
def test_a_file_that_holds_no_rules_is_refused(text):
    with pytest.raises(InvalidInput):
        Rulebook.from_yaml(text)


def test_a_name_is_given_once():
    rule = "{name: same, when: {event: BuildFailed}}"
    with pytest.raises(InvalidInput, match="each name once, not same again"):
        Rulebook.from_yaml(f"rules: [{rule}, {rule}]")


def test_an_authors_rule_takes_the_place_of_the_operators_on_the_same_figure(rulebook):
    own = author_rules([AlertRule(availability_below=0.99, for_seconds=5)])
    names = [rule.name for rule in rulebook.watching(own)]
    assert names == ["latency", "restart-loop", "author-availability"]


def test_an_authors_rules_are_named_by_their_figures():
    alerts = [
        AlertRule(availability_below=0.99),
        AlertRule(latency_p90_above_ms=10.0),
        AlertRule(availability_below=0.5),
    ]
    names = [rule.name for rule in author_rules(alerts)]
    assert names == ["author-availability", "author-latency-p90", "author-availability-2"]


def test_reasons_that_nobody_needs_to_hear_of_meet_no_rule(rulebook):
    assert rulebook.telling_of("BuildFailed", "cancelled") == []
    assert [rule.name for rule in rulebook.telling_of("BuildFailed", "format")] == ["build-failed"]
