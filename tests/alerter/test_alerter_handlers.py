from datetime import timedelta
from pathlib import Path

import pytest

import services.alerter
from services.alerter import store
from services.alerter.domain.rules import Rulebook
from services.alerter.handlers import consumer
from so1s.events import (
    AlertRule,
    BuildFailed,
    DeploymentFailed,
    DeploymentReady,
    DeploymentRemoved,
    EndpointRemoved,
    Image,
    ImageBuilt,
    IncidentOpened,
    IncidentResolved,
    RoutesApplied,
    RoutesDegraded,
    Signature,
)

OPENED = IncidentOpened.topic.name
RESOLVED = IncidentResolved.topic.name


@pytest.fixture
def later(sample):
    """A time so many seconds after noon."""
    return lambda seconds: sample(0).window_start + timedelta(seconds=seconds)


@pytest.fixture
def open_rules(state):
    async def open_rules():
        async with state.transaction() as tx:
            return [incident.finding.rule for incident in await store.open_incidents(tx)]

    return open_rules


def ready(revision=1, alerts=(), *, candidate=False):
    return DeploymentReady(
        account="risk",
        deployment="fraud-next",
        revision=revision,
        model="fraud",
        version="2",
        endpoint="fraud",
        initial_percent=0,
        requires=[],
        candidate=candidate,
        service="file:///world/risk--fraud-next.json",
        url="http://127.0.0.1:9000",
        replicas=1,
        user="jiho",
        alerts=list(alerts),
        seconds=1.0,
    )


def built(version="8"):
    digest = "sha256:" + "0" * 64
    return ImageBuilt(
        account="risk",
        model="fraud",
        version=version,
        image=Image(reference=f"oci:/images@{digest}", digest=digest, size_bytes=1),
        format="onnx",
        signature=Signature(inputs=[], outputs=[]),
        user="jiho",
        deploy=None,
        seconds=1.0,
    )


def build_failed(version="7", reason="format"):
    return BuildFailed(
        account="risk", model="fraud", version=version, reason=reason, step="inspect", message="no ONNX"
    )


def deployment_failed(reason="crash_loop", revision=2):
    return DeploymentFailed(
        account="risk", deployment="fraud-next", revision=revision, reason=reason, message="exit code 1"
    )


async def test_an_unavailable_variant_is_one_incident_that_its_recovery_resolves(hear, sample, open_rules):
    assert await hear(sample(0, errors=100)) == []
    assert await hear(sample(1, errors=100)) == [OPENED]
    assert await hear(sample(2, errors=100)) == []
    assert await open_rules() == ["availability"]
    assert await hear(sample(3), sample(4)) == [RESOLVED]
    assert await open_rules() == []


async def test_variants_are_judged_each_by_itself(hear, sample, open_rules):
    both = [sample(window, variant=name, errors=100) for window in (0, 1) for name in ("fraud", "fraud-next")]
    assert await hear(*both) == [OPENED, OPENED]
    assert await open_rules() == ["availability", "availability"]


async def test_a_problem_that_comes_back_is_another_incident(hear, sample):
    weather = [100, 100, 0, 0, 100, 100]
    emitted = await hear(*(sample(window, errors=errors) for window, errors in enumerate(weather)))
    assert emitted == [OPENED, RESOLVED, OPENED]


async def test_the_alerts_of_a_models_author_count_instead_of_the_operators(hear, sample, open_rules):
    await hear(ready(alerts=[AlertRule(availability_below=0.5, for_seconds=0)]))
    assert await hear(sample(0, errors=40), sample(1, errors=40), sample(2, errors=40)) == []
    assert await hear(sample(3, errors=60)) == [OPENED]
    assert await open_rules() == ["author-availability"]


async def test_a_revision_without_the_authors_alert_closes_its_incident(hear, sample, open_rules):
    await hear(ready(alerts=[AlertRule(availability_below=0.5, for_seconds=0)]))
    await hear(sample(0, errors=60))
    assert await hear(ready(revision=2)) == [RESOLVED]
    assert await open_rules() == []


async def test_an_older_revision_does_not_bring_its_alerts_back(hear, sample, open_rules):
    await hear(ready(revision=2))
    await hear(ready(revision=1, alerts=[AlertRule(availability_below=0.5, for_seconds=0)]))
    assert await hear(sample(0, errors=60)) == []


async def test_a_build_that_fails_again_updates_its_incident_and_an_image_resolves_it(hear, later, state):
    assert await hear(build_failed("7"), build_failed("8")) == [OPENED]
    async with state.transaction() as tx:
        (incident,) = await store.open_incidents(tx)
    assert incident.finding.headline == "fraud@8 was not built"
    assert incident.revision == 2
    assert await hear(built(), time=later(60)) == [RESOLVED]


async def test_bytes_that_are_refused_under_the_name_of_a_built_version_are_not_told_as_a_failed_build(
    hear, later, state
):
    assert await hear(built()) == []
    assert await hear(build_failed("8", reason="version_conflict"), time=later(60)) == [OPENED]
    async with state.transaction() as tx:
        (incident,) = await store.open_incidents(tx)
    assert incident.finding.headline == "fraud@8 stays as it was: other bytes under its name were refused"


