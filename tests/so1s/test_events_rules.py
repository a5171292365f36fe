"""Each rule of an event, and what its error says: the field, the value and what is allowed."""

import json

import pytest
from pydantic import ValidationError

from so1s.errors import InvalidInput
from so1s.events import (
    Event,
    HealthSampled,
    ModelUploaded,
    UsageSampled,
    WeightsChanged,
    catalogue,
    event_class,
)
from so1s.events.event import MAX_EVENT_BYTES

UPLOADED = {
    "account": "risk",
    "model": "fraud",
    "version": "3",
    "artifact": {"uri": "s3://ml/risk/fraud/3.skops"},
}
WEIGHTS = {"account": "risk", "endpoint": "fraud", "weights": {"fraud": 90, "fraud-next": 10}}
USAGE = {
    "account": "risk",
    "deployment": "fraud",
    "model": "fraud",
    "version": "3",
    "replica": "7f3a",
    "window_start": "2030-01-01T00:00:05Z",
    "window_seconds": 5,
    "quantities": {"cpu_reserved": 2500000},
    "quality": "complete",
    "user": "jiho",
}


def read(kind, data, **changes):
    return kind.from_json(json.dumps(data | changes).encode())


def problems(kind, data, **changes):
    with pytest.raises(InvalidInput) as raised:
        read(kind, data, **changes)
    return {problem.field: problem for problem in raised.value.problems}


def artifact(**fields):
    return {"uri": "s3://ml/risk/3.skops"} | fields


