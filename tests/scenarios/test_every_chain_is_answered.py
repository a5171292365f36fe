"""No pipeline waits in vain: whoever asks is told, also of what cannot be, and beside others who ask, too."""

import asyncio
import json
import uuid
from typing import Any

import so1s
from so1s.events import BuildFailed, ModelUploaded
from so1s.events.envelope import Record
from tests.scenarios.running import ACCOUNT, SERVE_SECONDS, Running, until


def test_a_foreign_producer_whose_version_breaks_its_rule_is_told_a_valid_one(platform: Running):
    chain = str(uuid.uuid4())
    said = {"specversion": "1.0", "id": chain, "source": "airflow/nightly", "type": ModelUploaded.type}
    headers = [(f"ce_{name}", text.encode()) for name, text in said.items()]
    artifact = {"uri": "s3://ml/foreign.skops"}
    data = {"account": ACCOUNT, "model": "foreign", "version": "2026-11-24T12:00", "artifact": artifact}
    platform.send(Record(chain, ModelUploaded.topic.name, b"any key", headers, json.dumps(data).encode()))

    def answers() -> list[BuildFailed]:
        return [each.event for each in platform.events(BuildFailed) if each.correlation_id == chain]

    (failed,) = until(answers)
    assert (failed.model, failed.version, failed.reason) == ("foreign", "2026-11-24T12:00", "invalid")
    assert "version: '2026-11-24T12:00' is not allowed" in failed.message
    assert "for example '2026-11-24T12-00'" in failed.message


def test_two_pipelines_that_publish_a_version_at_once_both_hear_that_it_serves(platform: Running):
    published = [platform.publish("twice", evaluation={"auc": auc}) for auc in (0.90, 0.94)]
    assert published[0].event_id != published[1].event_id
    first, second = ends(platform, published)
    assert isinstance(first, so1s.Serving)
    assert first == second
    assert platform.predict(first.url) == platform.wanted("twice", 1)
    assert platform.deployment("twice")["revision"] == 1


def test_a_pipeline_whose_version_another_one_overtakes_is_told_so(platform: Running):
    published = [platform.publish("overtaken", number) for number in (1, 2)]
    first, second = ends(platform, published)
    assert isinstance(second, so1s.Serving)
    if isinstance(first, so1s.DeploymentFailed):  # else it was so fast that it served before
        assert first.event.reason == "superseded"
        assert first.event.message.startswith("overtaken@1 is not deployed, since")
    else:
        assert first.url == second.url
    until(lambda: platform.predict(second.url) == platform.wanted("overtaken", 2))


def ends(platform: Running, published: list[so1s.PublishedModel]) -> list[Any]:
    """What each publisher who waits is told: that it serves, or the error that says why it does not."""

    async def wait() -> list[Any]:
        waits = [asyncio.to_thread(each.wait_until_serving, SERVE_SECONDS) for each in published]
        return await asyncio.gather(*waits, return_exceptions=True)

    return platform.run(wait())
