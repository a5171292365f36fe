"""The builder's sandbox works on a machine that the lab was set up on."""

import sys
from pathlib import Path

from services.builder.adapters import bubblewrap
from so1s_lab.debian import program
from tests.lab.missing import skipped_where_missing


def test_the_tests_of_the_sandbox_are_not_passed_over_here():
    with skipped_where_missing():
        program("bwrap")
    found, why = bubblewrap.find("bwrap", Path(sys._base_executable))
    assert found is not None, why
