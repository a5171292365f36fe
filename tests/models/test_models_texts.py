"""Models of texts that answer in other ways than those of examples/models do."""

import json
from pathlib import Path

import pytest

from so1s.events import Artifact, ModelUploaded
from tests.models.booting import booted
from tests.models.conftest import require_disk
from tests.models.libraries import libraries_of
from tests.models.test_models_serve import require_like

pytestmark = [pytest.mark.models, pytest.mark.timeout(3600)]

SCRIPT = Path(__file__).with_name("make_texts.py")


@pytest.mark.parametrize("kind", ["several-labels", "number", "first-token"])
async def test_a_model_of_texts_answers_as_its_library_does(builder_directory, machine, kind):
    require_disk(builder_directory, 26)
    libraries = await libraries_of(builder_directory, "transformers")
    out = builder_directory / f"artifacts/risk/{kind}"
    expected = json.loads(libraries.run(SCRIPT, kind, str(out)).splitlines()[-1])
    artifact = Artifact(uri=f"file://{out}/")
    event = ModelUploaded(account="risk", model=f"texts-{kind}", version="1", artifact=artifact)

    image = await booted(builder_directory, machine, event)

    assert image.answer.keys() == expected.keys()
    require_like(image, expected, 1e-6)
