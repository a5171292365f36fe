"""docs/cli.md is true."""

import re
from pathlib import Path

from so1s.cli import exit_codes

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text()


def test_the_page_has_each_exit_code():
    documented = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    codes = [value for name, value in vars(exit_codes).items() if name.isupper()]
    assert documented == sorted(codes)
