"""Models that another release of scikit-learn saved: they are served, and whoever looks is told."""

import io
import zipfile

import pytest
import sklearn

from services.builder.domain.lock import Lock
from services.builder.domain.releases import warnings_of
from so1s.events import ImageBuilt
from so1s.formats.zips import sklearn_that_saved


def saved_by(version: str, model: bytes) -> bytes:
    """A skops file as another release would have written it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "schema.json":
                data = data.replace(sklearn.__version__.encode(), version.encode())
            new.writestr(name, data)
    return made.getvalue()


def test_a_skops_file_says_what_saved_it(skops_model):
    assert sklearn_that_saved(io.BytesIO(skops_model)) == sklearn.__version__
    assert sklearn_that_saved(io.BytesIO(saved_by("1.5.2", skops_model))) == "1.5.2"


@pytest.mark.parametrize("file", [b"", b"PK\x03\x04", b"no archive"])
def test_what_is_no_skops_file_says_nothing(file):
    assert sklearn_that_saved(io.BytesIO(file)) is None


@pytest.mark.parametrize(
    ("saved", "told"), [("1.9.0", False), ("1.9.7", False), ("1.5.2", True), ("1.10.0", True), (None, False)]
)
def test_another_minor_version_is_told_of(saved, told):
    lock = Lock("skops", "numpy==2.4.0\nscikit-learn==1.9.1\n")
    assert bool(warnings_of(saved, lock)) == told
    assert warnings_of(saved, Lock("onnx", "numpy==2.4.0\n")) == []


async def test_the_image_of_an_older_model_keeps_the_warning(shop, skops_model):
    await shop.say(shop.uploaded("1", data=saved_by("1.5.2", skops_model)))
    await shop.say(shop.uploaded("2", data=skops_model))
    await shop.worker().work()
    await shop.worker().work()
    built = {each.version: each for each in await shop.emitted() if isinstance(each, ImageBuilt)}
    (said,) = built["1"].warnings
    assert said.startswith(f"scikit-learn 1.5.2 saved the model and {sklearn.__version__} serves it")
    assert built["2"].warnings == []
