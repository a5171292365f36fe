"""The whole chain on real parts: S3, Kafka, a registry, a kubelet, Istio; no service knows the difference."""

import pytest

from so1s.events import UsageSampled
from tests.lab.cluster import InCluster, platform
from tests.lab.scaling_chain import (
    grows_and_shrinks,
    metrics_server,
    test_a_model_grows_by_the_cpu_that_it_uses_and_no_request_fails,
    test_a_model_grows_to_four_replicas_by_its_latency_and_shrinks_to_one_and_no_request_fails,
)
from tests.scenarios.running import until
from tests.scenarios.test_chain import (
    test_a_later_version_takes_over_and_no_request_fails,
    test_a_released_variant_ends_with_its_replicas,
    test_a_version_takes_no_traffic_before_its_check_passed,
    test_a_version_that_is_published_again_is_answered_again,
    test_an_uploaded_model_answers_over_grpc_at_the_same_address,
    test_an_uploaded_model_answers_over_http_as_its_library_does,
    test_changed_weights_split_the_traffic,
    test_every_window_is_charged_once_and_the_chain_is_explained,
    test_the_author_of_a_broken_upload_is_told_what_is_wrong,
)
from tests.scenarios.test_io_types import (
    doors,
    proven,
    test_a_body_that_is_too_large_is_answered_and_not_cut_off,
    test_a_file_of_the_declared_size_goes_in_and_comes_out,
    test_a_message_that_is_too_large_is_answered_and_not_cut_off,
    test_a_value_of_each_io_type_goes_in_and_comes_out_in_each_way,
)

# ruff: noqa: F401, F811 - what is imported are fixtures, and the scenarios that a laptop's platform passes too


@pytest.fixture(scope="module")
def column() -> str:
    return "Istio (cluster)"


def test_each_request_is_counted_once(platform: InCluster):
    serving = platform.serve("counted")
    for _ in range(25):
        platform.predict(serving.url)
    until(lambda: _counted(platform, "counted") >= 25, 60)
    assert _counted(platform, "counted") == 25


def test_what_a_replica_used_is_metered(platform: InCluster):
    platform.serve("used")
    sampled = until(lambda: _of_replicas(platform, "used"), 60)
    assert sampled[-1].quantities["cpu_reserved"] > 0
    last = until(lambda: next(filter(_is_measured, _of_replicas(platform, "used")), None), 60)
    assert last.quantities["memory_used"] > 0


def _is_measured(sample: UsageSampled) -> bool:
    return "memory_used" in sample.quantities


def _counted(platform: InCluster, deployment: str) -> int:
    sampled = [each.event for each in platform.events(UsageSampled) if each.event.deployment == deployment]
    return sum(each.quantities.get("requests", 0) for each in sampled)


def _of_replicas(platform: InCluster, deployment: str) -> list[UsageSampled]:
    sampled = [each.event for each in platform.events(UsageSampled) if each.event.deployment == deployment]
    return [each for each in sampled if each.replica != "gateway"]
