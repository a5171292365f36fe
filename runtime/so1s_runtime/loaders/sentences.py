"""How the states of a text's tokens become its embedding, as the files of sentence-transformers say.

`modules.json` lists what a text goes through, https://www.sbert.net/docs/package_reference/; what would be
answered otherwise than by that library is refused.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from so1s_runtime.errors import ModelError

_SERVED_MODULES = ("Transformer", "Pooling", "Normalize")
_SERVED_POOLINGS: dict[str, Literal["mean", "cls"]] = {
    "mean": "mean",
    "cls": "cls",
    # As they were called before `pooling_mode` named one.
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}


@dataclass(frozen=True, slots=True)
class Embedding:
    """What becomes of the states of a text's tokens."""

    pooling: Literal["mean", "cls"] = "mean"
    """The mean of them all, or the first one's."""
    is_scaled: bool = False
    """Whether the vector has the length 1."""


def embedding(directory: Path) -> Embedding:
    """What a model's directory asks for; the mean where it holds no such files.

    Raises ModelError for what is not served, or is written otherwise than that library does.
    """
    try:
        return _embedding(directory)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"modules.json, or what it names, is not as sentence-transformers writes it: {error!r}"
        raise ModelError(message) from error


def _embedding(directory: Path) -> Embedding:
    modules = {
        str(each.get("type")).rpartition(".")[2]: each for each in of_json(directory / "modules.json") or []
    }
    for module in modules:
        if module not in _SERVED_MODULES:
            raise ModelError(f"modules.json says {module!r}; served: {', '.join(_SERVED_MODULES)}")
    settings = of_json(directory / "config_sentence_transformers.json")
    prompt = (settings.get("prompts") or {}).get(settings.get("default_prompt_name"))
    if prompt:
        raise ModelError(
            f"config_sentence_transformers.json says to begin each text with {prompt!r:.60}, which is not "
            "served: set its default_prompt_name to null, and let callers send that"
        )
    pooling = (
        _pooling(directory / modules["Pooling"]["path"] / "config.json") if "Pooling" in modules else "mean"
    )
    return Embedding(pooling, "Normalize" in modules)


def _pooling(path: Path) -> Literal["mean", "cls"]:
    config = of_json(path)
    said = config.get("pooling_mode") or [
        name for name, is_on in config.items() if name.startswith("pooling_mode_") and is_on is True
    ]
    modes = [said] if isinstance(said, str) else said or ["mean"]
    if len(modes) > 1 or modes[0] not in _SERVED_POOLINGS:
        name = f"{path.parent.name}/{path.name}"
        raise ModelError(f"{name} says {', '.join(modes)}; served: the mean, or the first token (cls)")
    return _SERVED_POOLINGS[modes[0]]


def of_json(path: Path) -> Any:
    """What a file holds; nothing where there is none."""
    return json.loads(path.read_bytes()) if path.is_file() else {}