async def test_a_candidate_resolves_no_failed_deployment_before_it_serves(hear, later):
    assert await hear(deployment_failed()) == [OPENED]
    assert await hear(ready(3, candidate=True), time=later(60)) == []
    assert await hear(ready(3), time=later(120)) == [RESOLVED]


async def test_a_build_that_a_person_cancelled_is_no_incident(hear):
    assert await hear(build_failed(reason="cancelled")) == []


@pytest.mark.parametrize("reason", ["invalid", "stale_revision", "superseded", "unknown"])
async def test_a_request_that_is_refused_is_no_incident(hear, reason):
    shipped = Path(services.alerter.__file__).with_name("rules.yaml").read_text()
    consumer.provide(Rulebook.from_yaml(shipped))
    assert await hear(deployment_failed(reason=reason, revision=0)) == []


async def test_good_news_that_overtakes_the_bad_news_it_answers_leaves_nothing_open(hear, later):
    await hear(built(), time=later(60))
    assert await hear(build_failed(), time=later(0)) == []
    assert await hear(build_failed(), time=later(120)) == [OPENED]


async def test_old_good_news_does_not_resolve_a_newer_problem(hear, later, open_rules):
    await hear(deployment_failed(), time=later(60))
    await hear(ready(), time=later(0))
    assert await open_rules() == ["deployment-failed"]
    await hear(ready(revision=3), time=later(120))
    assert await open_rules() == []


async def test_gateways_that_lag_are_an_incident_until_all_answer(hear, open_rules):
    degraded = RoutesDegraded(account="risk", endpoint="fraud", revision=7, gateways_serving=1, gateways=2)
    assert await hear(degraded) == [OPENED]
    applied = RoutesApplied(
        account="risk",
        endpoint="fraud",
        revision=8,
        host="fraud--risk.so1s.localhost",
        url="http://fraud--risk.so1s.localhost:8080",
        weights={"fraud": 1},
        changed_by="jiho",
        seconds=0.1,
    )
    assert await hear(applied) == [RESOLVED]


@pytest.mark.parametrize("removed", ["deployment", "endpoint"])
async def test_what_is_removed_has_no_open_incidents(removed, hear, sample, later, open_rules):
    await hear(sample(0, errors=100), sample(1, errors=100))
    if removed == "deployment":
        event = DeploymentRemoved(account="risk", deployment="fraud-next", revision=3)
    else:
        event = EndpointRemoved(account="risk", endpoint="fraud", removed_at=later(30))
    assert await hear(event) == [RESOLVED]
    assert await open_rules() == []
    assert await hear(sample(2, errors=100), sample(3, errors=100)) == [OPENED]


async def test_a_removal_that_comes_late_takes_nothing_from_a_deployment_that_was_made_again(
    hear, sample, open_rules
):
    strict = AlertRule(availability_below=0.999, for_seconds=0)
    await hear(ready(4, [strict]), sample(0, errors=1))
    assert await hear(DeploymentRemoved(account="risk", deployment="fraud-next", revision=3)) == []
    assert await open_rules() == ["author-availability"]
    await hear(DeploymentRemoved(account="risk", deployment="fraud-next", revision=4))
    assert await open_rules() == []


async def test_another_accounts_incidents_stay(hear, sample, open_rules):
    await hear(sample(0, errors=100), sample(1, errors=100))
    await hear(DeploymentRemoved(account="ads", deployment="fraud-next", revision=3))
    assert await open_rules() == ["availability"]


async def test_an_incident_says_when_it_began_opened_and_ended(hear, sample, state, later):
    weather = [100, 100, 0, 0]
    await hear(*(sample(window, errors=errors) for window, errors in enumerate(weather)))
    async with state.read() as connection:
        (incident,) = await store.listed(connection, "risk", 10)
    assert incident.finding.began_at == later(0)
    assert incident.finding.at == later(10)
    assert incident.resolved_at == later(10)


async def test_a_gateway_that_is_away_is_one_incident_of_the_operator_until_it_answers(hear, gateway, state):
    assert await hear(gateway(0, 5), gateway(1, 0)) == []
    assert await hear(gateway(2, 0)) == [OPENED]
    assert await hear(*(gateway(window, 0) for window in range(3, 30))) == []
    async with state.read() as connection:
        (incident,) = await store.listed(connection, "so1s", 9)
    finding = incident.finding
    assert (finding.headline, finding.subject.text) == ("Gateway envoy is unreachable", "gateway envoy")
    assert finding.observed == "0 %: 0 of 5 scrapes answered"
    assert finding.allowed == "at least 50 %, judged over 10 s"
    assert await hear(gateway(30, 4)) == []
    assert await hear(gateway(31, 5)) == [RESOLVED]


async def test_a_gateway_that_restarts_alarms_nobody(hear, gateway):
    assert (
        await hear(*(gateway(window, answered) for window, answered in enumerate([5, 3, 4, 0, 5, 0]))) == []
    )


async def test_a_gateways_late_window_is_left_out(hear, gateway):
    assert await hear(gateway(1, 0), gateway(0, 5), gateway(2, 0)) == [OPENED]
