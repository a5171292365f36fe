"""The whole chain on real parts: S3, Kafka, a registry, a kubelet, Istio; no service knows the difference."""

import pytest

from tests.lab.cluster import InCluster, parts, platform  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def serving(platform: InCluster):  # noqa: F811
    return platform.serve("fraud")


def test_a_model_that_was_uploaded_predicts_as_its_library_does(platform: InCluster, serving):  # noqa: F811
    assert platform.predict(serving.url) == platform.wanted("fraud", 1)
