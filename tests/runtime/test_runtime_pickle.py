"""scikit-learn models as pickles: the same answers as by skops, and what is refused."""

import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.preprocessing import StandardScaler

from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import loader


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pkl"


WRITERS = {
    "pickle": lambda model, path: path.write_bytes(pickle.dumps(model)),
    "protocol-2": lambda model, path: path.write_bytes(pickle.dumps(model, 2)),
    "joblib": joblib.dump,
    "compressed": lambda model, path: joblib.dump(model, path, compress=3),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_pickle_is_served_as_the_same_model_by_skops_is(path, skops_model, rows, writer):
    WRITERS[writer](skops_model.estimator, path)
    ours, theirs = loader("pickle"), loader("skops")
    by_skops = skops_model.directory / "model.skops"

    assert ours.inspect(path) == theirs.inspect(by_skops)
    names = ["probabilities", "label"]
    for one, other in zip(
        ours.load(path, 1)({"x": rows}, names), theirs.load(by_skops, 1)({"x": rows}, names), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_pickle_of_another_version_is_refused_with_what_to_require(path, forest):
    state = pickle.dumps(forest)
    import sklearn

    path.write_bytes(state.replace(sklearn.__version__.encode(), b"0" * len(sklearn.__version__)))
    with pytest.raises(ModelError, match=r"say scikit-learn==0+ in requirements\.txt"):
        loader("pickle").load(path, 1)
    with warnings.catch_warnings():  # ours is not left in the process
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        assert pickle.loads(path.read_bytes()).n_features_in_ == 4


class Exiting:
    def __reduce__(self):
        return exit, (3,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "is no pickle", id="empty"),
        pytest.param(b"\x80\x04K", "is no pickle", id="cut"),
        pytest.param(pickle.dumps(Exiting()), "is no pickle .* SystemExit: 3", id="exit"),
        pytest.param(pickle.dumps({"a": 1}), "holds a dict, which cannot predict", id="dict"),
        pytest.param(pickle.dumps(StandardScaler()), "StandardScaler, which cannot predict", id="scaler"),
        pytest.param(b"\x80\x04cno_such_module\nThing\n.", "needs what is not in this image", id="module"),
        pytest.param(b"\x80\x04c__main__\nMine\n.", "is a prepared.py", id="own"),
    ],
)
def test_a_pickle_that_cannot_be_served_says_why(path, content, said):
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        loader("pickle").load(path, 1)


def test_a_pickle_is_never_run_on_the_event_loop():
    assert loader("pickle").STEADY is False