REFUSED = [
    # (class, data, changed field, its value, the field that is named, what its error says)
    (ModelUploaded, UPLOADED, "account", "ri", "account", "3 to 20 characters"),
    (ModelUploaded, UPLOADED, "account", "a" * 21, "account", "3 to 20 characters"),
    (ModelUploaded, UPLOADED, "model", "Fraud Model", "model", "for example 'fraud-model'"),
    (ModelUploaded, UPLOADED, "model", "fraud--next", "model", "for example 'fraud-next'"),
    (ModelUploaded, UPLOADED, "model", "-fraud", "model", "for example 'fraud'"),
    (ModelUploaded, UPLOADED, "model", "a" * 41, "model", "3 to 40 characters"),
    (ModelUploaded, UPLOADED, "model", "fraud\n", "model", "3 to 40 characters"),
    (ModelUploaded, UPLOADED, "version", "2030-01T00:00+01", "version", "for example '2030-01T00-00-01'"),
    (ModelUploaded, UPLOADED, "version", "", "version", "1 to 63 characters"),
    (ModelUploaded, UPLOADED, "version", "v" * 64, "version", "1 to 63 characters"),
    (ModelUploaded, UPLOADED, "version", 3, "version", "string"),
    (ModelUploaded, UPLOADED, "format", "coreml", "format", "'onnx', 'skops', 'xgboost', 'lightgbm'"),
    (ModelUploaded, UPLOADED, "uploaded_by", "", "uploaded_by", "at least 1 character"),
    (ModelUploaded, UPLOADED, "labels", {"Team": "x"}, "labels.Team.[key]", "for example 'team'"),
    (ModelUploaded, UPLOADED, "labels", {"team": "x" * 64}, "labels.team", "at most 63"),
    (ModelUploaded, UPLOADED, "labels", {f"k{n}": "" for n in range(17)}, "labels", "at most 16"),
    (ModelUploaded, UPLOADED, "artifact", artifact(uri="http://x/y"), "artifact.uri", "s3://BUCKET/KEY"),
    (ModelUploaded, UPLOADED, "artifact", artifact(uri="s3://bucket"), "artifact.uri", "s3://BUCKET/KEY"),
    (ModelUploaded, UPLOADED, "artifact", artifact(uri="s3:///key"), "artifact.uri", "s3://BUCKET/KEY"),
    (ModelUploaded, UPLOADED, "artifact", artifact(uri="file://etc/passwd"), "artifact.uri", "file:///PATH"),
    (ModelUploaded, UPLOADED, "artifact", artifact(uri="s3://ml/a/../b"), "artifact.uri", "without '..'"),
    (ModelUploaded, UPLOADED, "artifact", artifact(uri="s3://ml/a\x00b"), "artifact.uri", "s3://BUCKET/KEY"),
    (ModelUploaded, UPLOADED, "artifact", artifact(sha256="9F" * 32), "artifact.sha256", "pattern"),
    (ModelUploaded, UPLOADED, "artifact", artifact(size_bytes=-1), "artifact.size_bytes", "or equal to 0"),
    (ModelUploaded, UPLOADED, "artifact", artifact(size_bytes=1.5), "artifact.size_bytes", "integer"),
    (ModelUploaded, UPLOADED, "evaluation", {"auc": float("nan")}, "evaluation.auc", "finite"),
    (ModelUploaded, UPLOADED, "evaluation", {"auc": float("inf")}, "evaluation.auc", "finite"),
    (ModelUploaded, UPLOADED, "deploy", {"initial_percent": 101}, "deploy.initial_percent", "equal to 100"),
    (ModelUploaded, UPLOADED, "deploy", {"strategy": "yolo"}, "deploy.strategy", "'rolling' or"),
    (ModelUploaded, UPLOADED, "deploy", {"resources": {"gpus": -1}}, "deploy.resources.gpus", "equal to 0"),
    (ModelUploaded, UPLOADED, "alerts", [{"for_seconds": 1}], "alerts.0", "exactly one of"),
    (WeightsChanged, WEIGHTS, "weights", {"fraud": 0, "fraud-next": 0}, "weights", "whose sum is above 0"),
    (WeightsChanged, WEIGHTS, "weights", {}, "weights", "at least 1"),
    (WeightsChanged, WEIGHTS, "weights", {"fraud": -1}, "weights.fraud", "or equal to 0"),
    (WeightsChanged, WEIGHTS, "weights", {"fraud": 0.5}, "weights.fraud", "integer"),
    (WeightsChanged, WEIGHTS, "weights", {"fraud": True}, "weights.fraud", "integer"),
    (WeightsChanged, WEIGHTS, "expected_revision", -1, "expected_revision", "or equal to 0"),
    (UsageSampled, USAGE, "quantities", {"cpu_reserved": -1}, "quantities.cpu_reserved", "or equal to 0"),
    (UsageSampled, USAGE, "quantities", {"electricity": 1}, "quantities.electricity.[key]", "'cpu_reserved'"),
    (UsageSampled, USAGE, "quality", "fine", "quality", "'complete', 'partial' or 'gap'"),
    (UsageSampled, USAGE, "window_start", "2030-01-01T00:00:05", "window_start", "timezone"),
    (UsageSampled, USAGE, "window_start", "2030-01-01T00:00:03Z", "event", "multiple of 5 s"),
    (UsageSampled, USAGE, "window_seconds", 0, "window_seconds", "or equal to 1"),
    (UsageSampled, USAGE, "replica", "", "replica", "at least 1 character"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(case):
    kind, data, field, value, named, says = case
    found = problems(kind, data, **{field: value})
    assert says in found[named].allowed


@pytest.mark.parametrize("data", [UPLOADED, WEIGHTS, USAGE])
def test_the_examples_of_these_tests_are_valid(data):
    kinds = {"artifact": ModelUploaded, "weights": WeightsChanged, "quality": UsageSampled}
    (kind,) = [kind for field, kind in kinds.items() if field in data]
    assert read(kind, data).account == "risk"


def test_all_problems_are_told_at_once():
    assert set(problems(ModelUploaded, UPLOADED, model="F", version="?")) == {"model", "version"}


def test_a_missing_field_is_named():
    assert set(problems(ModelUploaded, {"account": "risk"})) == {"model", "version", "artifact"}


def test_an_error_shows_the_value_and_never_all_of_a_large_one():
    found = problems(ModelUploaded, UPLOADED, version="v" * 10_000)["version"]
    assert found.value.startswith("'vvv")
    assert len(found.value) <= 120


def test_an_error_names_twenty_problems_at_most():
    assert len(problems(WeightsChanged, WEIGHTS, weights={f"v-{n}": -1 for n in range(50)})) == 20


def test_a_consumer_ignores_fields_that_it_does_not_know_at_every_depth():
    uploaded = read(ModelUploaded, UPLOADED, artifact=artifact(etag="x"), later="y", deploy={"later": 1})
    assert uploaded == read(ModelUploaded, UPLOADED, artifact=artifact(), deploy={})


def test_a_producer_may_not_say_a_field_that_does_not_exist():
    with pytest.raises(ValidationError, match="artefact"):
        ModelUploaded(**UPLOADED, artefact="typo")


@pytest.mark.parametrize("size", [MAX_EVENT_BYTES, MAX_EVENT_BYTES + 1])
def test_an_event_has_a_largest_size_in_both_directions(size):
    room = size - len(read(WeightsChanged, WEIGHTS, reason="").to_json())
    data = json.dumps(WEIGHTS | {"changed_by": "unknown", "expected_revision": None, "reason": "x" * room})
    raw = data.encode().ljust(size)[:size]
    event = WeightsChanged(**WEIGHTS, reason="x" * room)
    if size <= MAX_EVENT_BYTES:
        assert len(event.to_json()) == size
        assert WeightsChanged.from_json(event.to_json()) == event
        return
    for refused in (event.to_json, lambda: WeightsChanged.from_json(raw)):
        with pytest.raises(InvalidInput, match=f"{size} bytes"):
            refused()


def test_deploy_null_and_deploy_absent_are_different():
    assert read(ModelUploaded, UPLOADED).deploy is not None
    assert read(ModelUploaded, UPLOADED, deploy=None).deploy is None


def test_times_are_kept_with_their_zone():
    sampled = read(UsageSampled, USAGE, window_start="2030-01-01T09:00:05+09:00")
    assert sampled == read(UsageSampled, USAGE)


def test_health_of_a_window_without_requests_has_no_latency():
    given = {"account": "risk", "endpoint": "fraud", "variant": "fraud", "model": "fraud", "version": "3"}
    zeros = dict.fromkeys(("requests", "errors", "replicas_ready", "replicas_desired", "restarts"), 0)
    nothing = dict.fromkeys(("latency_p50_ms", "latency_p90_ms", "latency_p99_ms"))
    window = {"window_start": "2030-01-01T00:00:05Z", "window_seconds": 5}
    assert read(HealthSampled, given | zeros | nothing | window).latency_p50_ms is None


# What a class says of itself


def test_a_class_names_type_topic_and_key():
    assert ModelUploaded.type == "so1s.ModelUploaded.v1"
    assert ModelUploaded.topic.name == "so1s.model-uploaded"
    assert read(ModelUploaded, UPLOADED).key == "risk/fraud"


def test_a_breaking_version_is_a_class_of_its_own():
    class GreetedV2(Event, key=("account",), version=2, prefix="rules"):
        """Somebody was greeted."""

    assert (GreetedV2.type, GreetedV2.topic.name) == ("rules.Greeted.v2", "rules.greeted.v2")
    assert event_class("rules.Greeted.v2") is GreetedV2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"key": ("name", "account")}, "must start with 'account'"),
        ({"key": ("account", "title")}, "'title'"),
        ({"key": ("account",), "prefix": "Acme Corp"}, "prefix must be"),
        ({"key": ("account",), "prefix": "rules-taken"}, "declared by"),
    ],
)
def test_a_class_that_is_declared_wrongly_is_refused_at_once(options, says):
    class Thing(Event, key=("account",), prefix="rules-taken"):
        """The first of its type."""

    def declare():
        class Thing(Event, **{"prefix": "rules-wrong"} | options):
            """Another one."""

            name: str

    with pytest.raises(TypeError, match=says):
        declare()


def test_a_type_that_nobody_declared_is_refused_with_those_that_are_known():
    with pytest.raises(InvalidInput, match=r"so1s\.ModelUploaded\.v1"):
        event_class("so1s.ModelUplaoded.v1")


def test_every_key_starts_with_the_account_and_no_topic_is_shared():
    events = list(catalogue().values())
    assert all(event.key_fields[0] == "account" for event in events)
    assert len({event.topic.name for event in events}) == len(events)
