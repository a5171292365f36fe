"""What is written of models that were proven."""

from dataclasses import replace

from tests.models.doors import ENVOY, ISTIO, SERVER
from tests.models.table import PAGE, Proof, with_proven

EMPTY = "before\n<!-- proven: begin -->\n<!-- proven: end -->\nafter\n"
PROOF = Proof("onnx", "onnx", ["numpy"], "onnxruntime 1.32.0", 1e-5, {SERVER, ENVOY}, 56.4, 0.26)


def _rows(page: str) -> list[str]:
    return page.partition("begin -->\n")[2].partition("\n<!-- proven: end")[0].splitlines()[2:]


def test_a_model_that_was_proven_has_a_row_with_the_doors_that_it_was_called_before():
    page = with_proven(EMPTY, [PROOF])
    assert _rows(page) == ["| onnx | onnx | `numpy` | onnxruntime 1.32.0 | 1e-05 | ✓ | ✓ |  | 56 | 0.3 |"]
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")


def test_a_door_that_was_not_there_this_time_keeps_its_mark():
    page = with_proven(EMPTY, [replace(PROOF, doors={SERVER, ENVOY, ISTIO})])
    page = with_proven(page, [replace(PROOF, doors={SERVER}, tolerance=0)])
    assert _rows(page) == ["| onnx | onnx | `numpy` | onnxruntime 1.32.0 | 0 | ✓ | ✓ | ✓ | 56 | 0.3 |"]


def test_a_model_that_was_not_proven_this_time_keeps_its_row():
    page = with_proven(with_proven(EMPTY, [PROOF]), [replace(PROOF, example="another")])
    assert [row.split()[1] for row in _rows(page)] == ["another", "onnx"]


def test_the_page_has_the_rows_that_would_be_written():
    page = PAGE.read_text()
    assert with_proven(page, []) == page
