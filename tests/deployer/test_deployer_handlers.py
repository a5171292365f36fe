"""What each event makes of a deployment."""

from __future__ import annotations

import json

import pytest

from services.deployer import store as deployments
from services.deployer.domain.options import Defaults
from services.deployer.handlers import consumer
from services.deployer.refusals import refuse
from so1s.errors import InvalidInput
from so1s.events import (
    DeploymentRemovalRequested,
    DeploymentRequested,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    DeployOptions,
    ImageBuilt,
    ModelUploaded,
    ResourceOptions,
    Resources,
    Scaling,
    ScalingOptions,
    VariantReleased,
)
from so1s.testing import refusal
from tests.deployer.fraud import (
    NAMES,
    built,
    recorded,
    requested,
    wanted,
)


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
    assert "at least min_replicas, 3" in failed.message


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
