"""Which format a file of trees is in, told by its content."""

from io import BytesIO

import lightgbm
import pytest
import xgboost

from services.builder.domain.contents import choose_model
from services.builder.domain.failure import BuildError
from so1s.formats.content import recognise
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


@pytest.mark.parametrize(
    ("files", "way"),
    [
        (["model.pkl"], "skops.io.dump"),
        (["model.joblib"], "skops.io.dump"),
        (["data.pkl", "version", "data/0"], "torch.export.save"),
        (["model.PT"], "torch.export.save"),
        (["model.weights.h5"], r"model\.save\("),
        (["model.h5"], r"model\.save\("),
        (["saved_model.pb"], "variables/ beside it"),
        (["config.json", "model.safetensors"], "tokenizer.save_pretrained"),
        (["config.yaml", "model_final.pth"], "Detectron2 is not served"),
    ],
)
def test_what_is_not_served_is_refused_with_the_way_to_what_is(files, way):
    with pytest.raises(BuildError, match=way):
        choose_model(dict.fromkeys(files), said_file=None, said_format=None)


def test_a_named_model_that_is_not_served_is_refused_with_its_own_way():
    with pytest.raises(BuildError, match=r"torch\.export"):
        choose_model({"a.pt": None, "b.pkl": None}, said_file="a.pt", said_format=None)


def test_of_other_files_nothing_is_guessed():
    with pytest.raises(BuildError) as error:
        choose_model({"readme.md": None}, said_file=None, said_format=None)
    assert str(error.value).endswith("there is readme.md")
