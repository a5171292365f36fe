"""A server of scikit-learn starts without modules that predictions seldom ask, and has them when one does."""

import subprocess
import sys

import numpy as np
import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

IRIS = load_iris()
DEFERRED = ["numpy.f2py", "numpy.testing", "scipy.spatial.transform", "scipy.stats"]


def said(program: str, *arguments) -> str:
    """What a program prints in an interpreter of its own, which has imported nothing yet."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def written(estimator, directory):
    path = directory / "model.skops"
    skops.io.dump(estimator.fit(IRIS.data, IRIS.target), path)
    return path


ANSWER = """
import json, sys
from pathlib import Path
from so1s_runtime.loaders import skops
model = skops.estimator(Path(sys.argv[1]))
rows = json.loads(sys.argv[2])
print(model.predict_proba(rows).tolist())
print(sorted(name for name, module in sys.modules.items() if type(module).__name__ == "_StandIn"))
"""


def test_a_linear_model_answers_with_none_of_them_imported(tmp_path):
    model = make_pipeline(StandardScaler(), LogisticRegression())

    answered, standing = said(ANSWER, written(model, tmp_path), IRIS.data[:9].tolist()).splitlines()

    np.testing.assert_array_equal(np.array(eval(answered)), model.predict_proba(IRIS.data[:9]))
    assert eval(standing) == DEFERRED


def test_a_model_that_needs_statistics_answers_as_the_library_does(tmp_path):
    model = make_pipeline(
        QuantileTransformer(n_quantiles=50, output_distribution="normal"), LogisticRegression()
    )

    answered, standing = said(ANSWER, written(model, tmp_path), IRIS.data[:9].tolist()).splitlines()

    np.testing.assert_array_equal(np.array(eval(answered)), model.predict_proba(IRIS.data[:9]))
    assert eval(standing) == DEFERRED[:3]


INSTALLED = "import sys; from so1s_runtime.loaders import deferred; deferred.install();"


def test_a_part_that_is_imported_first_brings_its_package_and_runs_once(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("print('package')\nimport package.part\n")
    (package / "part.py").write_text("print('part')\n")
    program = """
sys.path.insert(0, sys.argv[1])
deferred._DEFERRED = {"package": frozenset()}
deferred.install()
import package
print("a stand-in")
import package.part
print(package.part is sys.modules["package.part"], type(package.part.__spec__.loader).__name__)
"""

    printed = said("import sys; from so1s_runtime.loaders import deferred" + program, tmp_path)

    assert printed.splitlines() == ["a stand-in", "package", "part", "True SourceFileLoader"]


def test_what_was_taken_before_the_import_answers_after_it():
    program = """
from scipy.stats import chi2, rankdata
print(type(sys.modules["scipy.stats"]).__name__)
print(chi2(3).isf(0.5) == chi2.isf(0.5, 3), rankdata([3, 1, 2]).tolist())
print(type(sys.modules["scipy.stats"]).__name__)
"""

    assert said(INSTALLED + program) == "_StandIn\nTrue [3.0, 1.0, 2.0]\nmodule"


def test_threads_that_need_one_at_the_same_time_wait_for_one_import():
    program = """
from concurrent.futures import ThreadPoolExecutor
from scipy import stats
from scipy.stats import rankdata
def ask(number):
    if number % 2:
        import scipy.stats.mstats
        return scipy.stats.mstats.mquantiles([1, 2, 3]).tolist()[1]
    return float(stats.norm.cdf(0) + rankdata([1])[0])
with ThreadPoolExecutor(8) as pool:
    print(set(pool.map(ask, range(8))))
"""

    assert said(INSTALLED + program) in ("{1.5, 2.0}", "{2.0, 1.5}")


def test_a_name_that_such_a_module_lacks_is_refused_as_ever():
    program = """
from scipy import stats
try:
    stats.no_such_test
except AttributeError as error:
    print(error)
"""

    assert said(INSTALLED + program) == "module 'scipy.stats' has no attribute 'no_such_test'"
