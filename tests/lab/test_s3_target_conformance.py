"""The `Target` of a pipeline that has the keys of an S3."""

import pytest

from so1s.platform import ClientSettings
from tests.lab.test_s3_uploads import settings  # noqa: F401 - a fixture
from tests.publisher.target_conformance import (  # noqa: F401 - the port's conformance suite
    prefix,
    test_a_builder_finds_a_file_of_any_name_or_the_name_is_refused,
    test_a_builder_finds_what_was_put_where_the_target_said,
    test_a_place_that_is_away_is_told_of,
    test_bytes_that_are_there_are_not_sent_again,
    test_bytes_that_changed_since_they_were_announced_are_not_taken,
    test_other_bytes_of_a_version_have_a_place_of_their_own,
    write,
)
from tests.publisher.test_target_conformance import Bucket


@pytest.fixture
def place(settings: ClientSettings) -> Bucket:  # noqa: F811
    return Bucket(settings)
