"""Each IO type through the platform's gateway, as models that were uploaded, built and routed."""

from urllib.parse import urlsplit

import pytest

from tests.iotypes.conformance import (  # noqa: F401 - the promises
    proven,
    test_a_body_that_is_too_large_is_answered_and_not_cut_off,
    test_a_file_of_the_declared_size_goes_in_and_comes_out,
    test_a_message_that_is_too_large_is_answered_and_not_cut_off,
    test_a_value_of_each_io_type_goes_in_and_comes_out_in_each_way,
)
from tests.iotypes.door import Door, Doors
from tests.iotypes.models import MODELS
from tests.scenarios.running import SERVE_SECONDS, Running


@pytest.fixture(scope="module")
def column() -> str:
    return "Envoy (laptop)"


@pytest.fixture(scope="module")
def doors(platform: Running, tmp_path_factory) -> Doors:
    """The gateway, under the host of each model's endpoint."""
    uploads = tmp_path_factory.mktemp("uploads")
    published = [platform.publish(each.name, path=each.write(uploads / each.name)) for each in MODELS]
    gateway = urlsplit(platform.at.gateway).netloc
    served = {each.event.model: each.wait_until_serving(2 * SERVE_SECONDS) for each in published}
    return {model: Door(gateway, urlsplit(serving.url).netloc) for model, serving in served.items()}
