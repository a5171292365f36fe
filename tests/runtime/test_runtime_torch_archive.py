"""Archives of PyTorch's: what is looked at is what PyTorch reads."""

import json
import zipfile
from pathlib import Path

import pytest

from so1s_runtime.errors import ModelError
from so1s_runtime.loaders.torch_archive import require_harmless_program, require_harmless_script

PLAIN = json.dumps({"config": {"w": {"use_pickle": False}}})
PICKLED = json.dumps({"config": {"w": {"use_pickle": True}}})
CONFIG = "data/weights/model_weights_config.json"


def archive(directory: Path, members: dict[str, str]) -> Path:
    path = directory / "m.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name, text in members.items():
            made.writestr(name, text)
    return path


def test_a_program_of_known_parts_is_let_through(tmp_path):
    require_harmless_program(archive(tmp_path, {f"m/{CONFIG}": PLAIN, "m/models/model.json": "{}"}))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({f"m/{CONFIG}": PICKLED, f"n/{CONFIG}": PLAIN}, "more than one directory"),
        ({f"m/{CONFIG}": PLAIN, f"m/{CONFIG.upper()}": PICKLED}, "a name twice"),
        ({f"m/{CONFIG.replace('json', 'JSON')}": PICKLED}, "as a pickle"),
    ],
    ids=["two directories", "two cases", "other case"],
)
def test_no_part_of_a_program_hides_behind_another(tmp_path, members, said):
    with pytest.raises(ModelError, match=said):
        require_harmless_program(archive(tmp_path, members))


@pytest.mark.parametrize("name", ["code/__torch__.py", "Code/__torch__.PY"])
def test_code_of_a_script_is_looked_at_in_whatever_case_its_name_is(tmp_path, name):
    with pytest.raises(ModelError, match="reaches files"):
        require_harmless_script(archive(tmp_path, {f"m/{name}": "torch.save(x)"}))
