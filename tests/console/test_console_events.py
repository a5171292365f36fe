"""Events over HTTP: what is taken, from whom, and in what form."""

import json
from datetime import UTC, datetime

import pytest

from services.console.domain.scopes import SAYABLE
from so1s import events
from so1s.events.codec import decode
from so1s.events.event import catalogue
from tests.console.conftest import bearer, uploaded, weights

both = pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)


def read(row, event_class=events.ModelUploaded):
    headers = [(name, value.encode("latin-1")) for name, value in json.loads(row.headers)]
    return decode(event_class, headers, row.value)


@both
async def test_a_structured_event_is_recorded_for_kafka_before_it_is_answered(console):
    answer = await console.post(await console.token(), uploaded())
    assert (answer.status_code, answer.json()) == (202, {"ids": ["run-7"]})
    (row,) = await console.waiting()
    received = read(row)
    assert row.topic == "so1s.model-uploaded"
    assert (received.id, received.correlation_id) == ("run-7", "run-7")
    assert received.event.model == "fraud"


async def test_an_event_of_a_client_that_proposes_http2_is_taken(console, serve):
    """Java's client does with every request."""
    proposal = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAA"}
    async with serve(console.service) as served:
        answer = await served.post(await console.token(), uploaded(), **proposal)
    assert (answer.status_code, answer.json()) == (202, {"ids": ["run-7"]})
    assert len(await console.waiting()) == 1


async def test_an_event_in_binary_mode_is_taken(console):
    said = uploaded()
    data = json.dumps(said.pop("data")).encode()
    headers = {f"ce-{name}": value for name, value in said.items()} | {"ce-source": "airflow/%C3%BCber"}
    headers |= {"content-type": "application/json; charset=utf-8", **bearer(await console.token())}
    answer = await console.http.post("/v1/events", content=data, headers=headers)
    assert answer.status_code == 202
    (row,) = await console.waiting()
    assert read(row).source == "account/risk/airflow/über"


@both
async def test_a_batch_is_taken_as_a_whole(console):
    answer = await console.post(await console.token(), [uploaded("a"), weights("b")])
    assert (answer.status_code, answer.json()) == (202, {"ids": ["a", "b"]})
    assert [row.topic for row in await console.waiting()] == ["so1s.model-uploaded", "so1s.weights-changed"]


async def test_nothing_of_a_batch_is_taken_where_one_event_is_wrong(console):
    answer = await console.post(await console.token(), [uploaded("a"), uploaded("b", model="F!")])
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["problems"]] == ["events.1.model"]
    assert await console.waiting() == []


@both
async def test_an_event_that_is_sent_again_is_recorded_once(console):
    token = await console.token()
    for _ in range(2):
        assert (await console.post(token, uploaded())).status_code == 202
    assert len(await console.waiting()) == 1


@both
async def test_an_id_that_is_said_again_with_other_data_is_refused(console):
    token = await console.token()
    await console.post(token, uploaded())
    answer = await console.post(token, uploaded(version="4"))
    assert answer.status_code == 409
    assert answer.json()["problems"][0]["field"] == "id"
    assert (await console.post(token, [uploaded("a"), uploaded("a", version="4")])).status_code == 409
    assert len(await console.waiting()) == 1


async def test_the_same_id_of_another_account_or_source_is_another_event(console):
    mine, theirs = await console.token(), await console.token(account="shop")
    await console.post(mine, uploaded())
    await console.post(mine, uploaded() | {"source": "another"})
    await console.post(theirs, uploaded(account="shop"))
    sources = [read(row).source for row in await console.waiting()]
    assert sources == [
        "account/risk/airflow/risk_daily",
        "account/risk/another",
        "account/shop/airflow/risk_daily",
    ]


async def test_an_event_of_another_account_is_refused_by_its_field(console):
    answer = await console.post(await console.token(), uploaded(account="shop"))
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    (problem,) = answer.json()["problems"]
    assert problem == {
        "field": "account",
        "value": "'shop'",
        "allowed": "allowed: 'risk', the account of this token",
    }


async def test_nobody_says_that_an_upload_was_dropped_into_the_bucket(console):
    dropped = {"event": "ObjectCreated:Put", "principal": "x", "modified_at": "2030-01-01T00:00:00Z"}
    answer = await console.post(await console.token("publish"), uploaded(dropped=dropped))
    assert (answer.status_code, answer.json()["problems"][0]["field"]) == (403, "dropped")


