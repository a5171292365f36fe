"""What an event does to the recorded builds."""

from datetime import UTC, datetime, timedelta

import pytest

from services.builder.domain.failure import BuildError
from services.builder.handlers import consumer
from services.builder.refusals import refuse
from so1s.events import (
    Artifact,
    BuildCancelled,
    BuildFailed,
    BuildRequested,
    DeployOptions,
    ImageBuilt,
    ModelUploaded,
)
from so1s.events.envelope import Received
from so1s.testing import refusal
from tests.builder.shop import emitted
from tests.builder.working import both_databases


def requested(version: str = "3") -> BuildRequested:
    return BuildRequested(account="risk", model="fraud", version=version, requested_by="user:jiho")


def cancelled(version: str = "3") -> BuildCancelled:
    return BuildCancelled(account="risk", model="fraud", version=version, cancelled_by="user:jiho")


async def test_an_upload_queues_a_build_and_says_nothing_yet(shop, skops_model):
    assert await shop.say(shop.uploaded(data=skops_model)) == []
    assert await shop.state() == "queued"


async def test_an_upload_twice_is_one_build_that_answers_each_by_its_own_wish(shop, skops_model):
    assert await shop.say(shop.uploaded(data=skops_model, labels={"team": "a"}), "first") == []
    elsewhere = DeployOptions(deployment="fraud-next")
    assert await shop.say(shop.uploaded(data=skops_model, deploy=elsewhere), "second") == []
    assert await shop.say(shop.uploaded(data=skops_model, deploy=None), "third") == []
    await shop.worker().work()

    answered = await shop.answered()
    assert [chain for chain, _ in answered] == ["first", "second", "third"]
    first, second, third = [built for _, built in answered]
    assert first.image == second.image == third.image
    assert (first.labels, first.deploy.deployment) == ({"team": "a"}, None)
    assert (second.labels, second.deploy.deployment) == ({}, "fraud-next")
    assert third.deploy is None
    assert first.uploaded_at < second.uploaded_at < third.uploaded_at
    assert not await shop.log(number=2)


async def test_all_who_wait_for_a_build_hear_that_it_failed(shop):
    for chain in ("first", "second"):
        await shop.say(shop.uploaded(data=b"no model"), chain)
    await shop.worker().work()
    assert [(chain, failed.reason) for chain, failed in await shop.answered()] == [
        ("first", "format"),
        ("second", "format"),
    ]


async def test_an_upload_that_says_another_format_is_built_anew_and_answers_both(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model), "first")
    await shop.say(shop.uploaded(data=skops_model, format="skops"), "second")
    await shop.worker().work()
    assert [chain for chain, _ in await shop.answered()] == ["first", "second"]
    assert await shop.log(number=2)


async def test_a_request_for_a_build_that_goes_on_waits_for_it_and_takes_no_deployment_away(
    shop, skops_model
):
    await shop.say(shop.uploaded(data=skops_model), "first")
    await shop.worker().work()
    await shop.say(shop.uploaded(data=skops_model), "second")
    assert await shop.say(requested(), "again") == []
    await shop.answered()
    await shop.worker().work()
    assert [(chain, built.deploy is None) for chain, built in await shop.answered()] == [
        ("second", False),
        ("again", True),
    ]
    assert not await shop.log(number=3)


async def test_an_artifact_outside_of_the_accounts_prefixes_is_a_failed_build(shop):
    event = ModelUploaded(
        account="risk", model="fraud", version="3", artifact=Artifact(uri="file:///etc/passwd")
    )

    (failed,) = await shop.say(event)

    assert isinstance(failed, BuildFailed)
    assert (failed.reason, failed.step) == ("artifact", None)
    assert "artifact.uri: 'file:///etc/passwd' is not allowed" in failed.message
    assert f"{shop.directory}/artifacts/risk/" in failed.message


async def test_other_bytes_under_a_versions_name_are_a_conflict_and_change_nothing(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model, sha256="a" * 64))

    (failed,) = await shop.say(shop.uploaded(data=skops_model, sha256="b" * 64))

    assert isinstance(failed, BuildFailed)
    assert failed.reason == "version_conflict"
    assert "risk/fraud@3 exists with sha256 aaaa" in failed.message
    assert await shop.state() == "queued"


