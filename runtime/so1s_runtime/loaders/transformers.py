"""Models of Hugging Face's transformers: the directory of `config.json`, `model.safetensors` and a tokenizer.

Weights are read from safetensors alone, which is data, and no code that lies in the directory is run
(`trust_remote_code` is never set).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.loaders.sentences import embedding, of_json
from so1s_runtime.manifest import Signature, TensorSpec

PLATFORM = "pytorch_transformers"
STEADY = True

_TEXT = TensorSpec("text", DTYPES["string"], (-1,))

# A model without a maximum says this number, or a larger one.
_NO_MAXIMUM = 10**6

Answer = dict[str, np.ndarray]


def inspect(path: Path) -> Signature:
    """Input `text`; what comes out is told by the architecture in `config.json`.

    Of a classifier of texts: `label`, by its name in the configuration, and `probabilities` (`logits` where a
    text may have several labels, or a number). Of a model without a head: `embedding`, the mean over a text's
    tokens or what else `modules.json` asks for, scaled to length 1 where it says so.
    """
    answer = _task(path, "cpu")(["a", "b c"])
    return Signature((_TEXT,), tuple(_spec(name, array) for name, array in answer.items()))


def load(path: Path, threads: int) -> Predictor:
    """A predictor that hands its one input, whatever its name, to the tokenizer."""
    from so1s_runtime.loaders.torch_library import device, torch

    torch.set_num_threads(threads)
    task = _task(path, device())

    def predict(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[Any]:
        (texts,) = inputs.values()
        answer = task(texts.tolist())
        return [answer[name] for name in outputs]

    return predict


def _task(path: Path, device: str) -> Callable[[list[str]], Answer]:
    """What a model of a directory does with texts."""
    from so1s_runtime.loaders.transformers_library import transformers

    directory = path if path.is_dir() else path.parent
    architecture = _architecture(directory / "config.json")
    is_classifier = architecture.endswith("ForSequenceClassification")
    if not is_classifier and not architecture.endswith("Model"):
        raise ModelError(
            f"config.json says the architecture {architecture!r}; served: …ForSequenceClassification, and "
            "…Model, which gives embeddings"
        )
    head = transformers.AutoModelForSequenceClassification if is_classifier else transformers.AutoModel
    said = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory, **said)
        model = head.from_pretrained(directory, use_safetensors=True, **said).to(device).eval()
    except Exception as error:  # OSError, ValueError, and what each model raises
        first = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{directory.name} is no model that transformers {transformers.__version__} reads: {first}"
        ) from error
    encode = _encoder(tokenizer, model, directory)
    return _classifier(encode, model) if is_classifier else _embedder(encode, model, directory)


def _architecture(path: Path) -> str:
    architectures = of_json(path).get("architectures")
    return str(architectures[0]) if isinstance(architectures, list) and architectures else ""


def _encoder(tokenizer: Any, model: Any, directory: Path) -> Callable[[list[str]], Any]:
    """Texts to tensors of tokens: as long as the longest text, and cut at what the model was made for."""
    longest = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    longest.append(of_json(directory / "sentence_bert_config.json").get("max_seq_length"))
    lengths = [length for length in longest if length and length < _NO_MAXIMUM]

    def encode(texts: list[str]) -> Any:
        return tokenizer(
            texts,
            padding=True,
            truncation=bool(lengths),
            max_length=min(lengths, default=None),
            return_tensors="pt",
        ).to(model.device)

    return encode


def _classifier(encode: Callable[[list[str]], Any], model: Any) -> Callable[[list[str]], Answer]:
    import torch

    labels = np.array(
        [model.config.id2label[index] for index in range(model.config.num_labels)], dtype=object
    )
    is_one_of = model.config.num_labels > 1 and model.config.problem_type in {
        None,
        "single_label_classification",
    }

    def classify(texts: list[str]) -> Answer:
        with torch.inference_mode():
            logits = model(**encode(texts)).logits.float().cpu()
        if not is_one_of:
            return {"logits": logits.numpy()}
        probabilities = logits.softmax(dim=1).numpy()
        return {"label": labels[probabilities.argmax(axis=1)], "probabilities": probabilities}

    return classify


def _embedder(
    encode: Callable[[list[str]], Any], model: Any, directory: Path
) -> Callable[[list[str]], Answer]:
    import torch

    asked = embedding(directory)

    def embed(texts: list[str]) -> Answer:
        encoded = encode(texts)
        with torch.inference_mode():
            states = model(**encoded).last_hidden_state
            if asked.pooling == "cls":
                vectors = states[:, 0]
            else:
                mask = encoded["attention_mask"].unsqueeze(-1).to(states.dtype)
                vectors = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
            if asked.is_scaled:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
        return {"embedding": vectors.float().cpu().numpy()}

    return embed


def _spec(name: str, array: np.ndarray) -> TensorSpec:
    dtype = "string" if array.dtype.hasobject else array.dtype.name
    return TensorSpec(name, DTYPES[dtype], (-1, *array.shape[1:]))
