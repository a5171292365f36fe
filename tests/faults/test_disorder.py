"""Events that come again, late, in another order, or are none at all."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import psutil
from aiokafka import ConsumerRecord

from so1s import events
from so1s.events.envelope import Record
from tests.faults.audit import assert_sound
from tests.faults.conftest import WEIGHTS_SECONDS
from tests.faults.victims import Victims
from tests.scenarios.running import ACCOUNT, Running, until

FACTS = (
    events.BuildStepFinished,
    events.ImageBuilt,
    events.DeploymentProgressed,
    events.DeploymentReady,
    events.RoutesApplied,
    events.UsageSampled,
    events.HealthSampled,
)
REQUESTS = (events.ModelUploaded, events.DeploymentRequested)
POISON = [
    (None, [], b"\xff\xfe is no JSON"),
    (b"risk/tombstone", [], None),
    (b"risk/strange", [("ce_id", b"\xff\xfe"), ("trace", None)], b"{}"),
]


def test_a_chain_whose_every_event_comes_again_backwards_stays_as_it_is(platform: Victims, model: str):
    platform.serve(model)
    until(lambda: platform.records(events.UsageSampled, about=model))
    again = platform.records(*FACTS, *REQUESTS, about=model)
    platform.send(*reversed(again))
    until(lambda: platform.unhandled() == 0)
    assert_sound(platform, model)
    assert platform.endpoint(model)["revision"] == 1


def test_late_news_of_an_earlier_version_changes_nothing(platform: Victims, model: str):
    platform.serve(model)
    until(lambda: platform.records(events.UsageSampled, about=model))
    late = platform.records(*FACTS, about=model)
    platform.serve(model, 2)
    route = platform.endpoint(model)["revision"]
    platform.send(*(_with_another_id(each) for each in reversed(late)))
    platform.say(events.VariantReleased(account=ACCOUNT, deployment=model, revision=1))
    until(lambda: platform.unhandled() == 0)
    assert_sound(platform, model, version=2)
    assert platform.endpoint(model)["revision"] == route


def test_what_is_no_event_is_kept_as_a_dead_letter_and_holds_nothing_up(platform: Victims, model: str):
    before = platform.letters()
    heard = {service: _topics(service) for service in platform.at.services}
    platform.send(
        *(
            Record("", topic, key, headers, value)
            for topic in sorted(set().union(*heard.values()))
            for key, headers, value in POISON
        )
    )
    platform.serve(model)
    until(lambda: platform.unhandled() == 0)
    new = {service: len(POISON) * len(topics) for service, topics in heard.items()}
    assert platform.letters() == {service: before[service] + count for service, count in new.items()}
    assert_sound(platform, model)


def test_weights_wait_for_a_variant_that_is_not_ready(platform: Victims, model: str):
    platform.serve(model)
    later = f"{model}-next"
    published = platform.publish(later, deploy={"endpoint": model})
    until(lambda: platform.records(events.DeploymentRequested, about=later))
    with _frozen(platform, "deployer"):
        platform.say(events.WeightsChanged(account=ACCOUNT, endpoint=model, weights={model: 1, later: 3}))
        until(lambda: platform.unhandled("router") == 0)
        assert platform.weights(model) == {model: 1}
    published.wait_until_serving(60)
    until(lambda: platform.weights(model) == {model: 1, later: 3})
    assert _rejections(platform, model) == []
    platform.remove(later)


def test_weights_are_refused_when_their_variant_is_not_ready_in_time(platform: Victims, model: str):
    platform.serve(model)
    never = f"{model}-never"
    platform.publish(never, deploy={"endpoint": model, "resources": {"cpu_millicores": 256_000}})
    until(lambda: platform.records(events.DeploymentRequested, about=never))
    platform.say(events.WeightsChanged(account=ACCOUNT, endpoint=model, weights={model: 1, never: 1}))
    (rejected,) = until(lambda: _rejections(platform, model), WEIGHTS_SECONDS + 20)
    assert never in rejected.value
    assert "in time" in rejected.allowed
    assert_sound(platform, model)
    platform.remove(never)


def test_weights_of_a_variant_never_heard_of_are_refused_at_once(platform: Victims, model: str):
    platform.serve(model)
    platform.say(events.WeightsChanged(account=ACCOUNT, endpoint=model, weights={model: 1, "nobody": 1}))
    (rejected,) = until(lambda: _rejections(platform, model), WEIGHTS_SECONDS / 2)
    assert model in rejected.allowed


@contextmanager
def _frozen(platform: Victims, service: str) -> Iterator[None]:
    """Let nothing of a service happen."""
    process = psutil.Process(platform.supervisor.processes[service].pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def _with_another_id(record: ConsumerRecord) -> Record:
    fresh = uuid.uuid4().hex
    headers = [(name, fresh.encode() if name == "ce_id" else value) for name, value in record.headers]
    return Record(fresh, record.topic, record.key, headers, record.value)


def _topics(service: str) -> set[str]:
    if service == "collector":
        return set()  # its events are its clock's
    consumer = import_module(f"services.{service}.handlers").consumer
    return {subscription.event_class.topic.name for subscription in consumer.subscriptions}


def _rejections(platform: Running, endpoint: str) -> list[events.RoutesRejected]:
    return [each.event for each in platform.events(events.RoutesRejected) if each.event.endpoint == endpoint]
