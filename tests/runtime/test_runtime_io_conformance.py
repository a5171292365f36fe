"""Each IO type, in each way, by servers that are called directly."""

from collections.abc import Iterator
from contextlib import ExitStack

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
from tests.runtime.running import started


@pytest.fixture(scope="module")
def column() -> str:
    return "a server"


@pytest.fixture(scope="module")
def doors(tmp_path_factory) -> Iterator[Doors]:
    directory = tmp_path_factory.mktemp("io")
    with ExitStack() as servers:
        found = {}
        for model in MODELS:
            served = model.write_served(directory / model.name)
            _, port = servers.enter_context(started(served, directory / f"{model.name}.log"))
            found[model.name] = Door(f"127.0.0.1:{port}")
        yield found
