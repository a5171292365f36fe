"""The whole chain on real parts, by events alone: one platform, a model for each scenario."""

import asyncio
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest

import so1s
from so1s.events import (
    BuildFailed,
    CheckFinished,
    DeploymentReady,
    DeploymentRemovalRequested,
    UsageSampled,
    WeightsChanged,
)
from so1s.service import Consumer, Service
from so1s.settings import ServiceSettings
from so1s_local.demo.load import binomial_bounds
from so1s_runtime.rpc.messages import ModelInferRequest, ModelInferResponse
from tests.scenarios.dropping import Dropping, dropped_files_serve
from tests.scenarios.models import ROWS
from tests.scenarios.running import ACCOUNT, SERVE_SECONDS, Running, until

REQUESTS = 300


def test_an_uploaded_model_answers_over_http_as_its_library_does(platform: Running):
    serving = platform.serve("answer")
    assert platform.predict(serving.url) == platform.wanted("answer", 1)


def test_an_uploaded_model_answers_over_grpc_at_the_same_address(platform: Running):
    serving = platform.serve("spoken")
    tensor = {"name": "x", "datatype": "FP32", "shape": ROWS.shape}
    asked = ModelInferRequest(model_name="spoken", inputs=[tensor], raw_input_contents=[ROWS.tobytes()])
    host = [("grpc.default_authority", urlsplit(serving.url).netloc)]
    with grpc.insecure_channel(urlsplit(platform.at.gateway).netloc, options=host) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        answer, call = infer.with_call(asked.SerializeToString(), timeout=SERVE_SECONDS)
        assert dict(call.initial_metadata())["x-so1s-variant"] == "spoken"
    (raw,) = ModelInferResponse.FromString(answer).raw_output_contents
    assert np.frombuffer(raw, np.float32).reshape(-1, 1).tolist() == platform.wanted("spoken", 1)


def test_a_later_version_takes_over_and_no_request_fails(platform: Running):
    serving = platform.serve("rolled")

    async def roll() -> None:
        async with platform.load(serving.url) as load:
            later = await asyncio.to_thread(platform.publish, "rolled", 2)
            await asyncio.to_thread(later.wait_until_serving, 60)
            await load.answered(20)
        assert load.failed == 0, load.tally

    platform.run(roll())
    until(lambda: [each["version"] for each in platform.living("rolled")] == ["2"])
    assert platform.predict(serving.url) == platform.wanted("rolled", 2)


def test_a_version_that_is_published_again_is_answered_again(platform: Running):
    first = platform.publish("again", evaluation={"auc": 0.90})
    serving = first.wait_until_serving(SERVE_SECONDS)
    second = platform.publish("again", evaluation={"auc": 0.94})
    assert second.event_id != first.event_id
    assert second.wait_until_serving(SERVE_SECONDS) == first.wait_until_serving(SERVE_SECONDS) == serving


def test_changed_weights_split_the_traffic(platform: Running):
    serving = platform.serve("split")
    platform.serve("split-next", deploy={"endpoint": "split"})
    platform.say(WeightsChanged(account=ACCOUNT, endpoint="split", weights={"split": 30, "split-next": 70}))
    until(lambda: platform.weights("split") == {"split": 30, "split-next": 70})

    async def tally() -> None:
        async with platform.load(serving.url) as load:
            seen = await load.answered(REQUESTS)
        low, high = binomial_bounds(seen.requests, 0.7)
        assert low <= seen.by_variant["split-next"] <= high, seen
        assert seen.by_variant["split"] == seen.requests - seen.by_variant["split-next"]

    platform.run(tally())


def test_a_version_takes_no_traffic_before_its_check_passed(platform: Running):
    serving = platform.serve("checked")
    consumer = Consumer("quality-checker")
    verdict, heard = asyncio.Event(), []

    @consumer.on(DeploymentReady)
    async def check(ready: DeploymentReady) -> CheckFinished | None:
        if "quality" not in ready.requires:
            return None
        heard.append(ready.key)
        await verdict.wait()
        return CheckFinished.of(ready, check="quality", passed=True, reason="right on every row")

    async def examine() -> so1s.Serving:
        settings = ServiceSettings(kafka=platform.at.kafka, instance="quality-checker-0")
        async with Service("quality-checker", settings, consumer=consumer).running():
            later = await asyncio.to_thread(platform.publish, "checked", 2, deploy={"requires": ["quality"]})
            await asyncio.to_thread(until, lambda: heard)
            assert await asyncio.to_thread(platform.predict, serving.url) == platform.wanted("checked", 1)
            verdict.set()
            return await asyncio.to_thread(later.wait_until_serving, 60)

    assert platform.run(examine()).url == serving.url
    until(lambda: platform.predict(serving.url) == platform.wanted("checked", 2))
    assert heard == [f"{ACCOUNT}/checked"]


def test_every_window_is_charged_once_and_the_chain_is_explained(platform: Running):
    platform.serve("billed", account="billing-test")
    until(lambda: len(_windows(platform, "billing-test")) >= 3)
    bill = until(lambda: _recomputed(platform, "billing-test"))
    assert bill["equal"], bill["differences"]
    explained = platform.so1s("explain", "billed@1", "--account", "billing-test")
    causes = {each["id"] for each in explained["events"]}
    assert [each["type"] for each in explained["events"] if each["cause_id"] not in causes] == [
        "so1s.ModelUploaded.v1"
    ]
    names = {each["type"].split(".")[1] for each in explained["events"]}
    assert names >= {"ImageBuilt", "DeploymentRequested", "DeploymentReady", "RoutesApplied"}
    assert explained["usage"]["windows"] >= 3
    assert explained["charge"]["nano_usd"] > 0


def test_a_released_variant_ends_with_its_replicas(platform: Running):
    platform.serve("kept")
    platform.serve("retired", deploy={"endpoint": "kept"})
    platform.say(DeploymentRemovalRequested(account=ACCOUNT, deployment="retired", requested_by="user:ada"))
    until(lambda: platform.deployment("retired") is None)
    assert platform.living("retired") == []
    assert [each["variant"] for each in platform.endpoint("kept")["variants"]] == ["kept"]


def test_a_dropped_file_and_a_dropped_directory_serve(platform: Dropping):
    dropped_files_serve(platform, event="")  # this store tells nothing: listings find them


def test_the_author_of_a_broken_upload_is_told_what_is_wrong(platform: Running, tmp_path):
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    published = platform.publish("broken", path=broken, account="careless")
    with pytest.raises(so1s.BuildFailed, match="broken@1 was not built"):
        published.wait_until_serving(60)
    failed = [each.event for each in platform.events(BuildFailed) if each.event.account == "careless"]
    assert [each.model for each in failed] == ["broken"]
    until(lambda: "broken" in str(platform.http.get(f"{platform.at.slack}/messages.json").json()))


def _windows(platform: Running, account: str) -> set:
    sampled = [each.event for each in platform.events(UsageSampled) if each.event.account == account]
    return {each.window_start for each in sampled if each.replica != "gateway"}


def _recomputed(platform: Running, account: str) -> dict | None:
    bill = platform.get("billing", f"bills/{account}/recomputed")
    return bill if bill["rows"] else None
