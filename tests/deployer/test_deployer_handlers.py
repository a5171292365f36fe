"""What each event makes of a deployment."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from services.deployer import history
from services.deployer import store as deployments
from services.deployer.domain.options import Defaults
from services.deployer.handlers import consumer
from services.deployer.refusals import refuse
from so1s.errors import InvalidInput
from so1s.events import (
    CheckFinished,
    DeploymentFailed,
    DeploymentRemovalRequested,
    DeploymentRequested,
    DeploymentRetiring,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    DeployOptions,
    Image,
    ImageBuilt,
    ModelUploaded,
    ResourceOptions,
    Resources,
    Scaling,
    ScalingOptions,
    Signature,
    VariantReleased,
    Workload,
    event_class,
)
from so1s.events.codec import unwrap
from so1s.events.envelope import Cause
from so1s.store import answers
from so1s.store.tables import outbox
from so1s.testing import refusal, run

DIGEST = f"sha256:{'a' * 64}"
IMAGE = Image(reference=f"oci:/images@{DIGEST}", digest=DIGEST, size_bytes=1)
NAMES = {"account": "risk", "deployment": "fraud"}


@pytest.fixture
def tell(store):
    async def tell(event, defaults=None, chain="test"):
        provide = [defaults or Defaults()]
        return await run(consumer, event, event_id=chain, store=store, provide=provide)

    return tell


def wanted(version="1", **changes):
    return Workload(
        **{"model": "fraud", "version": version, "image": IMAGE, "endpoint": "fraud", "user": "jiho"}
        | changes
    )


def requested(version="1", expected=None, **changes):
    workload = wanted(version, **changes)
    return DeploymentRequested(**NAMES, workload=workload, expected_revision=expected, requested_by="jiho")


def built(**changes):
    standard = {"account": "risk", "model": "fraud", "version": "3", "image": IMAGE, "user": "jiho"}
    standard |= {"format": "skops", "signature": Signature(inputs=[], outputs=[]), "seconds": 1.0}
    return ImageBuilt(**standard | {"deploy": DeployOptions()} | changes)


def image(number):
    digest = f"sha256:{number:064x}"
    return Image(reference=f"oci:/images@{digest}", digest=digest, size_bytes=1)


def checked(revision, *, passed=True, check="quality"):
    verdict = {"model": "fraud", "version": "1", "check": check, "passed": passed, "reason": "accuracy 0.71"}
    return CheckFinished(**NAMES, revision=revision, **verdict)


async def figures(store, **values):
    """Record what the cluster showed."""
    async with store.transaction() as tx:
        await deployments.tell(tx, await deployments.find(tx, "risk", "fraud"), values)


async def serves(tell, store, number=1, **changes):
    """A first revision that takes traffic."""
    await tell(requested("1", image=image(number), **changes))
    await figures(store, ready_revision=1, serving_revision=1)


async def recorded(store):
    async with store.transaction(Cause("look", "look")) as tx:
        return await deployments.find(tx, "risk", "fraud")


async def test_an_image_deploys_under_its_models_name(tell):
    [request] = await tell(built(labels={"team": "fraud-ds"}))
    assert isinstance(request, DeploymentRequested)
    assert (request.deployment, request.workload.endpoint) == ("fraud", "fraud")
    assert (request.workload.version, request.workload.labels) == ("3", {"team": "fraud-ds"})
    assert request.sources["deployment"] == "model name"


async def test_an_image_that_shall_not_be_deployed_is_left_alone(tell):
    assert await tell(built(deploy=None)) == []


async def test_what_is_said_wins_over_the_accounts_defaults_part_by_part(tell):
    deploy = DeployOptions(
        deployment="fraud-next",
        endpoint="fraud",
        initial_percent=10,
        resources=ResourceOptions(memory_mib=1024),
        scaling=ScalingOptions(min_replicas=3),
    )
    sources = {"resources.memory_mib": "so1s.yaml"}
    defaults = Defaults(strategy="static", resources=Resources(cpu_millicores=250, memory_mib=100))
    [request] = await tell(built(deploy=deploy, sources=sources), defaults)
    workload = request.workload
    assert (request.deployment, workload.endpoint, workload.initial_percent) == ("fraud-next", "fraud", 10)
    assert workload.resources == Resources(cpu_millicores=250, memory_mib=1024)
    assert (workload.scaling.min_replicas, workload.scaling.max_replicas) == (3, 3)
    assert workload.strategy == "static"
    assert request.sources == {
        "deployment": "event",
        "endpoint": "event",
        "initial_percent": "event",
        "strategy": "account default",
        "resources.cpu_millicores": "account default",
        "resources.memory_mib": "so1s.yaml",
        "resources.gpus": "account default",
        "scaling.min_replicas": "event",
        "scaling.max_replicas": "account default",
    }


async def test_an_upload_that_says_nothing_of_scaling_leaves_it_as_it_is(tell):
    scaling = Scaling(min_replicas=10, max_replicas=12, gpu_percent=80, concurrency=4)
    gpu = Resources(cpu_millicores=100, memory_mib=64, gpus=1)
    await tell(requested("1", scaling=scaling, resources=gpu))
    [request] = await tell(built(deploy=DeployOptions(resources=ResourceOptions(gpus=1))))
    assert request.workload.scaling == scaling
    kept = {name: layer for name, layer in request.sources.items() if name.startswith("scaling.")}
    names = ("min_replicas", "max_replicas", "gpu_percent", "concurrency")
    assert kept == {f"scaling.{name}": "as scaled" for name in names}
    [without] = await tell(built())
    assert without.workload.scaling == scaling.model_copy(update={"gpu_percent": None})


async def test_an_upload_that_speaks_of_scaling_is_believed(tell):
    await tell(requested("1", scaling=Scaling(min_replicas=10, max_replicas=10)))
    [request] = await tell(built(deploy=DeployOptions(scaling=ScalingOptions(min_replicas=2))))
    assert request.workload.scaling == Scaling(min_replicas=2, max_replicas=2)
    assert request.sources["scaling.min_replicas"] == "event"


async def test_an_upload_after_a_removal_has_the_accounts_default_scaling(tell, store):
    await tell(requested("1", scaling=Scaling(min_replicas=10, max_replicas=10)))
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    await tell(VariantReleased(**NAMES, revision=1))
    async with store.transaction() as tx:
        await deployments.enter(tx, await deployments.find(tx, "risk", "fraud"), "removed")
    [request] = await tell(built())
    assert request.workload.scaling == Scaling()


async def test_options_that_contradict_each_other_are_rejected_with_the_reason(tell):
    scaling = ScalingOptions(min_replicas=3, max_replicas=2)
    event = built(deploy=DeployOptions(deployment="fraud-next", scaling=scaling))
    with pytest.raises(InvalidInput) as caught:
        await tell(event)
    failed = refuse(caught.value, event.model_dump())
    assert (failed.deployment, failed.revision, failed.reason) == ("fraud-next", 0, "invalid")
    assert "max_replicas of at least min_replicas" in failed.message


@pytest.mark.parametrize(
    ("event_class", "fields", "says"),
    [
        (DeploymentRequested, {"workload": {}}, "workload.model is missing"),
        (
            DeploymentScaleRequested,
            {"scaling": {"min_replicas": 0}},
            "scaling.min_replicas: 0 is not allowed",
        ),
        (DeploymentRollbackRequested, {"to_revision": 0}, "to_revision: 0 is not allowed"),
        (DeploymentRemovalRequested, {}, "requested_by is missing"),
        (ImageBuilt, {"model": "fraud", "deployment": None}, "version is missing"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_with_the_rule(event_class, fields, says):
    failed = refusal(consumer, event_class, NAMES | fields)
    assert (failed.account, failed.deployment) == ("risk", "fraud")
    assert (failed.revision, failed.reason) == (0, "invalid")
    assert says in failed.message


def test_an_upload_with_a_gpu_target_and_no_gpu_is_refused_before_it_is_built():
    deploy = {"resources": {"gpus": 0}, "scaling": {"gpu_percent": 80}}
    fields = {"account": "risk", "model": "fraud", "version": "1", "artifact": {"uri": "s3://ml/fraud.onnx"}}
    with pytest.raises(InvalidInput) as caught:
        ModelUploaded.from_json(json.dumps(fields | {"deploy": deploy}).encode())
    [problem] = caught.value.problems
    assert (problem.field, problem.value) == ("deploy.scaling.gpu_percent", "80")
    assert "resources.gpus is at least 1" in problem.allowed


@pytest.mark.parametrize("bound", ["min_replicas", "max_replicas"])
def test_an_upload_that_asks_for_no_replica_is_refused_before_it_is_built(bound):
    fields = {"account": "risk", "model": "fraud", "version": "1", "artifact": {"uri": "s3://ml/fraud.skops"}}
    with pytest.raises(InvalidInput) as caught:
        ModelUploaded.from_json(json.dumps(fields | {"deploy": {"scaling": {bound: 0}}}).encode())
    [problem] = caught.value.problems
    assert (problem.field, problem.value) == (f"deploy.scaling.{bound}", "0")
    assert "greater than or equal to 1" in problem.allowed


async def test_each_request_that_changes_something_is_a_revision(tell, store):
    assert await tell(requested("1")) == []
    assert (await recorded(store)).revision == 1
    await tell(requested("2"))
    now = await recorded(store)
    assert (now.revision, now.workload.version, now.cause.correlation_id) == (2, "2", "test")


async def test_the_same_request_again_is_no_revision(tell, store):
    await tell(requested("1"))
    await tell(requested("1"))
    assert (await recorded(store)).revision == 1


async def test_the_same_request_again_is_answered_with_what_is_known(tell, store):
    await tell(requested("1"))
    now = await recorded(store)
    async with store.transaction() as tx:
        figures = {"ready_revision": 1, "updated": 1, "service": "file:///e", "url": "http://127.0.0.1:1"}
        await deployments.tell(tx, now, figures)
    [ready] = await tell(requested("1"))
    assert (ready.revision, ready.replicas, ready.url) == (1, 1, "http://127.0.0.1:1")


@pytest.mark.parametrize(("expected", "taken"), [(None, True), (1, True), (0, False), (2, False)])
async def test_a_request_that_expects_another_revision_is_refused(tell, store, expected, taken):
    await tell(requested("1"))
    answer = await tell(requested("2", expected=expected))
    assert (await recorded(store)).revision == (2 if taken else 1)
    if not taken:
        [failed] = answer
        assert (failed.reason, failed.revision) == ("stale_revision", 0)
        assert "has revision 1" in failed.message


async def test_expected_revision_0_makes_a_new_deployment(tell, store):
    await tell(requested("1", expected=0))
    assert (await recorded(store)).revision == 1


async def test_scaling_changes_the_bounds_and_nothing_else(tell, store):
    await tell(requested("1", labels={"team": "a"}))
    scaling = Scaling(min_replicas=2, max_replicas=5)
    await tell(DeploymentScaleRequested(**NAMES, scaling=scaling, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload) == (2, wanted("1", labels={"team": "a"}, scaling=scaling))


async def test_a_gpu_target_is_refused_where_replicas_have_no_gpu(tell):
    await tell(requested())
    scaling = Scaling(max_replicas=5, gpu_percent=80)
    with pytest.raises(InvalidInput, match=r"scaling\.gpu_percent: 80 .* resources\.gpus is at least 1"):
        await tell(DeploymentScaleRequested(**NAMES, scaling=scaling, requested_by="jiho"))
    with pytest.raises(InvalidInput, match=r"scaling\.gpu_percent: 80"):
        await tell(built(deploy=DeployOptions(scaling=ScalingOptions(gpu_percent=80))))
    options = DeployOptions(resources=ResourceOptions(gpus=1), scaling=ScalingOptions(gpu_percent=80))
    [asked] = await tell(built(deploy=options))
    assert asked.workload.scaling.gpu_percent == 80


async def test_rolling_back_makes_the_earlier_workload_a_new_revision(tell, store):
    for version in "123":
        await tell(requested(version))
    await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.version) == (4, "2")
    await tell(DeploymentRollbackRequested(**NAMES, to_revision=1, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.version) == (5, "1")


async def test_rolling_back_skips_what_never_served(tell, store):
    for version in "123":
        await tell(requested(version))
        if version != "2":
            await ready(store)
    await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.version) == (4, "1")


async def test_rolling_back_to_a_revision_that_never_was_is_refused(tell, store):
    await tell(requested("1"))
    [failed] = await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    assert "has no earlier version" in failed.message
    await tell(requested("2"))
    for revision in (2, 9):
        [failed] = await tell(DeploymentRollbackRequested(**NAMES, to_revision=revision, requested_by="jiho"))
        assert failed.message == f"to_revision: {revision} is not allowed; allowed: 1 to 1"
    assert (await recorded(store)).revision == 2


async def ready(store):
    async with store.transaction() as tx:
        present = await deployments.find(tx, "risk", "fraud")
        await history.record(tx, present, present.ready(1, "file:///e", "http://127.0.0.1:1", 1.0))


@pytest.fixture
def steps(tell, store):
    """Take a deployment through versions, and what else is said by a word; each revision gets ready."""
    said = {
        "back": DeploymentRollbackRequested(**NAMES, requested_by="jiho"),
        "scale": DeploymentScaleRequested(
            **NAMES, scaling=Scaling(min_replicas=4, max_replicas=4), requested_by="jiho"
        ),
        "remove": REMOVAL,
    }

    async def steps(words):
        answer = []
        for word in words.split():
            answer = await tell(said.get(word) or requested(word))
            if word == "remove":
                async with store.transaction() as tx:
                    await deployments.enter(tx, await deployments.find(tx, "risk", "fraud"), "removed")
            else:
                await ready(store)
        return answer

    return steps


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("1 2 scale back", "1"),
        ("1 2 3 back back", "1"),
        ("1 2 3 back scale back", "1"),
        ("1 2 back 3 back", "1"),
        ("0 1 2 back scale 3 back back", "0"),
        ("1 2 back 2 back", "1"),
        ("1 remove 2 3 back", "2"),
    ],
)
async def test_rolling_back_goes_to_the_version_before_and_never_to_one_that_was_gone_back_from(
    steps, store, words, version
):
    await steps(words)
    assert (await recorded(store)).workload.version == version


@pytest.mark.parametrize("words", ["1 scale back", "1 2 back back", "1 2 remove 3 back"])
async def test_rolling_back_is_refused_where_no_earlier_version_is_left(steps, store, words):
    [*_, failed] = await steps(words)
    assert (failed.reason, "has no earlier version" in failed.message) == ("unknown", True)


async def test_rolling_back_keeps_the_present_scaling(steps, tell, store):
    await steps("1 2 scale back")
    assert (await recorded(store)).workload.scaling == Scaling(min_replicas=4, max_replicas=4)
    await steps("2 scale")
    await tell(DeploymentRollbackRequested(**NAMES, to_revision=1, requested_by="jiho"))
    now = (await recorded(store)).workload
    assert (now.version, now.scaling.min_replicas) == ("1", 4)


async def test_rolling_back_to_a_revision_of_the_same_version_takes_it_whole(steps, tell, store):
    await steps("1 scale")
    await tell(DeploymentRollbackRequested(**NAMES, to_revision=1, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.scaling) == (3, Scaling())


@pytest.mark.parametrize(
    "request_",
    [
        DeploymentScaleRequested(**NAMES, scaling=Scaling(), requested_by="jiho"),
        DeploymentRollbackRequested(**NAMES, requested_by="jiho"),
        DeploymentRemovalRequested(**NAMES, requested_by="jiho"),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_requests_about_an_unknown_deployment_are_refused(tell, request_):
    [failed] = await tell(request_)
    assert (failed.reason, failed.message) == ("unknown", "deployment fraud does not exist")


async def test_removal_asks_the_endpoints_first(tell, store):
    await tell(requested("1"))
    [retiring] = await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    assert retiring == DeploymentRetiring(**NAMES, revision=1, endpoint="fraud")
    assert (await recorded(store)).state == "retiring"


async def test_a_released_deployment_is_to_go(tell, store):
    await tell(requested("1"))
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    await tell(VariantReleased(**NAMES, revision=1))
    assert (await recorded(store)).state == "released"


REMOVAL = DeploymentRemovalRequested(**NAMES, requested_by="jiho")


@pytest.mark.parametrize("released", [False, True])
async def test_a_removal_that_a_new_request_undoes_is_answered(tell, store, released):
    await serves(tell, store)
    for chain in ("removal", "again"):
        await tell(REMOVAL, chain=chain)
    if released:
        await tell(VariantReleased(**NAMES, revision=1))
    await tell(requested("2"), chain="anew")
    answers_ = [(chain, event) for chain, event in await said(store) if chain in {"removal", "again"}]
    failed = [(chain, event) for chain, event in answers_ if isinstance(event, DeploymentFailed)]
    assert [(chain, event.revision, event.reason) for chain, event in failed] == [
        ("removal", 1, "superseded"),
        ("again", 1, "superseded"),
    ]
    says = "the deployment stays, since fraud@2 was requested before it was gone"
    assert {event.message for _, event in failed} == {says}


@pytest.mark.parametrize(
    "undoing",
    [
        DeploymentScaleRequested(**NAMES, scaling=Scaling(max_replicas=2), requested_by="jiho"),
        DeploymentRollbackRequested(**NAMES, to_revision=1, requested_by="jiho"),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_a_deployment_that_waits_to_go_can_be_scaled_and_rolled_back_and_stays(tell, store, undoing):
    await serves(tell, store)
    await tell(REMOVAL)
    [kept] = await tell(undoing, chain="undoing")
    now = await recorded(store)
    assert (now.state, now.revision) == ("active", 2)
    assert (kept.reason, kept.message[:20]) == ("superseded", "the deployment stays")


async def test_a_release_that_comes_after_a_new_request_ends_nothing(tell, store):
    await tell(requested("1"))
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    await tell(requested("1"))
    await tell(VariantReleased(**NAMES, revision=1))
    now = await recorded(store)
    assert (now.state, now.revision) == ("active", 2)


async def test_a_release_that_nobody_asked_for_ends_nothing(tell, store):
    await tell(requested("1"))
    await tell(VariantReleased(**NAMES, revision=1))
    assert (await recorded(store)).state == "active"


async def test_a_version_that_requires_checks_waits_beside_the_one_that_serves(tell, store):
    await serves(tell, store)
    await tell(requested("2", image=image(2), requires=["quality", "bias"]))
    assert (await recorded(store)).gate.outstanding == ["quality", "bias"]
    await tell(checked(2))
    now = await recorded(store)
    assert (now.gate.outstanding, now.gate.closed, now.serving.number) == (["bias"], True, 1)
    waited_since = now.status.since
    await tell(checked(2, check="bias"))
    now = await recorded(store)
    assert not now.gate.closed
    assert now.status.since > waited_since, "the wait for the checks counts against the rollout"


async def test_a_revision_that_is_ready_serves_once_its_checks_passed(tell, store):
    await tell(requested("1", requires=["quality"]))
    await figures(store, ready_revision=1)
    await tell(checked(1, passed=False))
    assert (await recorded(store)).serving is None
    await tell(requested("2", image=image(2), requires=["quality"]))
    await tell(checked(1))  # late, and it says that an endpoint may send traffic to the first
    now = await recorded(store)
    assert (now.serving.number, now.gate.closed) == (1, True)


async def test_a_verdict_on_another_image_or_on_nothing_opens_no_gate(tell, store):
    assert await tell(checked(1)) == []
    await serves(tell, store)
    await tell(requested("2", image=image(2), requires=["quality"]))
    for revision in (1, 3):
        await tell(checked(revision))
    assert (await recorded(store)).gate.closed


async def test_an_image_that_failed_is_checked_anew_and_one_that_passed_is_not(tell, store):
    await serves(tell, store)
    await tell(requested("2", image=image(2), requires=["quality"]))
    await tell(checked(2, passed=False))
    assert (await recorded(store)).gate.failures == {"quality": "accuracy 0.71"}
    await tell(requested("2", image=image(2), requires=["quality"], labels={"try": "2"}))
    now = await recorded(store)
    assert (now.gate.outstanding, now.gate.failures) == (["quality"], {})
    await tell(checked(3))
    await tell(requested("2", image=image(2), requires=["quality"], labels={"try": "3"}))
    assert (await recorded(store)).gate.outstanding == []


async def test_static_with_checks_is_refused_where_another_version_serves(tell, store):
    static = {"image": image(2), "strategy": "static", "requires": ["quality"]}
    await serves(tell, store)
    [failed] = await tell(requested("2", **static))
    assert (failed.reason, failed.revision) == ("invalid", 0)
    assert failed.message.startswith("workload.strategy: 'static' is not allowed")
    assert failed.message.endswith("allowed: 'rolling', or no workload.requires")
    assert (await recorded(store)).revision == 1


async def test_static_with_checks_is_taken_where_nothing_serves_or_the_image_passed(tell, store):
    static = {"image": image(2), "strategy": "static", "requires": ["quality"]}
    await tell(requested("2", **static))
    await figures(store, ready_revision=1)
    await tell(checked(1))
    await tell(requested("1", image=image(1)))
    await figures(store, ready_revision=2, serving_revision=2)
    await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.strategy, now.gate.closed) == (3, "static", False)


async def test_scaling_after_a_failed_check_scales_what_serves(tell, store):
    await serves(tell, store)
    await tell(requested("2", image=image(2), requires=["quality"]))
    await tell(checked(2, passed=False))
    await figures(store, failed_revision=2, withdrawn_revision=2)
    await tell(DeploymentScaleRequested(**NAMES, scaling=Scaling(max_replicas=3), requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.version, now.gate.closed) == (3, "1", False)


async def test_what_is_said_of_an_earlier_life_counts_no_more(tell, store):
    await serves(tell, store)
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    await tell(VariantReleased(**NAMES, revision=1))
    await tell(requested("2", image=image(2), requires=["quality"]))
    await tell(checked(1))
    now = await recorded(store)
    assert (now.serving, now.gate.closed) == (None, False)


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def uploaded(version, minutes, **changes):
    """The request of an upload, so many minutes after noon."""
    request = requested(version, image=image(int(version)), **changes)
    return request.model_copy(update={"uploaded_at": NOON + timedelta(minutes=minutes)})


async def test_a_request_says_when_its_version_was_uploaded(tell):
    [request] = await tell(built(uploaded_at=NOON))
    assert request.uploaded_at == NOON


async def test_an_older_upload_that_is_built_later_does_not_roll_the_deployment_back(tell, store):
    await tell(uploaded("2", minutes=5))
    await tell(uploaded("1", minutes=0))
    assert (await recorded(store)).workload.version == "2"
    await tell(uploaded("3", minutes=6))
    assert (await recorded(store)).workload.version == "3"


async def test_the_author_of_an_older_upload_is_told_which_version_serves(tell, store):
    await tell(uploaded("2", minutes=5))
    [failed] = await tell(uploaded("1", minutes=0))
    assert (failed.deployment, failed.revision, failed.reason) == ("fraud", 0, "superseded")
    assert failed.message == "fraud@1 is not deployed, since a later upload of fraud was; none serves now"
    await figures(store, ready_revision=1, serving_revision=1)
    [failed] = await tell(uploaded("1", minutes=0))
    assert failed.message.endswith("; fraud@2 serves")


async def test_an_older_upload_does_not_undo_what_was_decided_after_a_later_one(tell, store):
    await tell(uploaded("1", minutes=0))
    await tell(uploaded("3", minutes=5))
    await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    await tell(uploaded("2", minutes=3))
    now = await recorded(store)
    assert (now.revision, now.workload.version) == (3, "1")


async def test_a_version_that_is_uploaded_again_is_the_latest(tell, store):
    await tell(uploaded("1", minutes=0))
    await tell(uploaded("1", minutes=5))
    [failed] = await tell(uploaded("2", minutes=3))
    assert failed.reason == "superseded"
    assert (await recorded(store)).workload.version == "1"


async def test_whoever_asks_is_not_refused_for_the_age_of_an_upload(tell, store):
    await tell(uploaded("2", minutes=5))
    await tell(requested("1"))
    assert (await recorded(store)).workload.version == "1"


async def test_uploads_of_different_models_do_not_compare(tell, store):
    await tell(uploaded("2", minutes=5))
    await tell(uploaded("1", minutes=0, model="other"))
    assert (await recorded(store)).workload.model == "other"


async def test_the_same_version_that_is_asked_for_later_by_an_earlier_upload_is_no_late_one(tell, store):
    await tell(uploaded("1", minutes=5))
    assert await tell(uploaded("1", minutes=0)) == []
    [failed] = await tell(uploaded("2", minutes=3))
    assert (failed.reason, failed.revision) == ("superseded", 0), "the later of the two uploads counts"
    assert (await recorded(store)).workload.version == "1"


async def said(store):
    """What was said, each after the event that it answers."""
    async with store.read() as connection:
        rows = (await connection.execute(select(outbox).order_by(outbox.c.position))).all()
    envelopes = [unwrap(json.loads(row.headers), row.value) for row in rows]
    assert all(each.cause_id == each.correlation_id for each in envelopes)
    return [(each.cause_id, each.open(event_class(each.type)).event) for each in envelopes]


async def owed(store):
    async with store.read() as connection:
        return [each.cause.event_id for each in (await answers.due(connection)).get("risk/fraud", [])]


async def test_all_who_wait_for_a_version_are_told_which_one_took_its_place(tell, store):
    for chain in ("first", "second"):
        await tell(requested("1"), chain=chain)
    await tell(requested("2"), chain="third")
    found = await said(store)
    assert [(chain, failed.revision, failed.reason) for chain, failed in found] == [
        ("first", 1, "superseded"),
        ("second", 1, "superseded"),
    ]
    message = "fraud@1 is not deployed, since fraud@2 was requested before it was ready"
    assert {failed.message for _, failed in found} == {message}
    assert await owed(store) == ["third"]


@pytest.mark.parametrize(("endpoint", "says"), [("other", "endpoint other"), (None, "no endpoint")])
async def test_who_waits_for_a_version_at_an_endpoint_is_told_that_it_goes_elsewhere(
    tell, store, endpoint, says
):
    await tell(requested("1"), chain="first")
    await tell(requested("1", endpoint=endpoint), chain="second")
    [(chain, failed)] = await said(store)
    assert (chain, failed.reason) == ("first", "superseded")
    assert f"since {says} was requested" in failed.message


async def test_who_waits_for_a_version_goes_on_to_wait_where_only_its_size_changes(tell, store):
    await tell(requested("1"), chain="first")
    request = DeploymentScaleRequested(**NAMES, scaling=Scaling(max_replicas=3), requested_by="jiho")
    await tell(request, chain="second")
    assert (await said(store), await owed(store)) == ([], ["first", "second"])


async def test_who_waits_for_a_deployment_that_is_removed_is_told_so(tell, store):
    await tell(requested("1"), chain="first")
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"), chain="removal")
    await tell(VariantReleased(**NAMES, revision=1), chain="release")
    _, (chain, failed) = await said(store)
    assert (chain, failed.reason) == ("first", "superseded")
    assert "since the removal of the deployment was requested" in failed.message
    assert await owed(store) == []


async def test_a_deployment_that_waits_to_go_is_waited_for_still(tell, store):
    await tell(requested("1"), chain="first")
    await tell(REMOVAL, chain="removal")
    assert await owed(store) == ["first"]
