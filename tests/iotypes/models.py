"""Models that are code: each takes values of IO types and gives them back changed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.iotypes.values import VALUES

PREPARED = """\
def load_artifacts():
    return {
        "numpy": lambda array: array * 2,
        "json": lambda value: {"seen": value},
        "text": str.upper,
        "file": lambda raw: raw[::-1],
        "image": lambda pixels: 255 - pixels,
        "dataframe": lambda rows: rows.assign(total=rows["amount"] + rows["count"]),
        "series": lambda prices: prices.map(lambda price: price * 2),
    }


def run(artifacts, input):
    return {f"{name}_out": artifacts[name](value) for name, value in input.items()}
"""

# Code names pandas to get dataframes. Pillow comes with images by itself; all name it to share one layer.
_REQUIREMENTS = ["pandas", "pillow"]


class Model(NamedTuple):
    """An input `TYPE` and an output `TYPE_out` of each of some types."""

    name: str
    types: Sequence[str]

    def write(self, directory: Path) -> Path:
        """What its author uploads."""
        directory.mkdir(parents=True)
        described = {"schema": "so1s/v1", "format": "python", **self._signature, "sample": "sample.json"}
        described |= {"requirements": _REQUIREMENTS, "deploy": {"resources": {"memory_mib": 512}}}
        (directory / "so1s.yaml").write_text(json.dumps(described))  # which is YAML, too
        (directory / "prepared.py").write_text(PREPARED)
        sample = {each: VALUES[each].json for each in self.types}
        (directory / "sample.json").write_text(json.dumps(sample))
        return directory

    def write_served(self, directory: Path) -> Path:
        """What its server finds in an image."""
        manifest = {"schema": "so1s-model/v1", "name": self.name, "version": "1", "format": "python"}
        manifest |= {"file": "prepared.py", **self._signature, "sample": "sample.json"}
        self.write(directory)
        (directory / "model.json").write_text(json.dumps(manifest))
        return directory

    @property
    def _signature(self) -> dict[str, Any]:
        values = {each: VALUES[each] for each in self.types}
        inputs = [{"name": each, "type": each, **value.declared} for each, value in values.items()]
        outputs = [
            {"name": f"{each}_out", "type": each, **value.declared_out} for each, value in values.items()
        ]
        return {"inputs": inputs, "outputs": outputs}


EVERY = Model("io-every", list(VALUES))
ALONE = {each: Model(f"io-{each}", [each]) for each, value in VALUES.items() if value.media}
"""Those that take a body which is no JSON: it goes to a model with one input."""
MODELS = [EVERY, *ALONE.values()]