async def test_a_broken_rule_names_field_value_and_what_is_allowed(console):
    answer = await console.post(await console.token(), uploaded(version="a b", flavour="x"))
    assert answer.status_code == 400
    problems = {each["field"]: each for each in answer.json()["problems"]}
    assert problems["version"]["value"] == "'a b'"
    assert "for example 'a-b'" in problems["version"]["allowed"]
    assert "flavour" in problems


@pytest.mark.parametrize(
    ("scope", "event", "status"),
    [
        ("publish", uploaded(), 202),
        ("publish", weights(), 403),
        ("operate", weights(), 202),
        ("operate", uploaded(), 403),
        ("read", uploaded(), 403),
    ],
)
async def test_a_token_says_what_its_scope_is_for(console, scope, event, status):
    answer = await console.post(await console.token(scope), event)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["problems"][0]["field"] == "type"


def test_no_token_says_what_the_platform_finds_out_or_asks_of_itself():
    sayable = {each for classes in SAYABLE.values() for each in classes}
    facts = {each for each in catalogue().values() if each.__module__.startswith("so1s.events")} - sayable
    assert {events.BuildFailed, events.UsageSampled, events.DeploymentRequested} <= facts
    assert {each.__name__ for each in sayable} == {
        "ModelUploaded",
        "BuildRequested",
        "BuildCancelled",
        "WeightsChanged",
        "DeploymentScaleRequested",
        "DeploymentRollbackRequested",
        "DeploymentRemovalRequested",
        "EndpointRemovalRequested",
        "CheckFinished",
    }


async def test_nobody_speaks_under_the_name_of_a_service(console):
    await console.post(await console.token(), uploaded() | {"source": "so1s/builder"})
    (row,) = await console.waiting()
    assert read(row).source == "account/risk/so1s/builder"


async def test_the_time_of_an_event_is_that_of_its_acceptance(console):
    before = datetime.now(UTC)
    await console.post(await console.token(), uploaded() | {"time": "2099-01-01T00:00:00Z"})
    (row,) = await console.waiting()
    assert before <= read(row).time <= datetime.now(UTC)


async def test_a_trace_goes_on(console):
    trace = "0af7651916cd43dd8448eb211c80319c"
    await console.post(await console.token(), uploaded() | {"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    (row,) = await console.waiting()
    assert read(row).traceparent.split("-")[1] == trace


async def test_an_event_answers_a_chain_of_its_own_account(console):
    token = await console.token()
    await console.post(token, uploaded("upload"))
    answer = await console.post(token, weights(correlationid="upload", causationid="upload"))
    assert answer.status_code == 202
    received = read((await console.waiting())[1], events.WeightsChanged)
    assert (received.correlation_id, received.cause_id) == ("upload", "upload")


async def test_an_event_answers_no_chain_of_another_account(console):
    await console.post(await console.token(account="shop"), uploaded("upload", account="shop"))
    answer = await console.post(await console.token(), weights(correlationid="upload"))
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["field"] == "correlationid"
    assert len(await console.waiting()) == 1


async def test_a_body_above_the_limit_is_refused(console, settings):
    body = b" " * (settings.max_body_bytes + 1)
    assert (await console.post(await console.token(), body)).status_code == 413


async def test_an_event_above_the_limit_is_refused(console):
    answer = await console.post(await console.token(), uploaded(labels={"x": "y" * 600_000}))
    assert answer.status_code == 400
    assert "at most 524288 bytes" in answer.json()["detail"]


async def test_another_content_type_is_told_which_ones_are_taken(console):
    answer = await console.post(await console.token(), b"<event/>", **{"content-type": "text/xml"})
    assert answer.status_code == 415
    assert "application/cloudevents+json" in answer.json()["detail"]


@both
async def test_the_audit_says_which_token_said_what(console):
    from services.console import audit

    token = await console.token()
    await console.post(token, uploaded())
    async with console.service.store.read() as connection:
        said, created = await audit.entries(connection, "risk", 10)
    assert (said.actor, said.action) == (f"token:{token.split('_')[1]}", "event.accepted")
    assert said.subject == "so1s.ModelUploaded.v1 run-7"
    assert (created.actor, created.action) == ("operator:me", "token.created")
    assert token.split("_")[2] not in str(created)
