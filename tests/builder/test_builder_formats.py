"""Which format a file of trees is in, told by its content."""

from io import BytesIO

import lightgbm
import pytest
import xgboost

from services.builder.domain.formats import recognise
from tests.builder.conftest import ROWS

CLASSES = (ROWS[:, 0] > 0).astype(int)


def trees(path):
    """A small model as its library writes it."""
    if path.suffix == ".txt":
        lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(ROWS, CLASSES).booster_.save_model(path)
    else:
        xgboost.XGBClassifier(n_estimators=2).fit(ROWS, CLASSES).save_model(path)
    return path.read_bytes()


@pytest.mark.parametrize(("suffix", "name"), [("ubj", "xgboost"), ("json", "xgboost"), ("txt", "lightgbm")])
def test_whole_trees_are_recognised_and_no_others(tmp_path, suffix, name):
    model = trees(tmp_path / f"model.{suffix}")
    assert recognise(BytesIO(model)) == name
    assert recognise(BytesIO(model[: len(model) // 4])) is None
    assert recognise(BytesIO(model[1:])) is None
