"""The table of IO types in docs/models.md says what the suite of their calls proves, and nothing else."""

import re

from so1s_runtime.iotypes.media import JSON
from so1s_runtime.iotypes.types import _CODECS
from tests.iotypes.calls import CALLS, IN_PARTS
from tests.iotypes.table import COLUMNS, PAGE, expected, rows, with_proven
from tests.iotypes.values import VALUES


def test_the_page_has_a_proven_row_for_each_call_of_the_suite_and_no_other():
    assert rows(PAGE.read_text()) == expected(), "make test-io writes the table anew"


def test_the_suite_has_each_io_type_that_the_server_knows():
    assert VALUES.keys() == _CODECS.keys()


def test_the_suite_sends_each_content_type_that_is_one_value():
    written = {name: codec.media[0] for name, codec in _CODECS.items() if codec.media}
    sent = {call.io_type: call.way.strip("`") for call in CALLS if call.way.startswith("`")}
    assert sent == {name: media for name, media in written.items() if media != JSON}


def test_a_run_marks_its_own_column_where_every_call_of_a_type_was_seen():
    page = re.sub(r"✓", " ", PAGE.read_text())
    all_but_one = set(CALLS[1:])
    made = with_proven(with_proven(page, COLUMNS[1], all_but_one), COLUMNS[0], {IN_PARTS})
    marks = {row[0]: row[2:] for row in rows(made)}
    assert marks.pop(f"`{CALLS[0].io_type}`") == ["", "", ""]
    assert marks.pop("`multipart`") == ["✓", "✓", ""]
    assert set(map(tuple, marks.values())) == {("", "✓", "")}
    assert made.partition("<!-- io")[0] == page.partition("<!-- io")[0]