async def test_a_version_that_never_became_an_image_may_be_mended(shop, skops_model):
    await shop.say(shop.uploaded(data=b"broken", name="broken"))
    await shop.worker().work()
    assert await shop.state() == "failed"

    assert await shop.say(shop.uploaded(data=skops_model, name="mended")) == []
    await shop.worker().work()
    assert await shop.state() == "built"


async def test_a_built_version_is_bound_to_the_bytes_that_were_fetched(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model, name="first"))
    await shop.worker().work()

    (failed,) = await shop.say(shop.uploaded(data=b"other", name="second", sha256="b" * 64))

    assert failed.reason == "version_conflict"
    assert await shop.state() == "built"


async def test_a_rebuild_of_a_built_version_deploys_nothing(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    assert await shop.say(requested()) == []
    await shop.worker().work()

    first, second = [event for event in await shop.emitted() if isinstance(event, ImageBuilt)]
    assert first.deploy is not None
    assert second.deploy is None
    assert second.image == first.image


async def test_a_rebuild_of_a_version_that_failed_goes_on_in_the_chain_of_its_upload(shop, skops_model):
    await shop.say(shop.uploaded(data=b"broken"), "upload")
    await shop.worker().work()
    await shop.answered()
    shop.uploaded(data=skops_model)  # the same place holds a model now
    await shop.say(requested(), "again")
    await shop.worker().work()

    assert [(chain, built.deploy is not None) for chain, built in await shop.answered()] == [
        ("upload", True),
        ("again", False),
    ]


async def test_each_rebuild_that_fails_is_another_answer_to_the_upload(shop):
    answers = []
    for event, chain in [
        (shop.uploaded(data=b"broken"), "upload"),
        (requested(), "again"),
        (requested(), "and again"),
    ]:
        await shop.say(event, chain)
        await shop.worker().work()
        answers += [each for each in await emitted(shop.store) if isinstance(each.event, BuildFailed)]
    assert [each.cause_id for each in answers] == ["upload", "upload", "again", "upload", "and again"]
    assert len({each.id for each in answers}) == len(answers)


@pytest.mark.parametrize("event", [requested("9"), cancelled("9")])
async def test_a_version_that_was_never_uploaded_is_said_to_be_so(shop, event):
    (failed,) = await shop.say(event)

    assert isinstance(failed, BuildFailed)
    assert "risk/fraud@9 was never uploaded" in failed.message


async def test_who_asks_again_for_a_version_that_was_refused_hears_why(shop):
    await shop.say(
        ModelUploaded(account="risk", model="fraud", version="3", artifact=Artifact(uri="file:///etc/passwd"))
    )
    (failed,) = await shop.say(requested())
    assert "risk/fraud@3 was refused: artifact.uri: 'file:///etc/passwd' is not allowed" in failed.message


async def test_a_waiting_build_is_cancelled_at_once_and_all_who_wait_hear_of_it(shop, skops_model):
    for chain in ("first", "second"):
        await shop.say(shop.uploaded(data=skops_model), chain)

    await shop.say(cancelled(), "end")

    answered = await shop.answered()
    assert [chain for chain, _ in answered] == ["first", "second", "end"]
    assert {(failed.reason, failed.message) for _, failed in answered} == {
        ("cancelled", "cancelled by user:jiho")
    }
    assert await shop.state() == "cancelled"
    await shop.worker().work()
    assert await shop.state() == "cancelled"


async def upload(shop, event: ModelUploaded, time: datetime | None) -> None:
    """Take an upload whose producer's clock showed a time."""
    (subscription,) = [each for each in consumer.subscriptions if each.event_class is ModelUploaded]
    consumer.provide(shop.settings, shop.workers)
    received = Received(event, "upload", "airflow", time, "", "upload", "")
    async with shop.store.transaction(received.cause) as tx:
        assert await subscription.call(received, tx) == []


async def images(shop) -> list[ImageBuilt]:
    await shop.worker().work()
    return [event for event in await shop.emitted() if isinstance(event, ImageBuilt)]


async def test_an_image_says_when_its_version_was_uploaded_and_its_rebuild_says_the_same(shop, skops_model):
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    await upload(shop, shop.uploaded(data=skops_model), noon)
    (built,) = await images(shop)
    assert built.uploaded_at == noon
    await shop.say(requested())
    (again,) = await images(shop)
    assert again.uploaded_at == noon


@pytest.mark.parametrize("ahead", [timedelta(days=365), None], ids=["ahead", "absent"])
async def test_an_upload_is_no_later_than_it_was_heard_of(shop, skops_model, ahead):
    before = datetime.now(UTC)
    await upload(shop, shop.uploaded(data=skops_model), before + ahead if ahead else None)
    (built,) = await images(shop)
    assert before <= built.uploaded_at <= datetime.now(UTC)


VALID = {"account": "risk", "model": "fraud", "version": "3", "requested_by": "user:jiho"}


@pytest.mark.parametrize("event_class", [ModelUploaded, BuildRequested, BuildCancelled])
def test_a_version_that_breaks_its_rule_is_a_failed_build_with_a_valid_one_in_its_message(event_class):
    failed = refusal(consumer, event_class, VALID | {"version": "2026-11-24T12:00"})
    assert (failed.account, failed.model, failed.version) == ("risk", "fraud", "2026-11-24T12:00")
    assert (failed.reason, failed.step) == ("invalid", None)
    assert "version: '2026-11-24T12:00' is not allowed; allowed: 1 to 63 characters" in failed.message
    assert "for example '2026-11-24T12-00'" in failed.message


@pytest.mark.parametrize(("version", "said"), [("x" * 999, "x" * 255), (3, "3"), (None, "None")])
def test_whatever_a_version_is_its_author_hears_of_it(version, said):
    assert refusal(consumer, ModelUploaded, VALID | {"version": version}).version == said


def test_a_version_that_is_missing_is_said_to_be(shop):
    failed = refusal(consumer, ModelUploaded, {"account": "risk", "model": "fraud"})
    assert failed.version == ""
    assert "version is missing" in failed.message


def test_an_accident_is_told_without_its_innards():
    failed = refuse(ZeroDivisionError("secret"), VALID)
    assert "ZeroDivisionError" in failed.message
    assert "secret" not in failed.message


# --- a build is tried again, or stopped


def retried(version: str = "3") -> BuildRequested:
    return requested(version).model_copy(update={"only_failed": True})


@both_databases
async def test_a_failed_build_is_tried_again_without_a_new_upload_in_the_chain_of_both(shop, skops_model):
    shop.inspector.error = BuildError("format", "not yet")
    await shop.say(shop.uploaded(data=skops_model), "upload")
    await shop.worker().work()
    await shop.answered()

    shop.inspector.error = None
    assert await shop.say(retried(), "retry") == []
    assert await shop.say(retried(), "retry twice") == []
    await shop.worker().work()
    answered = await shop.answered()
    assert [(chain, type(said), said.deploy is None) for chain, said in answered] == [
        ("upload", ImageBuilt, False),
        ("retry", ImageBuilt, True),
        ("retry twice", ImageBuilt, True),
    ]


@both_databases
async def test_a_retry_of_a_version_that_is_built_answers_with_its_image_and_builds_nothing(
    shop, skops_model
):
    await shop.say(shop.uploaded(data=skops_model), "upload")
    await shop.worker().work()
    ((_, built),) = await shop.answered()

    (answer,) = await shop.say(retried(), "retry")
    assert (answer.image, answer.deploy) == (built.image, None)
    assert await shop.state() == "built"
    assert not await shop.log(number=2)


@both_databases
async def test_who_cancels_a_build_that_ended_is_told_how_it_ended(shop, skops_model):
    await shop.say(shop.uploaded("1", data=skops_model))
    await shop.say(shop.uploaded("2", data=b"no model"))
    await shop.worker().work()
    await shop.say(shop.uploaded("3", data=skops_model))
    await shop.say(cancelled("3"))

    (built,) = await shop.say(cancelled("1"))
    (failed,) = await shop.say(cancelled("2"))
    (before,) = await shop.say(cancelled("3"))
    assert isinstance(built, ImageBuilt)
    assert (failed.reason, before.reason) == ("format", "cancelled")
    assert await shop.state("1") == "built"
